"""One-token work on CUDA: the model's own step on memory that stays where it is, captured in CUDA graphs.

At one row a step is a dozen small kernels, and launching them from Python takes longer than running them. A graph is
launched once. It is bound to addresses and shapes, so states lie in an arena, a step gathers the rows it is given and
writes them back, and there is a graph for each width; rows that are lacking are made up in a place of their own.

Shape letters: ``n`` active rows, ``w`` rows of a step, ``V`` vocabulary, ``I`` the model's input, ``O`` its output.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Lock

import torch
from torch import Tensor
from torch.nn.functional import linear

from seqdemo.errors import PluginError
from seqdemo.plugin import Context, Precision, Prepared, RecurrentModel, State, Stepper, TokenHead
from seqdemo.plugin import state as verbs

from .capture import Capture, CudaGraphs, Eager, Work

__all__ = ["GraphPrepared", "GraphStepper", "width_of"]

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_SHARE = {"fp32": 1e-3, "bf16": 0.05}
"""How far captured steps may be off, as a share of the logits' range, before they are not used."""

_switching = Lock()


def width_of(count: int, slots: int) -> int:
    """Rows of the step that serves ``count``: the next power of two, or all slots."""
    return min(1 << (count - 1).bit_length(), slots)


@dataclass(frozen=True, slots=True)
class _Weights:
    """Copies of a head's weights in the precision chosen.

    Attributes:
        model: between embedding and output.
        embedding: ``(V, I)``.
        output: weight ``(V, P)`` and bias ``(V,)``.
        project: weight ``(P, O)`` and bias ``(P,)``, where the head has one.
        role: prefix of the model's entries in the pipeline state.
        kept: the entry that keeps the model's output, if one does.
        dtypes: of the head's own state entries.
    """

    model: RecurrentModel
    embedding: Tensor
    output: tuple[Tensor, Tensor]
    project: tuple[Tensor, Tensor] | None
    role: str
    kept: str | None
    dtypes: dict[str, torch.dtype]

    @property
    def count(self) -> int:
        """Weights each token reads."""
        tensors = [*self.model.parameters(), self.output[0], *(self.project or ())[:1]]
        return sum(int(tensor.numel()) for tensor in tensors)

    def begun(self) -> State:
        """One row before anything is read."""
        state = verbs.prefixed(self.model.initial_state(1), self.role)
        blank = self.embedding.new_zeros(1, self.model.output_size)
        return state if self.kept is None else state | {self.kept: blank}

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """``(w,)`` ids -> logits ``(w, V)`` float32 and the state after them."""
        x = self.embedding.index_select(0, ids)
        return self._finish(*self.model.step(x, verbs.unprefixed(state, self.role)))

    def read(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """``(B, T)`` ids -> logits ``(B, V)`` float32 after the last of them, and the state there."""
        y, inner = self.model(self.embedding[ids], verbs.unprefixed(state, self.role))
        return self._finish(y[:, -1], inner)

    def _finish(self, y: Tensor, inner: State) -> tuple[Tensor, State]:
        state = verbs.prefixed(inner, self.role)
        p = y if self.project is None else linear(y, *self.project)
        return linear(p, *self.output).float(), state if self.kept is None else state | {self.kept: y}

    def own(self, state: State) -> State:
        """The state in the types used here."""
        return {name: state[name].to(row) for name, row in self.begun().items()}

    def given_out(self, state: State) -> State:
        """A copy of the state in the head's own types."""
        return {name: entry.to(self.dtypes[name], copy=True) for name, entry in state.items()}


class _Places:
    """Memory of a number of rows, one more for those made up, and the steps on it that are ready.

    Attributes:
        arena: by state entry, ``(slots + 1, ...)``.
    """

    def __init__(self, weights: _Weights, slots: int, capture: Capture) -> None:
        self.slots = slots
        self._weights, self._capture = weights, capture
        self._ready: dict[int, tuple[Tensor, Work]] = {}
        with torch.inference_mode(False), torch.no_grad():
            self.arena = {
                name: row.expand(slots + 1, *row.shape[1:]).contiguous() for name, row in weights.begun().items()
            }
            self._logits = weights.embedding.new_empty(slots, len(weights.output[1]), dtype=torch.float32)

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        """Logits ``(n, V)`` in memory that the next step writes to."""
        width = width_of(len(ids), self.slots)
        given, run = self._ready.get(width) or self._make_ready(width)
        lacking = width - len(ids)
        given.copy_(torch.tensor([[*ids, *[0] * lacking], [*active, *[self.slots] * lacking]]))
        run()
        return self._logits[: len(ids)]

    def _make_ready(self, width: int) -> tuple[Tensor, Work]:
        """Ids and places of a step, ``(2, w)``, and the step."""
        weights, arena, logits = self._weights, self.arena, self._logits
        with torch.inference_mode(False):
            given = torch.full((2, width), self.slots, device=logits.device)
            given[0] = 0

        def work() -> None:
            ids, places = given.unbind()
            with torch.no_grad():
                found, after = weights.step(ids, {name: entry.index_select(0, places) for name, entry in arena.items()})
                for name, entry in arena.items():
                    entry.index_copy_(0, places, after[name])
                logits[:width].copy_(found)

        self._ready[width] = given, self._capture(work)
        return self._ready[width]


class GraphPrepared(Prepared):
    """A head whose ``token_io`` offers the one model it has.

    Args:
        head: of the pipeline.
        device: where it is.
        precision: ``"fp32"`` or ``"bf16"``, states too.
        capture: gives what captures a stepper's steps; None: CUDA graphs, where there are any. It is tried out: where
            it raises, or gives other logits than the plain step, steps are not captured.
    """

    def __init__(
        self,
        head: TokenHead,
        device: torch.device,
        precision: Precision,
        capture: Callable[[], Capture] | None = None,
    ) -> None:
        self.precision = precision
        self._weights = weights = _prepared(head, device, precision)
        if capture is None and device.type == "cuda":
            capture = partial(CudaGraphs, device)
        why = f"{device} has no CUDA graphs" if capture is None else _trouble(weights, capture, _SHARE[precision])
        self._capture = Eager if why or capture is None else capture
        self._idle: dict[int, list[_Places]] = {}
        how = f"steps not captured ({why})" if why else "steps captured in CUDA graphs"
        self.reads = weights.count
        self.description = f"{how}; {self.reads / 1e6:,.1f}M weights a token"

    def stepper(self, head: TokenHead, slots: int) -> GraphStepper:
        # Graphs take long to capture: they wait here for the next stepper of that size.
        idle = self._idle.setdefault(slots, [])
        try:
            places = idle.pop()
        except IndexError:
            places = _Places(self._weights, slots, self._capture())
        made = GraphStepper(self._weights, places)
        weakref.finalize(made, idle.append, places).atexit = False
        return made


def _prepared(head: TokenHead, device: torch.device, precision: Precision) -> _Weights:
    io = head.token_io()
    if io is None or io.model is None or precision not in _DTYPES:
        raise PluginError(f"{type(head).__name__} cannot be stepped in {precision} on {device} by captured graphs.")
    dtype = _DTYPES[precision]

    def own(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device, dtype, copy=True)

    with torch.inference_mode(False), torch.no_grad():
        dtypes = {name: entry.dtype for name, entry in verbs.prefixed(io.model.initial_state(1), io.role).items()}
        # Moving a copy also lays the weights of torch's layers side by side, as cuDNN wants them.
        return _Weights(
            model=copy.deepcopy(io.model).to(device, dtype).eval().requires_grad_(False),
            embedding=own(io.embedding),
            output=(own(io.weight), own(io.bias)),
            project=None if io.project is None else (own(io.project[0]), own(io.project[1])),
            role=io.role,
            kept=io.output,
            dtypes=dtypes if io.output is None else dtypes | {io.output: io.weight.dtype},
        )


def _trouble(weights: _Weights, capture: Callable[[], Capture], share: float) -> str:
    """Nothing, or why captured steps are not to be used."""
    wanted = _tried(weights, Eager())
    try:
        found = _tried(weights, capture())
    except RuntimeError as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return f"capturing failed: {lines[0][:120]}"
    off = float((found - wanted).abs().max() / (wanted.amax() - wanted.amin()).clamp(min=1e-6))
    return "" if off <= share else f"captured steps are off by {off:.1e} of the logits' range"


def _tried(weights: _Weights, capture: Capture) -> Tensor:
    """Logits of some steps of one row and of two."""
    places, size = _Places(weights, 2, capture), len(weights.embedding)
    steps = [([0, 1], [0, 1]), ([2], [1]), ([1, 2], [1, 0]), ([0], [0])]
    return torch.cat([places.step([token % size for token in ids], active).clone() for ids, active in steps])


class GraphStepper(Stepper):
    """Rows lie in the arena, whether they step or not; whichever step together are gathered there."""

    def __init__(self, weights: _Weights, places: _Places) -> None:
        super().__init__(places.slots)
        self._weights, self._places = weights, places

    def put(self, slot: int, state: State, context: Context) -> None:
        for name, entry in self._places.arena.items():
            entry[slot : slot + 1].copy_(state[name].detach())

    def take(self, slot: int) -> State:
        # Outside inference mode: the copy is an ordinary tensor, fit for any later use, training included.
        with torch.inference_mode(False):
            rows = {name: entry[slot : slot + 1] for name, entry in self._places.arena.items()}
            return self._weights.given_out(rows)

    def clear(self, slot: int) -> None:
        """Nothing: whatever lies there is written over."""

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        # On a GPU, a token that does not exist would end every later call of this process.
        size = len(self._weights.embedding)
        if not 0 <= min(ids) <= max(ids) < size:
            raise PluginError(f"Token ids {list(ids)} are not all in 0 … {size - 1}.")
        return self._places.step(ids, active)

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        weights = self._weights
        if not ids.shape[1]:
            return super().read(head, ids, state, context)
        exact = weights.embedding.is_cuda and weights.embedding.dtype == torch.float32
        with torch.no_grad(), _all_bits() if exact else nullcontext():
            logits, after = weights.read(ids, weights.own(state))
            return logits, weights.given_out(after)


@contextmanager
def _all_bits() -> Iterator[None]:
    """cuDNN's layers in 32 bits, as the steps are: by default torch lets them round factors to 10 bits (TF32)."""
    cudnn = torch.backends.cudnn
    with _switching:
        try:
            before = cudnn.allow_tf32
        except RuntimeError:  # set for each kind of layer: what the program chose stands
            yield
            return
        cudnn.allow_tf32 = False
        try:
            yield
        finally:
            cudnn.allow_tf32 = before
