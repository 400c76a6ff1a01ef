"""Mamba's selective state space (S6): Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
2023 (arXiv 2312.00752). Shape letters: ``B`` batch, ``T`` time, ``H`` width, ``F`` inner channels, ``N`` state of each.
"""

from __future__ import annotations

from functools import partial
from math import ceil, inf, log
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, State, Trace
from seqdemo.plugin.sequence import blank_padding

from .blocks import Block, Blocks, CausalConv, full_precision
from .config_ssm import MambaConfig
from .selective import selective_scan

__all__ = ["Mamba", "MambaBranch"]


class MambaBranch(Cell):
    """The Mamba block (section 3.4, figure 3): convolution, selective state space, gate.

    State: ``h`` ``(B, N, F)``, ``conv`` ``(B, K - 1, F)``. Trace: ``delta`` (step size, above 0), ``B`` and ``C``
    (what is written and read), ``gate``, ``h``.
    """

    TRACE_RANGES: ClassVar = {"delta": (0.0, inf)}

    def __init__(self, config: MambaConfig) -> None:
        width = config.hidden_size
        super().__init__(width, width)
        features, size = config.expansion * width, config.state_size
        rank = config.step_rank or ceil(width / 16)
        self.parts = [rank, size, size]
        self.inputs = nn.Linear(width, 2 * features, bias=False)
        self.conv = CausalConv(features, config.conv_kernel)
        self.select = nn.Linear(features, sum(self.parts), bias=False)
        self.steps = nn.Linear(rank, features)
        # Section 3.6: A is -1, ..., -N in every channel, and steps start log-uniform in [0.001, 0.1].
        self.log_decay = nn.Parameter(torch.arange(1.0, size + 1).log().unsqueeze(1).repeat(1, features))
        nn.init.uniform_(self.steps.weight, -(rank**-0.5), rank**-0.5)
        start = torch.exp(torch.empty(features).uniform_(log(1e-3), log(1e-1)))
        self.steps.bias = nn.Parameter(start + torch.log(-torch.expm1(-start)))
        self.skip = nn.Parameter(torch.ones(features))
        self.output = nn.Linear(features, width, bias=False)

    def initial_state(self, batch_size: int) -> State:
        return {
            "h": self.log_decay.new_zeros(batch_size, *self.log_decay.shape),
            "conv": self.conv.initial_state(batch_size),
        }

    def _select(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step size ``Δ`` ``(..., F)``, ``B`` and ``C`` ``(..., N)`` as functions of the input (algorithm 2)."""
        rank, write, read = self.select(x).to(x.dtype).split(self.parts, -1)
        return F.softplus(self.steps(rank).to(x.dtype)), write, read

    def _leave(self, y: Tensor, x: Tensor, gate: Tensor) -> Tensor:
        out: Tensor = self.output((y + self.skip * x) * gate)
        return out

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        z, gate = self.inputs(x).chunk(2, -1)
        z, conv = self.conv(z, state["conv"], lengths)
        z = F.silu(z.to(state["h"].dtype))
        delta, write, read = self._select(z)
        # A step of size 0 leaves the state as it is.
        delta = blank_padding(delta, lengths)
        with full_precision(x):
            y, h = selective_scan(z, delta, -torch.exp(self.log_decay), write, read, state["h"])
        return self._leave(y, z, F.silu(gate)), {"h": h, "conv": conv}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """``h' = exp(Δ A) h + Δ B x``, ``y = C h' + D x``: equation 2.

        ``A`` is discretised by equation 4, ``B`` by Euler's rule as in the authors' code.
        """
        z, gate = self.inputs(x).chunk(2, -1)
        z, conv = self.conv.step(z, state["conv"])
        z = F.silu(z.to(state["h"].dtype))
        delta, write, read = self._select(z)
        kept = torch.exp(delta.unsqueeze(1) * -torch.exp(self.log_decay))
        h = kept * state["h"] + write.unsqueeze(2) * (delta * z).unsqueeze(1)
        gate = F.silu(gate)
        y = self._leave((h * read.unsqueeze(2)).sum(1), z, gate)
        return y, {"h": h, "conv": conv}, {"delta": delta, "B": write, "C": read, "gate": gate, "h": h}


class Mamba(Blocks):
    """Mamba blocks, each behind an RMSNorm in a residual stream."""

    def __init__(self, config: MambaConfig, input_size: int) -> None:
        norm = partial(nn.RMSNorm, eps=1e-5)
        blocks = [Block(MambaBranch(config), norm, config.dropout) for _ in range(config.num_layers)]
        super().__init__(input_size, blocks, norm)
