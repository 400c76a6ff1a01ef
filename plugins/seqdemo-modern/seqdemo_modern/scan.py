"""The linear recurrence ``h_t = a_t ⊙ h_{t-1} + b_t`` over a whole sequence.

A loop over time spends its life in calls, not in arithmetic, while one position of the batch is small. So time is cut
into chunks that are walked side by side: a first walk finds what each chunk does to a state (its ``a`` multiplied up,
and where it arrives from zero), a short walk over the chunks gives each its incoming state, and a second walk writes
every ``h``. Where one position is large already, there is one chunk and only that second walk. Nothing is divided and
no logarithm is taken, so any ``a`` will do, zero included.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor

__all__ = ["adjoint_scan", "gated_scan", "linear_scan"]

_WIDE = 16_384
"""Values in one call from which arithmetic outweighs the call."""


def linear_scan(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """Every ``h_t = a_t ⊙ h_{t-1} + b_t``, from ``h_{-1} = initial``. Differentiable in all three, once.

    Args:
        a: ``(B, T, *F)``, or any shape that expands to it (one value for several features).
        b: ``(B, T, *F)``.
        initial: ``(B, *F)``.

    Returns:
        ``h`` ``(B, T, *F)``. All are of one dtype, real or complex.
    """
    h: Tensor = _Scan.apply(a, b, initial)  # type: ignore[no-untyped-call]
    return h


def gated_scan(keep: Tensor, value: Tensor, initial: Tensor) -> Tensor:
    """``linear_scan`` with ``b_t = (1 - a_t) ⊙ value_t``, without holding ``b``: ``keep`` of the old, the rest new.

    Args:
        keep: ``a`` ``(B, T, *F)``, real.
        value: ``(B, T, *F)``.
        initial: ``(B, *F)``.

    Returns:
        ``h`` ``(B, T, *F)``.
    """
    h: Tensor = _GatedScan.apply(keep, value, initial)  # type: ignore[no-untyped-call]
    return h


def adjoint_scan(factors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of a recurrence from those of its outputs: ``d_t = grad_t + factor_{t+1} ⊙ d_{t+1}``.

    Any recurrence that acts on each value of its state alone has this gradient, linear or not.

    Args:
        factors: ``(B, T, *F)``, the conjugated derivative of each state by the one before it; ``T`` at least 1.
        grad: ``(B, T, *F)``.

    Returns:
        ``d`` ``(B, T, *F)`` for the state after each position, and ``(B, *F)`` for the one before the first.
    """
    d = torch.empty(grad.shape, dtype=grad.dtype, device=grad.device)
    d[:, -1] = grad[:, -1]
    _scan(factors[:, 1:], grad[:, :-1], grad[:, -1], d[:, :-1], reverse=True)
    return d, factors[:, 0] * d[:, 0]


class _Scan(torch.autograd.Function):
    """Keeps only ``a`` and ``h`` for the way back."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
        h = torch.empty(b.shape, dtype=b.dtype, device=b.device)
        _scan(a.expand_as(b), b, initial, h)
        ctx.save_for_backward(a, h, initial)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        a, h, initial = ctx.saved_tensors
        if not h.shape[1]:
            return torch.zeros_like(a), torch.zeros_like(h), torch.zeros_like(initial)
        into_b, into_initial = adjoint_scan(a.expand_as(h).conj(), grad)
        into_a = None
        if ctx.needs_input_grad[0]:
            into_a = torch.empty_like(h)
            torch.mul(into_b[:, 0], initial.conj(), out=into_a[:, 0])
            torch.mul(into_b[:, 1:], h[:, :-1].conj(), out=into_a[:, 1:])
            into_a = into_a.sum_to_size(a.shape)
        return into_a, into_b, into_initial


class _GatedScan(torch.autograd.Function):
    """``b`` lives until it is read, in the memory that ``h`` is written to."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, value: Tensor, initial: Tensor) -> Tensor:
        h = torch.empty(value.shape, dtype=value.dtype, device=value.device)
        torch.addcmul(value, keep, value, value=-1, out=h)
        _scan(keep, h, initial, h)
        ctx.save_for_backward(keep, value, h, initial)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keep, value, h, initial = ctx.saved_tensors
        if not h.shape[1]:
            return torch.zeros_like(keep), torch.zeros_like(value), torch.zeros_like(initial)
        d, into_initial = adjoint_scan(keep, grad)
        into_keep = torch.empty_like(h)
        torch.sub(initial, value[:, 0], out=into_keep[:, 0])
        torch.sub(h[:, :-1], value[:, 1:], out=into_keep[:, 1:])
        into_keep *= d
        return into_keep, d.addcmul_(d, keep, value=-1), into_initial


def _scan(a: Tensor, b: Tensor, initial: Tensor, out: Tensor, reverse: bool = False) -> None:
    """Write the recurrence into ``out``, from the first position to the last or, with ``reverse``, the other way."""
    time = b.shape[1]
    # Enough chunks to make one call wide; more than the square root of T would only lengthen the walk over them.
    chunks = max(1, min(isqrt(time), _WIDE // max(initial.numel(), 1)))
    rest = time % chunks
    body, tail = slice(0, time - rest), slice(time - rest, None)
    if reverse:
        body, tail = slice(rest, None), slice(0, rest)
    state = initial
    if time >= chunks:
        # (B, T, *F) -> for each position of a chunk, (B, chunks, *F)
        shape = (b.shape[0], chunks, time // chunks, *b.shape[2:])
        factors, terms, places = (_ordered(x[:, body].view(shape).unbind(2), reverse) for x in (a, b, out))
        entering = initial.unsqueeze(1) if chunks == 1 else _entering(factors, terms, initial, reverse)
        state = _walk(factors, terms, places, entering)[:, 0 if reverse else -1]
    factors, terms, places = (_ordered(x[:, tail].unbind(1), reverse) for x in (a, b, out))
    _walk(factors, terms, places, state)


def _ordered(steps: Sequence[Tensor], reverse: bool) -> Sequence[Tensor]:
    return steps[::-1] if reverse else steps


def _walk(a: Sequence[Tensor], b: Sequence[Tensor], out: Sequence[Tensor], state: Tensor) -> Tensor:
    """Step by step through positions of any one shape; the last state."""
    for factor, term, place in zip(a, b, out, strict=True):
        state = torch.addcmul(term, factor, state, out=place)
    return state


def _entering(a: Sequence[Tensor], b: Sequence[Tensor], initial: Tensor, reverse: bool) -> Tensor:
    """The state that enters each chunk ``(B, chunks, *F)``."""
    factor, arrival = a[0].clone(), b[0].clone()
    for next_factor, term in zip(a[1:], b[1:], strict=True):
        torch.addcmul(term, next_factor, arrival, out=arrival)
        factor *= next_factor
    entering = torch.empty_like(arrival)
    places = _ordered(entering.unbind(1), reverse)
    places[0].copy_(initial)
    _walk(_ordered(factor.unbind(1), reverse)[:-1], _ordered(arrival.unbind(1), reverse)[:-1], places[1:], initial)
    return entering
