"""The three cells on arrays, their products done elsewhere.

Shape letters: ``n`` rows, ``H`` hidden, ``G`` gates. Matrices of torch's layers are rearranged once (:func:`arranged`):
the gates that are logistic come first, at half size, because ``σ(a) = (1 + tanh(a / 2)) / 2`` and one pass of ``tanh``
over all gates costs less than two functions on parts of them. Halving is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqdemo.builtin.models.fused import Fused

from .products import Floats

__all__ = ["KINDS", "Entries", "Kind", "arranged", "weights_of"]

Entries = tuple[Floats, ...]
"""State entries of one layer, each ``(n, H)``; the first is its output."""

Cell = Callable[[Floats, Floats, Entries], Entries]
"""``W x + b`` and ``U h + d``, ``(n, G * H)`` each, and the entries before -> the entries after, in new memory."""

_HALF = np.float32(0.5)


class Kind(NamedTuple):
    """A kind of cell.

    Attributes:
        order: torch's gates, by number, in the order used here.
        logistic: how many of them, the first ones, are logistic.
        entries: names of the state entries.
        cell: what a step does.
        bounded: whether the output lies in [-1, 1] whatever the entries before were.
    """

    order: tuple[int, ...]
    logistic: int
    entries: tuple[str, ...]
    cell: Cell
    bounded: bool


def arranged(matrix: Tensor, kind: Kind) -> Tensor:
    """``(G * H, ...)`` as torch orders it -> as the cells here take it."""
    gates = matrix.chunk(len(kind.order))
    return torch.cat([gates[gate] * (0.5 if at < kind.logistic else 1.0) for at, gate in enumerate(kind.order)])


def _logistic(a: Floats) -> Floats:
    """What ``tanh`` of half its argument is still lacking, in place."""
    a *= _HALF
    a += _HALF
    return a


def _lstm(x: Floats, u: Floats, before: Entries) -> Entries:
    """Hochreiter & Schmidhuber 1997, Gers et al. 2000: ``c' = f ⊙ c + i ⊙ g``, ``h' = o ⊙ tanh(c')``."""
    a = x + u
    np.tanh(a, out=a)
    size = a.shape[1] // 4
    gates = _logistic(a[:, : 3 * size])
    c = gates[:, size : 2 * size] * before[1]
    c += gates[:, :size] * a[:, 3 * size :]
    h = np.tanh(c)
    h *= gates[:, 2 * size :]
    return h, c


def _gru(x: Floats, u: Floats, before: Entries) -> Entries:
    """Cho et al. 2014, the reset gate on the product: ``n = tanh(W x + r ⊙ U h)``, ``h' = n + z ⊙ (h - n)``."""
    size = x.shape[1] // 3
    gates = x[:, : 2 * size] + u[:, : 2 * size]
    np.tanh(gates, out=gates)
    _logistic(gates)
    n = gates[:, :size] * u[:, 2 * size :]
    n += x[:, 2 * size :]
    np.tanh(n, out=n)
    h = before[0] - n
    h *= gates[:, size:]
    h += n
    return (h,)


def _tanh(x: Floats, u: Floats, before: Entries) -> Entries:
    """Elman 1990: ``h' = tanh(W x + U h)``."""
    a = x + u
    return (np.tanh(a, out=a),)


def _relu(x: Floats, u: Floats, before: Entries) -> Entries:
    """Elman's network with ``relu`` in place of ``tanh``."""
    a = x + u
    return (np.maximum(a, np.float32(0.0), out=a),)


KINDS = {
    "LSTM": Kind((0, 1, 3, 2), 3, ("h", "c"), _lstm, bounded=True),
    "GRU": Kind((0, 1, 2), 2, ("h",), _gru, bounded=False),
    "RNN_TANH": Kind((0,), 0, ("h",), _tanh, bounded=True),
    "RNN_RELU": Kind((0,), 0, ("h",), _relu, bounded=False),
}
"""By the ``mode`` of torch's layer."""


def weights_of(model: Fused) -> tuple[Kind, list[tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """Its kind, and ``W``, ``b``, ``U``, ``d`` of each layer, as the cells take them: ``(G * H, ...)`` float32."""
    kind, layers = KINDS[model.layers.mode], model.layers

    def of(name: str, k: int) -> Tensor:
        found = getattr(layers, f"{name}_l{k}", None)
        if not isinstance(found, Tensor):  # a model without biases
            found = torch.zeros(len(getattr(layers, f"weight_hh_l{k}")))
        return arranged(found.detach().float(), kind)

    names = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
    found = [tuple(of(name, k) for name in names) for k in range(model.config.num_layers)]
    return kind, found  # type: ignore[return-value]  # four of each
