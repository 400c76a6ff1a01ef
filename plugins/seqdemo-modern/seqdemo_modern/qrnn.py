"""Quasi-recurrent network (Bradbury et al., "Quasi-Recurrent Neural Networks", 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from seqdemo.plugin import Cell, State, Trace
from seqdemo.plugin.sequence import blank_padding

from .blocks import at_lengths
from .config import QRNNConfig
from .scan import gated_scan

__all__ = ["QRNN"]


class QRNN(Cell):
    """One layer with fo-pooling (section 2; ``*`` is a convolution over the last ``K`` positions).

    ``z = tanh(W_z * x)``, ``f = σ(W_f * x)``, ``o = σ(W_o * x)`` (equation 1), with biases;
    ``c' = f ⊙ c + (1 - f) ⊙ z``, ``h = o ⊙ c'`` (equation 4).

    State ``c`` ``(B, H)`` and ``x`` ``(B, K - 1, I)``, the last inputs, oldest first. Trace: gates ``f``, ``o`` in
    (0, 1), candidate ``z`` in (-1, 1), ``c``, ``h``.
    """

    TRACE_RANGES: ClassVar = {"z": (-1.0, 1.0), "f": (0.0, 1.0), "o": (0.0, 1.0)}

    def __init__(self, config: QRNNConfig, input_size: int) -> None:
        super().__init__(input_size, config.hidden_size)
        self.recent = config.kernel_size - 1
        # Each position with those before it side by side: all convolutions are one product.
        self.project = nn.Linear(config.kernel_size * input_size, 3 * config.hidden_size)

    def initial_state(self, batch_size: int) -> State:
        like = self.project.weight
        return {
            "c": like.new_zeros(batch_size, self.output_size),
            "x": like.new_zeros(batch_size, self.recent, self.input_size),
        }

    def _gates(self, windows: Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(..., K · I)`` -> ``z``, ``f``, ``o`` ``(..., H)``."""
        # Mixed precision gives products in half precision; the recurrence stays as exact as its state.
        z, f, o = self.project(windows).to(like.dtype).chunk(3, -1)
        return z.tanh(), f.sigmoid(), o.sigmoid()

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, self.output_size), dict(state)
        seen = torch.cat([state["x"], blank_padding(x, lengths).to(state["x"].dtype)], 1)
        windows = torch.cat([seen[:, k : k + x.shape[1]] for k in range(self.recent + 1)], 2)
        z, f, o = self._gates(windows, state["c"])
        c = gated_scan(f, z, state["c"])
        after = {"c": at_lengths(c, state["c"], lengths), "x": self._last_inputs(seen, lengths)}
        return blank_padding(o * c, lengths), after

    def _last_inputs(self, seen: Tensor, lengths: Tensor | None) -> Tensor:
        """``(B, K - 1 + T, I)`` -> ``(B, K - 1, I)``, those before the end of each row."""
        if lengths is None:
            return seen[:, -self.recent :].clone()
        rows = torch.arange(len(seen), device=seen.device).unsqueeze(1)
        return seen[rows, lengths.to(seen.device).unsqueeze(1) + torch.arange(self.recent, device=seen.device)]

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        seen = torch.cat([state["x"], x.to(state["x"].dtype).unsqueeze(1)], 1)
        z, f, o = self._gates(seen.flatten(1), state["c"])
        c = torch.lerp(z, state["c"], f)
        h = o * c
        return h, {"c": c, "x": seen[:, 1:]}, {"z": z, "f": f, "o": o, "c": c, "h": h}
