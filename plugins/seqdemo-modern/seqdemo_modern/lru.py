"""LRU: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", 2023 (arXiv 2303.06349).

Shape letters: ``B`` batch, ``T`` time, ``H`` width, ``N`` complex numbers remembered.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, State, Trace

from .blocks import Block, Blocks, at_lengths
from .config_ssm import LRUConfig
from .scan import linear_scan

__all__ = ["LRU", "LRUBranch"]


class LRUBranch(Cell):
    """The unit (equation 2 in the form of section 3.4), GeLU and a gated linear unit.

    State: ``re`` and ``im`` ``(B, N)``. Trace: ``re``, ``im``, ``gate`` (of the gated linear unit, in (0, 1)).
    """

    TRACE_RANGES: ClassVar = {"gate": (0.0, 1.0)}

    def __init__(self, config: LRUConfig) -> None:
        width = config.hidden_size
        size = config.state_size or width
        super().__init__(width, width)
        # Lemma 3.2: uniform on the ring between the two radii.
        low, high = config.min_radius**2, config.max_radius**2
        square = torch.rand(size) * (high - low) + low
        # A modulus of exactly 0 would have no logarithm.
        self.log_decay = nn.Parameter(torch.log(-0.5 * torch.log(square.clamp(1e-12))))
        self.log_phase = nn.Parameter(torch.log(config.max_phase * torch.rand(size).clamp(1e-6)))
        self.log_scale = nn.Parameter(0.5 * torch.log1p(-square))
        # The real parts, then the imaginary ones; equal shares of a Glorot variance.
        self.inputs = nn.Linear(width, 2 * size, bias=False)
        self.outputs = nn.Linear(2 * size, width, bias=False)
        nn.init.normal_(self.inputs.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(self.outputs.weight, std=size**-0.5)
        self.skip = nn.Parameter(torch.randn(width))
        self.mix = nn.Linear(width, 2 * width)

    def initial_state(self, batch_size: int) -> State:
        zeros = self.log_decay.new_zeros(batch_size, len(self.log_decay))
        return {"re": zeros, "im": zeros.clone()}

    def _eigenvalues(self) -> Tensor:
        """``λ = exp(-exp(ν) + i exp(θ))`` ``(N,)``, inside the unit disk whatever ``ν`` (section 3.3)."""
        return torch.polar(torch.exp(-torch.exp(_wide(self.log_decay))), torch.exp(_wide(self.log_phase)))

    def _enter(self, x: Tensor) -> Tensor:
        """``γ ⊙ B x``: ``(..., H)`` -> complex ``(..., N)`` (equation 7)."""
        scaled = _wide(self.inputs(x)) * torch.exp(_wide(self.log_scale)).repeat(2)
        return torch.complex(*scaled.chunk(2, -1))

    def _leave(self, h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """``Re(C h) + D x`` through GeLU and the gated linear unit, and its gate."""
        y = self.outputs(torch.cat([h.real, h.imag], -1).to(x.dtype)) + self.skip * x
        value, gate = self.mix(F.gelu(y)).chunk(2, -1)
        gate = torch.sigmoid(gate)
        return value * gate, gate

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        before = torch.complex(_wide(state["re"]), _wide(state["im"]))
        h = linear_scan(self._eigenvalues(), self._enter(x), before)
        after = at_lengths(h, before, lengths)
        return self._leave(h, x)[0], _apart(after, state)

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """``h' = λ ⊙ h + γ ⊙ (B x)``, ``y = Re(C h') + D x`` (equations 2 and 7)."""
        before = torch.complex(_wide(state["re"]), _wide(state["im"]))
        h = self._eigenvalues() * before + self._enter(x)
        y, gate = self._leave(h, x)
        after = _apart(h, state)
        return y, after, {**after, "gate": gate}


def _wide(x: Tensor) -> Tensor:
    """At least float32: there are no complex numbers of half precision worth the name."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _apart(h: Tensor, like: State) -> State:
    """Complex ``(B, N)`` as a state."""
    return {"re": h.real.to(like["re"], copy=True), "im": h.imag.to(like["im"], copy=True)}


class LRU(Blocks):
    """The paper's deep architecture (section 2): norm, LRU, gated linear unit, skip connection."""

    def __init__(self, config: LRUConfig, input_size: int) -> None:
        blocks = [Block(LRUBranch(config), nn.LayerNorm, config.dropout) for _ in range(config.num_layers)]
        super().__init__(input_size, blocks, nn.LayerNorm)
