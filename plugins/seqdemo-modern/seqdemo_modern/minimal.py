"""What minGRU and minLSTM have in common: a recurrence that is linear in the state, since no gate sees it.

Feng et al., "Were RNNs All We Needed?", 2024. This is the paper's plain form (sections 3.1 and 3.2): the candidate is
a linear map of the input, of either sign. The appendix's form in log space keeps states positive by passing candidates
through a function ``g``; it is there so that a scan over logarithms is possible. The scan here takes no logarithm, so
it needs no ``g`` and accepts any incoming state.

Shape letters: ``B`` batch, ``T`` time, ``I`` input, ``H`` hidden, ``G`` projections of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, State, Trace
from seqdemo.plugin.sequence import blank_padding

from .blocks import Block, Blocks, CausalConv, GatedMLP, at_lengths
from .config import MinimalConfig
from .scan import gated_scan

__all__ = ["Expanded", "MinimalCell", "MinimalModel"]


class MinimalCell(Cell):
    """``h_t = a_t ⊙ h_{t-1} + (1 - a_t) ⊙ v_t`` with ``a`` and ``v`` from ``G`` projections of ``x_t``. ``y`` is ``h``.

    State ``h`` ``(B, H)``.

    Class attributes:
        projections: ``G``.
    """

    projections: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.project = nn.Linear(input_size, self.projections * hidden_size)

    def gated(self, projected: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """``G`` tensors ``(..., H)`` -> what is kept ``a`` and the candidate ``v``, ``(..., H)``."""
        raise NotImplementedError

    def shown(self, keep: Tensor, value: Tensor) -> Trace:
        """``a`` and ``v`` by the paper's names."""
        raise NotImplementedError

    def initial_state(self, batch_size: int) -> State:
        return {"h": self.project.weight.new_zeros(batch_size, self.output_size)}

    def _gated(self, projected: Sequence[Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
        # Mixed precision gives products in half precision; the recurrence stays as exact as its state.
        return self.gated(tuple(one.to(like.dtype) for one in projected))

    def _read(self, x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        # Each projection by itself: parts of a common one would lie apart in memory, and their gradients be copied
        # together.
        parts = zip(self.project.weight.chunk(self.projections), self.project.bias.chunk(self.projections), strict=True)
        return self._gated([F.linear(x, weight, bias) for weight, bias in parts], like)

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        before = (self.initial_state(x.shape[0]) if state is None else state)["h"]
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, self.output_size), {"h": before}
        h = gated_scan(*self._read(blank_padding(x, lengths), before), before)
        return blank_padding(h, lengths), {"h": at_lengths(h, before, lengths)}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        keep, value = self._gated(self.project(x).chunk(self.projections, -1), state["h"])
        h = torch.lerp(value, state["h"], keep)
        return h, {"h": h}, {**self.shown(keep, value), "h": h}


class Expanded(Cell):
    """Short convolution, then a cell wider than the residual stream, then a projection back: ``H -> H``.

    State ``conv`` ``(B, K - 1, H)`` and the cell's own.
    """

    def __init__(self, cell: MinimalCell, kernel: int) -> None:
        super().__init__(cell.input_size, cell.input_size)
        self.conv = CausalConv(cell.input_size, kernel)
        self.cell = cell
        self.down = nn.Linear(cell.output_size, cell.input_size)

    def initial_state(self, batch_size: int) -> State:
        return {"conv": self.conv.initial_state(batch_size), **self.cell.initial_state(batch_size)}

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        mixed, recent = self.conv(x, state["conv"], lengths)
        h, after = self.cell(mixed, state, lengths)
        return self.down(h), {"conv": recent, **after}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        mixed, recent = self.conv.step(x, state["conv"])
        h, after, named = self.cell.trace_step(mixed, state)
        return self.down(h), {"conv": recent, **after}, named


class MinimalModel(Blocks):
    """Residual blocks: RMS norm, convolution, cell, projection; then RMS norm and a gated MLP.

    State ``layer{k}.h`` ``(B, expansion · H)`` and ``layer{k}.conv`` ``(B, conv_kernel - 1, H)``.

    Class attributes:
        cell: the class of its cells.
    """

    cell: ClassVar[type[MinimalCell]]

    def __init__(self, config: MinimalConfig, input_size: int) -> None:
        width = config.hidden_size
        inner = max(1, round(width * config.expansion))
        blocks = [
            Block(
                Expanded(self.cell(width, inner), config.conv_kernel),
                nn.RMSNorm,
                config.dropout,
                GatedMLP(width, config.mlp_expansion),
            )
            for _ in range(config.num_layers)
        ]
        super().__init__(input_size, blocks, nn.RMSNorm)
