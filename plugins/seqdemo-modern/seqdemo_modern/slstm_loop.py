"""sLSTM over a sequence, with its gradient written out: a loop over time with nothing in it but what must be.

Shape letters: ``B`` batch, ``T`` time, ``N`` heads, ``D`` width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["FLOOR", "slstm_loop"]

FLOOR = 0.5
"""Least value a normalizer is taken for. From the initial state on it is at least 1, up to rounding."""


def slstm_loop(
    inputs: Tensor, recurrent: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Equations 8 to 17 of Beck et al. 2024. Differentiable once.

    Args:
        inputs: what the input adds to z, o, i and f, ``(T, N, B, 4 D)``.
        recurrent: ``(N, D, 4 D)``.
        h, c, n, m: the state before, ``(N, B, D)`` each.

    Returns:
        ``h``, ``c``, ``n``, ``m`` after every position, ``(T, N, B, D)`` each.
    """
    after: tuple[Tensor, Tensor, Tensor, Tensor] = _Loop.apply(  # type: ignore[no-untyped-call]
        inputs, recurrent, h, c, n, m
    )
    return after


def _parts(gates: Tensor) -> tuple[Tensor, ...]:
    """z, o, i and f ``(T, N, B, D)``, as views."""
    return gates.chunk(4, -1)


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, recurrent: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        before = (h, c, n, m)
        gates = torch.empty_like(inputs, memory_format=torch.contiguous_format)
        shape = (*inputs.shape[:3], h.shape[2])
        after = (inputs.new_empty(shape), inputs.new_empty(shape), inputs.new_empty(shape), inputs.new_empty(shape))
        places = zip(inputs, gates, *_parts(gates), *after, strict=True)
        for x, gate, z, o, i, f, new_h, new_c, new_n, new_m in places:
            torch.baddbmm(x, h, recurrent, out=gate)
            z.tanh_()
            o.sigmoid_()
            f.copy_(F.logsigmoid(f))
            kept = f + m
            m = torch.maximum(kept, i, out=new_m)
            write, keep = (i - m).exp_(), kept.sub_(m).exp_()
            c = torch.mul(write, z, out=new_c).addcmul_(keep, c)
            n = torch.addcmul(write, keep, n, out=new_n)
            h = torch.div(c, n.clamp(min=FLOOR), out=new_h).mul_(o)
        ctx.save_for_backward(gates, recurrent, *before, *after)
        return after

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, ...]:
        gates, recurrent, *states = ctx.saved_tensors
        # States before and after each position.
        earlier = [
            torch.cat([first.unsqueeze(0), every[:-1]]) for first, every in zip(states[:4], states[4:], strict=True)
        ]
        _, c_before, n_before, m_before = earlier
        h, _, n, m = states[4:]
        z, o, log_i, log_f = _parts(gates)
        kept = log_f + m_before
        chosen = (kept >= log_i).to(m.dtype)
        write, keep = torch.exp(log_i - m), torch.exp(kept - m)
        # What a gradient is multiplied by on its way, for all positions at once.
        share = n.clamp(min=FLOOR).reciprocal()
        h_to_c, h_to_n = o * share, -h * share * (n >= FLOOR)
        h_to_o, c_to_z = h * (1 - o), write * (1 - z * z)
        kept_to_f = -torch.expm1(log_f)
        into = torch.empty_like(gates)
        to_earlier = recurrent.transpose(1, 2)
        dh, dc, dn, dm = (torch.zeros_like(first) for first in states[:4])
        into_z, into_o, into_i, into_f = _parts(into)
        for t in range(len(gates) - 1, -1, -1):
            for carried, grad in zip((dh, dc, dn, dm), grads, strict=True):
                if grad is not None:
                    carried += grad[t]
            dc.addcmul_(dh, h_to_c[t])
            dn.addcmul_(dh, h_to_n[t])
            torch.mul(dh, h_to_o[t], out=into_o[t])
            torch.mul(dc, c_to_z[t], out=into_z[t])
            d_write = torch.addcmul(dn, dc, z[t]).mul_(write[t])
            d_keep = (dc * c_before[t]).addcmul_(dn, n_before[t]).mul_(keep[t])
            dm.sub_(d_write).sub_(d_keep)
            to_kept = dm * chosen[t]
            torch.add(d_write, dm, out=into_i[t]).sub_(to_kept)
            dm = d_keep.add_(to_kept)
            torch.mul(dm, kept_to_f[t], out=into_f[t])
            dc.mul_(keep[t])
            dn.mul_(keep[t])
            dh = torch.bmm(into[t], to_earlier)
        # (T, N, B, ...) -> (N, T B, ...)
        flat = [every.transpose(0, 1).flatten(1, 2) for every in (earlier[0], into)]
        return into, flat[0].transpose(1, 2) @ flat[1], dh, dc, dn, dm
