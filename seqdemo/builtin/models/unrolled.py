"""Training a GRU or an Elman network on the CPU, where torch has no fused layer for them.

Torch differentiates its own loop position by position: a dozen graph nodes each, and for the recurrent weights one
product and one sum of their size. Here the way back is written out (Werbos 1990), so a position costs one product, and
all positions' shares of a weight's gradient are one product at the end. Values are torch's, in the same order of
operations up to rounding; there is no second derivative.

Shape letters: ``B`` batch, ``T`` time, ``I`` input, ``H`` hidden, ``L`` layers, ``D`` directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["UNROLLED", "fits", "unrolled"]

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_relu_backward = torch.ops.aten.threshold_backward.grad_input

Layer = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""``x`` ``(T, B, I)``, ``h`` ``(B, H)``, weights as torch orders them -> every ``h`` ``(T, B, H)``."""


def fits(x: Tensor) -> bool:
    """Whether a pass over ``x`` is to be unrolled here: on the CPU, to be differentiated, in one precision."""
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")


class _GRU(torch.autograd.Function):
    """Cho et al. 2014, the reset gate on the product: with ``u = U_n h + d_n``,

    ``n = tanh(W_n x + b_n + r ⊙ u)``, ``h' = n + z ⊙ (h - n)``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor | None, d: Tensor | None) -> Tensor:
        time, batch, size = x.shape[0], x.shape[1], h.shape[1]
        offset, given = None, b
        if b is not None and d is not None:
            offset, given = d[2 * size :], torch.cat([b[: 2 * size] + d[: 2 * size], b[2 * size :]])
        # First the input's part of all gates, then the gates themselves: r, z, n.
        gates = F.linear(x, w, given)
        hidden, inner = gates.new_empty(time + 1, batch, size), gates.new_empty(time, batch, size)
        hidden[0] = h
        weight, product = u.t().contiguous(), gates.new_empty(batch, 3 * size)
        both, (r, z, n) = gates[..., : 2 * size].unbind(0), _gates(gates, 3)
        of_both, of_n = product[:, : 2 * size], product[:, 2 * size :]
        before = hidden[0]
        for t, after in enumerate(hidden[1:].unbind(0)):
            torch.mm(before, weight, out=product)
            both[t].add_(of_both).sigmoid_()
            seen = inner[t]
            if offset is None:
                seen.copy_(of_n)
            else:
                torch.add(of_n, offset, out=seen)
            n[t].addcmul_(r[t], seen).tanh_()
            before = torch.lerp(n[t], before, z[t], out=after)
        ctx.save_for_backward(x, w, u, gates, hidden, inner)
        ctx.bias = b is not None
        return hidden[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w, u, gates, hidden, inner = ctx.saved_tensors
        time, batch, size = inner.shape
        # n as W x sees it, r, z, n as U h sees it: the first three and the last three are the gates of W and of U.
        local = gates.new_empty(time, batch, 4 * size)
        carried = torch.zeros_like(hidden[0])
        kept, rest = torch.empty_like(carried), torch.empty_like(carried)
        (r, z, n), (into_n, into_r, into_z, into_u) = _gates(gates, 3), _gates(local, 4)
        of_hidden = local[..., size:].unbind(0)
        for t in range(time - 1, -1, -1):
            carried += grad[t]
            torch.mul(carried, z[t], out=kept)
            _tanh_backward(torch.sub(carried, kept, out=rest), n[t], grad_input=into_n[t])
            _sigmoid_backward(torch.sub(hidden[t], n[t], out=rest).mul_(carried), z[t], grad_input=into_z[t])
            _sigmoid_backward(torch.mul(into_n[t], inner[t], out=rest), r[t], grad_input=into_r[t])
            torch.mul(into_n[t], r[t], out=into_u[t])
            torch.addmm(kept, of_hidden[t], u, out=carried)
        flat = local.view(time * batch, 4 * size)
        of_w, of_u = flat[:, : 3 * size], flat[:, size:]
        into_x = None
        if ctx.needs_input_grad[0]:
            into_x = (of_w @ w.roll(size, 0)).view_as(x)
        into_w = (of_w.t() @ x.reshape(time * batch, -1)).roll(-size, 0)
        into_weight = of_u.t() @ hidden[:-1].reshape(time * batch, size)
        if not ctx.bias:
            return into_x, carried, into_w, into_weight, None, None
        total = flat.sum(0)
        return into_x, carried, into_w, into_weight, total[: 3 * size].roll(-size), total[size:]


class _Elman(torch.autograd.Function):
    """Elman 1990: ``h' = f(W x + b + U h + d)``, ``f`` being ``tanh`` or ``relu``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor | None, d: Tensor | None, relu: bool
    ) -> Tensor:
        given = F.linear(x, w, None if b is None or d is None else b + d)
        hidden, weight = given.new_empty(len(x) + 1, *h.shape), u.t()
        hidden[0] = h
        for term, before, after in zip(given, hidden[:-1], hidden[1:], strict=True):
            torch.addmm(term, before, weight, out=after)
            after.relu_() if relu else after.tanh_()
        ctx.save_for_backward(x, w, u, hidden)
        ctx.bias, ctx.relu = b is not None, relu
        return hidden[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w, u, hidden = ctx.saved_tensors
        local = torch.empty_like(grad, memory_format=torch.contiguous_format)
        carried = torch.zeros_like(hidden[0])
        for t in range(len(x) - 1, -1, -1):
            carried += grad[t]
            if ctx.relu:
                _relu_backward(carried, hidden[t + 1], 0.0, grad_input=local[t])
            else:
                _tanh_backward(carried, hidden[t + 1], grad_input=local[t])
            torch.mm(local[t], u, out=carried)
        flat = local.flatten(0, 1)
        into_x = (flat @ w).view_as(x) if ctx.needs_input_grad[0] else None
        into_w = flat.t() @ x.reshape(len(flat), -1)
        into_weight = flat.t() @ hidden[:-1].reshape(len(flat), -1)
        bias = flat.sum(0) if ctx.bias else None
        return into_x, carried, into_w, into_weight, bias, bias, None


def _gates(values: Tensor, count: int) -> list[tuple[Tensor, ...]]:
    """``(T, B, G * H)`` -> for each gate its ``(B, H)`` at every position."""
    return [gate.unbind(0) for gate in values.chunk(count, 2)]


def _gru(x: Tensor, h: Tensor, weights: Sequence[Tensor]) -> Tensor:
    y: Tensor = _GRU.apply(x, h, *_four(weights))  # type: ignore[no-untyped-call]
    return y


def _tanh(x: Tensor, h: Tensor, weights: Sequence[Tensor]) -> Tensor:
    y: Tensor = _Elman.apply(x, h, *_four(weights), False)  # type: ignore[no-untyped-call]
    return y


def _relu(x: Tensor, h: Tensor, weights: Sequence[Tensor]) -> Tensor:
    y: Tensor = _Elman.apply(x, h, *_four(weights), True)  # type: ignore[no-untyped-call]
    return y


def _four(weights: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """``W``, ``U`` and their biases, None where there are none."""
    return (*weights, None, None)[:4]


UNROLLED: dict[str, Layer] = {"GRU": _gru, "RNN_TANH": _tanh, "RNN_RELU": _relu}
"""By the ``mode`` of torch's layer."""


def unrolled(
    layer: Layer, x: Tensor, hidden: Tensor, weights: Sequence[Sequence[Tensor]], directions: int, dropout: float
) -> tuple[Tensor, Tensor]:
    """Layers above one another, as ``nn.RNNBase`` stacks them.

    Args:
        layer: of :data:`UNROLLED`.
        x: ``(B, T, I)``, ``T`` at least 1.
        hidden: ``(L * D, B, H)``.
        weights: of each layer and direction.
        dropout: on the output of every layer except the last.

    Returns:
        ``y`` ``(B, T, D * H)`` and the last states ``(L * D, B, H)``.
    """
    y, last = x.transpose(0, 1), []
    for k in range(0, len(weights), directions):
        if k and dropout:
            y = F.dropout(y, dropout)
        sides = [layer(y, hidden[k], weights[k])]
        last.append(sides[0][-1])
        if directions == 2:
            backwards = layer(y.flip(0), hidden[k + 1], weights[k + 1])
            last.append(backwards[-1])
            sides.append(backwards.flip(0))
        y = sides[0] if directions == 1 else torch.cat(sides, 2)
    return y.transpose(0, 1), torch.stack(last)
