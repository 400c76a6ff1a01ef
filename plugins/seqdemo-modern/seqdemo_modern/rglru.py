"""RG-LRU: De et al., "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
2024 (arXiv 2402.19427). Shape letters: ``B`` batch, ``T`` time, ``H`` width.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, State, Trace

from .blocks import Block, Blocks, CausalConv, GatedMLP, HeadLinear, at_lengths, heads_in
from .config_ssm import RGLRUConfig
from .scan import linear_scan

__all__ = ["RGLRU", "RGLRUBranch"]

_C = 8.0
"""``c`` of equation 3."""


class RGLRUBranch(Cell):
    """Griffin's recurrent block (section 2.3): a GeLU branch times a branch of convolution and RG-LRU.

    State: ``h`` ``(B, H)``, ``conv`` ``(B, K - 1, H)``. Trace: ``r`` and ``i`` (recurrence and input gate, in (0, 1)),
    ``a`` (what is kept, in (0, 1)), ``h``.
    """

    TRACE_RANGES: ClassVar = {"r": (0.0, 1.0), "i": (0.0, 1.0), "a": (0.0, 1.0)}

    def __init__(self, config: RGLRUConfig) -> None:
        width = config.hidden_size
        super().__init__(width, width)
        self.inputs = nn.Linear(width, 2 * width)
        self.conv = CausalConv(width, config.conv_kernel)
        self.gates = HeadLinear(width, heads_in(width, config.num_heads), 2)
        # a^c starts uniform in [0.9, 0.999] (section 2.4); a = exp(-softplus(Λ)).
        kept = torch.empty(width).uniform_(0.9, 0.999)
        self.decay = nn.Parameter(torch.log(torch.expm1(-kept.log() / _C)))
        self.output = nn.Linear(width, width)

    def initial_state(self, batch_size: int) -> State:
        return {"h": self.decay.new_zeros(batch_size, self.output_size), "conv": self.conv.initial_state(batch_size)}

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Equations 1 to 4 up to the recurrence: ``r``, ``i``, ``a`` and what is added to ``a ⊙ h``."""
        both: Tensor = self.gates(x)
        r, i = (gate.flatten(-2) for gate in torch.sigmoid(both.to(x.dtype)).chunk(2, -1))
        log_a = -_C * F.softplus(self.decay) * r
        # The slope of a square root at 0 has no bound.
        rest = torch.sqrt((-torch.expm1(2 * log_a)).clamp(min=1e-12))
        return r, i, torch.exp(log_a), rest * i * x

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        gate, z = self.inputs(x).chunk(2, -1)
        z, conv = self.conv(z, state["conv"], lengths)
        _, _, a, b = self._gates(z.to(state["h"].dtype))
        h = linear_scan(a, b, state["h"])
        y: Tensor = self.output(F.gelu(gate, approximate="tanh") * h)
        return y, {"h": at_lengths(h, state["h"], lengths), "conv": conv}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """``h' = a ⊙ h + sqrt(1 - a²) ⊙ (i ⊙ x)`` with ``a = exp(-c softplus(Λ) ⊙ r)`` (equations 1 to 4)."""
        gate, z = self.inputs(x).chunk(2, -1)
        z, conv = self.conv.step(z, state["conv"])
        r, i, a, b = self._gates(z.to(state["h"].dtype))
        h = a * state["h"] + b
        y = self.output(F.gelu(gate, approximate="tanh") * h)
        return y, {"h": h, "conv": conv}, {"r": r, "i": i, "a": a, "h": h}


class RGLRU(Blocks):
    """Griffin's residual pattern with recurrent blocks only: RMSNorm, recurrent block, RMSNorm, gated MLP."""

    def __init__(self, config: RGLRUConfig, input_size: int) -> None:
        norm = partial(nn.RMSNorm, eps=1e-6)
        super().__init__(
            input_size,
            [
                Block(RGLRUBranch(config), norm, config.dropout, GatedMLP(config.hidden_size, config.expansion))
                for _ in range(config.num_layers)
            ],
            norm,
        )
