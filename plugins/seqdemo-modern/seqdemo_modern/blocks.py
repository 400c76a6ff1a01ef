"""Residual blocks around a recurrent branch, and what several of these branches are made of.

A branch is a :class:`~seqdemo.plugin.Cell` whose ``forward`` reads a whole sequence at once. Inside a model its padding
holds finite numbers, and what it gives there is dropped. Shape letters: ``B`` batch, ``T`` time, ``I`` input, ``H``
the width of the residual stream, ``F`` features of a branch, ``K`` positions a convolution sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, RecurrentModel, Stack, State, Trace
from seqdemo.plugin.sequence import blank_padding

__all__ = [
    "STRETCH",
    "Block",
    "Blocks",
    "CausalConv",
    "GatedMLP",
    "HeadLinear",
    "HeadNorm",
    "at_lengths",
    "full_precision",
    "heads_in",
]

Norm = Callable[[int], nn.Module]

STRETCH = 1024
"""Positions read at a time on the CPU where nothing is kept for gradients: what lies between two layers then stays in
the processor's cache, which saves a quarter of the time."""


class Block(Cell):
    """``x + branch(norm(x))``, then ``x + mlp(norm(x))`` where there is an MLP. The state is the branch's.

    Args:
        branch: ``(B, T, H)`` -> ``(B, T, H)``.
        norm: makes the norm before each branch.
        dropout: on what each branch adds, while training.
        mlp: ``(..., H)`` -> ``(..., H)``.
    """

    def __init__(self, branch: Cell, norm: Norm, dropout: float = 0.0, mlp: nn.Module | None = None) -> None:
        width = branch.input_size
        super().__init__(width, width)
        self.norm = norm(width)
        self.branch = branch
        self.mlp = None if mlp is None else nn.Sequential(norm(width), mlp)
        self.dropout = nn.Dropout(dropout)

    def initial_state(self, batch_size: int) -> State:
        return self.branch.initial_state(batch_size)

    def _add(self, x: Tensor, y: Tensor) -> Tensor:
        x = x + self.dropout(y)
        return x if self.mlp is None else x + self.dropout(self.mlp(x))

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        y, state = self.branch(self.norm(x), state, lengths)
        return self._add(x, y), state

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        y, state, named = self.branch.trace_step(self.norm(x), state)
        return self._add(x, y), state, named


class Blocks(RecurrentModel):
    """Blocks above one another, with a projection below where the input has another width, and a norm above.

    State and trace entries are named ``layer{k}.…``.
    """

    def __init__(self, input_size: int, blocks: Sequence[Block], norm: Norm) -> None:
        width = blocks[0].input_size
        super().__init__(input_size, width)
        self.enter = nn.Identity() if input_size == width else nn.Linear(input_size, width)
        self.blocks = Stack(blocks)
        self.norm = norm(width)

    def initial_state(self, batch_size: int) -> State:
        return self.blocks.initial_state(batch_size)

    def _enter(self, x: Tensor) -> Tensor:
        # Under mixed precision the residual stream, a sum, stays in the precision of the weights.
        entered: Tensor = self.enter(x)
        return entered.to(next(self.norm.parameters()).dtype)

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], 0, self.output_size), dict(state)
        if lengths is None and x.shape[1] > STRETCH and x.device.type == "cpu" and not torch.is_grad_enabled():
            outputs = []
            for part in torch.split(x, STRETCH, 1):
                y, state = self._read(part, state, None)
                outputs.append(y)
            return torch.cat(outputs, 1), state
        return self._read(x, state, lengths)

    def _read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        y, state = self.blocks(self._enter(blank_padding(x, lengths)), state, lengths)
        return blank_padding(self.norm(y), lengths), state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.blocks.step(self._enter(x), state)
        return self.norm(y), state

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        y, state, named = self.blocks.trace(self._enter(x), state)
        return self.norm(y), state, named


class GatedMLP(nn.Module):
    """``W3 (gelu(W1 x) ⊙ W2 x)``: ``(..., H)`` -> ``(..., H)`` (Shazeer 2020, GEGLU)."""

    def __init__(self, width: int, expansion: float) -> None:
        super().__init__()
        inner = max(1, round(width * expansion))
        self.up = nn.Linear(width, 2 * inner)
        self.down = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        y: Tensor = self.down(F.gelu(gate, approximate="tanh") * value)
        return y


class HeadLinear(nn.Module):
    """A block-diagonal map, one block a head: ``(..., F)`` -> ``(..., heads, n · F / heads)``, with a bias."""

    def __init__(self, features: int, heads: int, n: int = 1) -> None:
        super().__init__()
        size = features // heads
        bound = size**-0.5
        self.weight = nn.Parameter(torch.empty(heads, size, n * size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(heads, n * size))

    def forward(self, x: Tensor) -> Tensor:
        heads, size, outputs = self.weight.shape
        by_head = x.reshape(-1, heads, size).transpose(0, 1)
        y = torch.baddbmm(self.bias.unsqueeze(1), by_head, self.weight).transpose(0, 1)
        return y.reshape(*x.shape[:-1], heads, outputs)


class HeadNorm(nn.Module):
    """Layer norm within each head, with one scale a feature: ``(..., heads, D)`` -> ``(..., heads · D)``."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:]).flatten(-2) * self.weight


class CausalConv(nn.Module):
    """Each feature's own convolution over the last ``K`` positions. Its state is the last ``K - 1`` inputs."""

    def __init__(self, features: int, kernel: int) -> None:
        super().__init__()
        bound = kernel**-0.5
        self.weight = nn.Parameter(torch.empty(features, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(features))

    def initial_state(self, batch_size: int) -> Tensor:
        """Zeros ``(B, K - 1, F)``."""
        features, kernel = self.weight.shape
        return self.weight.new_zeros(batch_size, kernel - 1, features)

    def forward(self, x: Tensor, before: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, T, F)`` and the inputs before it -> ``(B, T, F)`` and the last inputs within each row's length."""
        seen = torch.cat([before, x.to(before.dtype)], 1)
        # In two dimensions there is a kernel for features that lie last in memory; in one, all would be moved twice.
        kernels = self.weight.unsqueeze(1).unsqueeze(2)
        y = F.conv2d(seen.transpose(1, 2).unsqueeze(2), kernels, self.bias, groups=len(kernels))
        y = y.squeeze(2).transpose(1, 2).contiguous()
        recent = before.shape[1]
        if lengths is None:
            return y, seen[:, -recent:].clone()
        index = lengths.to(x.device).unsqueeze(1) + torch.arange(recent, device=x.device)
        return y, seen.gather(1, index.unsqueeze(2).expand(-1, -1, seen.shape[2]))

    def step(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, F)`` -> ``(B, F)`` and the last inputs."""
        seen = torch.cat([before, x.to(before.dtype).unsqueeze(1)], 1)
        return (seen * self.weight.T).sum(1) + self.bias, seen[:, 1:]


def heads_in(width: int, most: int) -> int:
    """The largest number of heads, at most ``most``, that divides ``width``."""
    return next(heads for heads in range(min(most, width), 0, -1) if width % heads == 0)


def at_lengths(after: Tensor, before: Tensor, lengths: Tensor | None) -> Tensor:
    """Of the states after each position ``(B, T, ...)``, that at each row's length: ``before`` at length 0."""
    if lengths is None:
        return after[:, -1].clone()
    index = lengths.to(after.device)
    rows = torch.arange(len(after), device=after.device)
    last = after[rows, (index - 1).clamp(min=0)]
    return torch.where((index > 0).view(-1, *(1,) * (before.dim() - 1)), last, before)


def full_precision(x: Tensor) -> torch.autocast:
    """A recurrence under mixed precision: inside, products keep the precision of the state."""
    return torch.autocast(x.device.type, enabled=False)
