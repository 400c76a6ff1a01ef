"""Mamba's selective scan, with its gradient written out, so that the states of all positions are never held at once.

Shape letters: ``B`` batch, ``T`` time, ``F`` channels, ``N`` numbers remembered for each channel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .scan import adjoint_scan, linear_scan

__all__ = ["selective_scan"]

_AT_ONCE = 1 << 19
"""Values of the state, over all rows and positions, that are held at a time: what a processor's cache may hold."""


def selective_scan(
    x: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, initial: Tensor
) -> tuple[Tensor, Tensor]:
    """``h_t = exp(Δ_t A) ⊙ h_{t-1} + B_t (Δ_t x_t)^T``, ``y_t = C_t h_t`` (Gu & Dao 2023, algorithm 2).

    Only the states between chunks are kept; the others are computed again for the gradient. Differentiable once.

    Args:
        x: ``(B, T, F)``.
        delta: ``(B, T, F)``.
        decay: ``A`` ``(N, F)``, negative.
        write: ``B`` ``(B, T, N)``.
        read: ``C`` ``(B, T, N)``.
        initial: ``(B, N, F)``.

    Returns:
        ``y`` ``(B, T, F)`` and the last state ``(B, N, F)``.
    """
    found: tuple[Tensor, Tensor] = _SelectiveScan.apply(  # type: ignore[no-untyped-call]
        x, delta, decay, write, read, initial
    )
    return found


def _chunks(time: int, initial: Tensor) -> list[slice]:
    size = max(1, _AT_ONCE // max(initial.numel(), 1))
    return [slice(start, start + size) for start in range(0, time, size)]


def _states(arrivals: Tensor, delta: Tensor, decay: Tensor, write: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """What is kept at each position of a chunk, ``exp(Δ A)``, and the states, both ``(B, T, N, F)``."""
    kept = (delta.unsqueeze(2) * decay).exp_()
    return kept, linear_scan(kept, arrivals.unsqueeze(2) * write.unsqueeze(3), before)


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, initial: Tensor
    ) -> tuple[Tensor, Tensor]:
        y, before, entering = torch.empty_like(x), initial, []
        for at in _chunks(x.shape[1], initial):
            entering.append(before)
            _, h = _states(delta[:, at] * x[:, at], delta[:, at], decay, write[:, at], before)
            y[:, at] = (read[:, at].unsqueeze(2) @ h).squeeze(2)
            before = h[:, -1].clone()
        ctx.save_for_backward(x, delta, decay, write, read, *entering)
        return y, before

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, carried: Tensor) -> tuple[Tensor, ...]:
        x, delta, decay, write, read, *entering = ctx.saved_tensors
        dx, d_delta, d_write, d_read = (torch.empty_like(part) for part in (x, delta, write, read))
        d_decay = torch.zeros_like(decay)
        chunks = _chunks(x.shape[1], carried)
        for at, before in zip(reversed(chunks), reversed(entering), strict=True):
            arrivals = delta[:, at] * x[:, at]
            kept, h = _states(arrivals, delta[:, at], decay, write[:, at], before)
            d_read[:, at] = (h @ dy[:, at].unsqueeze(3)).squeeze(3)
            # What reaches h_t: through y_t, and through h_{t+1}.
            dh = dy[:, at].unsqueeze(2) * read[:, at].unsqueeze(3)
            dh[:, -1] += carried
            dh, carried = adjoint_scan(kept, dh)
            d_write[:, at] = (dh @ arrivals.unsqueeze(3)).squeeze(3)
            d_arrivals = (write[:, at].unsqueeze(2) @ dh).squeeze(2)
            dx[:, at] = d_arrivals * delta[:, at]
            # From here on, the gradient of the exponent Δ A.
            dh *= kept
            dh[:, 1:] *= h[:, :-1]
            dh[:, 0] *= before
            d_delta[:, at] = d_arrivals * x[:, at] + torch.mul(dh, decay, out=kept).sum(2)
            d_decay += dh.mul_(delta[:, at].unsqueeze(2)).sum((0, 1))
        return dx, d_delta, d_decay, d_write, d_read, carried
