"""Comparing tensors and states, and saying where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import torch
from torch import Tensor

from seqdemo.plugin import State
from seqdemo.plugin import state as verbs

from .core import expect, fail

__all__ = ["EXACT", "close", "same_layout", "states_close", "unchanged"]

EXACT = 1e-8
"""Largest difference, in float64 and relative to the largest value if that is above 1, between two ways of computing
the same thing."""


def close(got: Tensor, want: Tensor, what: str, tolerance: float = EXACT) -> None:
    """Fail unless two tensors agree; NaN agrees with nothing."""
    expect(
        got.shape == want.shape,
        f"{what}: shape {tuple(got.shape)}",
        f"shape {tuple(want.shape)}",
    )
    a, b = _real(got), _real(want)
    if not a.numel():
        return
    apart = torch.where(a == b, 0.0, (a - b).abs()).nan_to_num(inf, inf)
    scale = max(1.0, b.abs().nan_to_num(0.0, 0.0, 0.0).max().item())
    worst = apart.max().item()
    if worst > tolerance * scale:
        where = tuple(int(index) for index in torch.unravel_index(apart.argmax(), apart.shape))
        fail(
            f"{what}: they differ by {worst:.2g} at index {where} of shape {tuple(b.shape)} "
            f"({a[where].item():.6g} and {b[where].item():.6g})",
            f"at most {tolerance * scale:.2g}",
        )


def _real(tensor: Tensor) -> Tensor:
    """A tensor in float64 on the CPU; complex numbers as pairs."""
    tensor = tensor.detach().cpu()
    return torch.view_as_real(tensor.resolve_conj()).double() if tensor.is_complex() else tensor.double()


def same_layout(got: Mapping[str, Tensor], want: Mapping[str, Tensor], what: str) -> None:
    """Fail unless two states have the same names, row shapes and dtypes."""
    here, there = verbs.layout(got), verbs.layout(want)
    expect(
        here == there,
        f"{what}: {_shown(here)}",
        f"{_shown(there)}",
    )


def _shown(layout: verbs.Layout) -> str:
    return ", ".join(f"{name} {list(shape)} {dtype}" for name, (shape, dtype) in sorted(layout.items())) or "no entries"


def states_close(got: State, want: State, what: str, tolerance: float = EXACT) -> None:
    """Fail unless two states agree in layout and content."""
    same_layout(got, want, what)
    for name, tensor in want.items():
        close(got[name], tensor, f"{what}, entry {name!r}", tolerance)


def unchanged(state: Mapping[str, Tensor], before: State, versions: Mapping[str, int], what: str) -> None:
    """Fail unless a state still has the entries, the content and the version counters it had."""
    for name in before.keys() ^ state.keys():
        fail(f"{what} {'removed' if name in before else 'added'} the entry {name!r}", "the dict that came in untouched")
    for name, tensor in state.items():
        same = tensor.shape == before[name].shape and verbs.equal({name: tensor}, {name: before[name]})
        expect(
            same and tensor._version == versions[name],
            f"{what} wrote into entry {name!r} of the state it was handed",
            "the tensors that came in untouched",
        )
