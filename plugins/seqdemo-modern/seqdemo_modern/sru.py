"""Simple recurrent unit (Lei et al., "Simple Recurrent Units for Highly Parallelizable Recurrence", 2018).

Its gates see the memory, but each unit only its own, so that all matrix products of a sequence are one, and what stays
sequential is elementwise. The recurrence is not linear in the memory; its gradient is, as every gradient's.
"""

from __future__ import annotations

from math import exp
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqdemo.plugin import Cell, State, Trace
from seqdemo.plugin.sequence import blank_padding

from .blocks import at_lengths
from .config import SRUConfig
from .scan import adjoint_scan

__all__ = ["SRU"]


class SRU(Cell):
    """One layer (equations 1 to 4 of the paper, section 3.2 for the scale ``α``).

    ``f = σ(W_f x + v_f ⊙ c + b_f)``, ``c' = f ⊙ c + (1 - f) ⊙ W x``,
    ``r = σ(W_r x + v_r ⊙ c + b_r)``, ``h = r ⊙ c' + (1 - r) ⊙ α x``; ``x`` is projected where its size is not ``H``.

    State ``c`` ``(B, H)``. Trace: gates ``f``, ``r`` in (0, 1), candidate ``u = W x``, ``c``, ``h``.
    """

    TRACE_RANGES: ClassVar = {"f": (0.0, 1.0), "r": (0.0, 1.0)}

    def __init__(self, config: SRUConfig, input_size: int) -> None:
        hidden = config.hidden_size
        super().__init__(input_size, hidden)
        # W, W_f, W_r and, where needed, the highway's projection, in one product.
        self.parts = 3 if input_size == hidden else 4
        self.project = nn.Linear(input_size, self.parts * hidden, bias=False)
        self.from_memory = nn.Parameter(torch.empty(2, hidden))
        self.bias = nn.Parameter(torch.zeros(2, hidden))
        # Section 3.2: weights of variance 1 / I, and an α that keeps the variance of x through the highway.
        nn.init.uniform_(self.project.weight, -((3 / input_size) ** 0.5), (3 / input_size) ** 0.5)
        nn.init.uniform_(self.from_memory, -((3 / hidden) ** 0.5), (3 / hidden) ** 0.5)
        nn.init.constant_(self.bias[1], config.highway_bias)
        self.scale = (1 + 2 * exp(config.highway_bias)) ** 0.5

    def initial_state(self, batch_size: int) -> State:
        return {"c": self.bias.new_zeros(batch_size, self.output_size)}

    def _parts(self, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Candidate, both gates' part from the input, and the highway: ``(..., H)`` each."""
        # Mixed precision gives products in half precision; the recurrence stays as exact as its state.
        candidate, forget, show, *other = self.project(x).to(like.dtype).chunk(self.parts, -1)
        highway = self.scale * (other[0] if other else x.to(like.dtype))
        return candidate, forget + self.bias[0], show + self.bias[1], highway

    def _shown(self, show: Tensor, highway: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Equations 3 and 4: the highway gate ``r`` and ``h``."""
        r = torch.addcmul(show, self.from_memory[1], before).sigmoid()
        return r, torch.lerp(highway, after, r)

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        before = (self.initial_state(x.shape[0]) if state is None else state)["c"]
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, self.output_size), {"c": before}
        candidate, forget, show, highway = self._parts(blank_padding(x, lengths), before)
        c: Tensor = _Memory.apply(candidate, forget, self.from_memory[0], before)  # type: ignore[no-untyped-call]
        _, h = self._shown(show, highway, torch.cat([before.unsqueeze(1), c[:, :-1]], 1), c)
        return blank_padding(h, lengths), {"c": at_lengths(c, before, lengths)}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        before = state["c"]
        candidate, forget, show, highway = self._parts(x, before)
        f = torch.addcmul(forget, self.from_memory[0], before).sigmoid()
        c = torch.lerp(candidate, before, f)
        r, h = self._shown(show, highway, before, c)
        return h, {"c": c}, {"f": f, "r": r, "u": candidate, "c": c, "h": h}


class _Memory(torch.autograd.Function):
    """Equations 1 and 2 over time, ``f_t = σ(s_t + v ⊙ c_{t-1})`` and ``c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ u_t``."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, s: Tensor, v: Tensor, initial: Tensor) -> Tensor:
        f, c = u.new_empty(u.shape), u.new_empty(u.shape)
        state = initial
        for candidate, given, gate, place in zip(u.unbind(1), s.unbind(1), f.unbind(1), c.unbind(1), strict=True):
            torch.addcmul(given, v, state, out=gate).sigmoid_()
            state = torch.lerp(candidate, state, gate, out=place)
        ctx.save_for_backward(u, v, initial, f, c)
        return c

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u, v, initial, f, c = ctx.saved_tensors
        before = torch.cat([initial.unsqueeze(1), c[:, :-1]], 1)
        keep = 1 - f
        slope = (before - u) * f * keep  # of c_t by s_t
        into_c, into_initial = adjoint_scan(torch.addcmul(f, slope, v), grad)
        into_s = into_c * slope
        return into_c * keep, into_s, (into_s * before).sum((0, 1)), into_initial
