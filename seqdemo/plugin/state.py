"""State verbs: all that batching, forking, rewinding and shipping need, written once on the dict.

A state is ``dict[str, Tensor]``, flat, every tensor batch-first ``(B, ...)``. None of these change an entry's
dtype, and none modify the state handed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf

import torch
from torch import Tensor

from seqdemo.errors import StateError

__all__ = [
    "Layout",
    "State",
    "batch_size",
    "check",
    "clone",
    "concat",
    "detach",
    "equal",
    "from_bytes",
    "layout",
    "max_difference",
    "move",
    "nbytes",
    "prefixed",
    "select",
    "to_bytes",
    "unprefixed",
    "where",
]

_OF_NUMPY = {torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int8, torch.uint8, torch.bool}

State = dict[str, Tensor]
Layout = dict[str, tuple[tuple[int, ...], str]]
"""Name -> (shape of one row, dtype name)."""


def batch_size(state: Mapping[str, Tensor]) -> int:
    """Rows ``B`` of the state; 0 for a state without entries.

    Raises:
        StateError: entries disagree.
    """
    sizes = {tensor.shape[0] for tensor in state.values()}
    if len(sizes) > 1:
        raise StateError(f"The entries of a state must have equal batch sizes, these have {sorted(sizes)}.")
    return sizes.pop() if sizes else 0


def select(state: Mapping[str, Tensor], rows: Sequence[int] | Tensor) -> State:
    """The given rows, in the given order (repeats allowed), as copies: ``(B, ...) -> (len(rows), ...)``."""
    state_rows = rows if isinstance(rows, Tensor) else torch.tensor(list(rows), dtype=torch.long)
    return {name: tensor.index_select(0, state_rows.to(tensor.device)) for name, tensor in state.items()}


def concat(states: Sequence[Mapping[str, Tensor]]) -> State:
    """States below one another: ``[(B1, ...), (B2, ...)] -> (B1 + B2, ...)``.

    Raises:
        StateError: no states, or layouts that differ.
    """
    if not states:
        raise StateError("There must be at least one state to concatenate.")
    first = layout(states[0])
    for other in states[1:]:
        check(other, first)
    return {name: torch.cat([state[name] for state in states], 0) for name in states[0]}


def clone(state: Mapping[str, Tensor]) -> State:
    """A copy that shares no memory, cut from the autograd graph."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def detach(state: Mapping[str, Tensor]) -> State:
    """The same memory, cut from the autograd graph (between windows of truncated BPTT)."""
    return {name: tensor.detach() for name, tensor in state.items()}


def move(state: Mapping[str, Tensor], device: torch.device | str) -> State:
    """The state on another device; entries that are there already are not copied."""
    place = torch.device(device)
    # Every call of torch lets go of the interpreter, which a busy thread then keeps for milliseconds.
    return {name: tensor if tensor.device == place else tensor.to(place) for name, tensor in state.items()}


def nbytes(state: Mapping[str, Tensor]) -> int:
    """Bytes of all entries. It does not depend on how much has been read."""
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def where(mask: Tensor, new: Mapping[str, Tensor], old: Mapping[str, Tensor]) -> State:
    """Row by row, ``new`` where ``mask`` (``(B,)`` bool) is true and ``old`` where it is not."""
    return {
        name: torch.where(mask.view(-1, *(1,) * (tensor.dim() - 1)), tensor, old[name]) for name, tensor in new.items()
    }


def layout(state: Mapping[str, Tensor]) -> Layout:
    """Shape of one row and dtype of every entry, by name."""
    return {name: (tuple(t.shape[1:]), str(t.dtype).removeprefix("torch.")) for name, t in state.items()}


def check(state: Mapping[str, Tensor], expected: Layout) -> None:
    """Compare a state with a layout.

    Raises:
        StateError: naming the first entry that is missing, unknown, or of another shape or dtype.
    """
    found = layout(state)
    for name in expected.keys() - found.keys():
        raise StateError(f"The state lacks {name!r}; it has {', '.join(sorted(found)) or 'no entries'}.")
    for name in found.keys() - expected.keys():
        raise StateError(f"The state has an entry {name!r} that is not expected; expected are {sorted(expected)}.")
    for name, want in expected.items():
        if found[name] != want:
            raise StateError(f"State entry {name!r} is {found[name]} in each row, expected {want}.")


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two states are the same, bit for bit: layout and content, so that NaN equals itself."""
    return layout(a) == layout(b) and all(torch.equal(_bits(a[name]), _bits(b[name])) for name in a)


def _bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, flat and on the CPU."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8)


def max_difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Largest absolute difference over all entries, computed in float64; NaN anywhere makes it infinite.

    Raises:
        StateError: layouts or batch sizes that differ.
    """
    check(b, layout(a))
    if batch_size(a) != batch_size(b):
        raise StateError(f"States of {batch_size(a)} and {batch_size(b)} rows cannot be compared.")
    pairs = [(a[name].detach().cpu().double(), b[name].detach().cpu().double()) for name in a if a[name].numel()]
    differences = [torch.where(x == y, 0.0, (x - y).abs()).nan_to_num(inf, inf).max().item() for x, y in pairs]
    return max(differences, default=0.0)


def prefixed(state: Mapping[str, Tensor], prefix: str) -> State:
    """``{"h": ...} -> {"layer0.h": ...}`` for ``prefix="layer0"``."""
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}


def unprefixed(state: Mapping[str, Tensor], prefix: str) -> State:
    """The entries under ``prefix``, without it; the inverse of :func:`prefixed`."""
    start = f"{prefix}."
    return {name[len(start) :]: tensor for name, tensor in state.items() if name.startswith(start)}


def to_bytes(state: Mapping[str, Tensor], metadata: Mapping[str, object] | None = None) -> bytes:
    """The state as one safetensors file, with JSON-able metadata."""
    from safetensors import numpy, torch

    told = {"seqdemo": json.dumps(dict(metadata or {}))}
    if all(tensor.dtype in _OF_NUMPY for tensor in state.values()):
        # In a fifth of the time; a long reply leaves hundreds of states.
        return numpy.save({name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.items()}, told)
    # Entries may be one tensor under two names (an output that is also a state), which safetensors refuses.
    copies = {name: tensor.cpu().contiguous() for name, tensor in clone(state).items()}
    return torch.save(copies, told)


def from_bytes(data: bytes) -> tuple[State, dict[str, object]]:
    """State (on the CPU) and metadata written by :func:`to_bytes`. Nothing is unpickled.

    Raises:
        StateError: the bytes are not such a file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(json.loads(data[8 : 8 + length]).get("__metadata__", {}).get("seqdemo", "{}"))
    except (SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise StateError(f"This is not a saved state: {error}.") from error
    if not isinstance(metadata, dict):
        raise StateError(f"This is not a saved state: its metadata is a {type(metadata).__name__}.")
    return tensors, metadata
