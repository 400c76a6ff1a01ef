"""What the families share: a layer that reads whole sequences, its norms, and its window on the last positions.

Shape letters: ``B`` batch, ``T`` time, ``H`` hidden, ``K`` positions kept, ``F`` features, ``V`` vocabulary.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqdemo.plugin import RecurrentModel, Stack, State, Trace
from seqdemo.plugin.sequence import blank_padding

__all__ = ["Backbone", "Layer", "Pieces", "RMSNorm", "causal_conv", "keep_last", "wide"]


class Pieces(NamedTuple):
    """A pretrained model taken apart.

    Attributes:
        embedding: ``(V, H)``.
        layers: in the order they are applied.
        norm: on the last layer's output.
        output: ``H -> V``, maybe the embedding's own weight.
        scale: the vectors of tokens are multiplied by it.
        cap: logits become ``cap * tanh(logits / cap)``; None leaves them.
    """

    embedding: nn.Embedding
    layers: Sequence[Layer]
    norm: nn.Module
    output: nn.Linear
    scale: float = 1.0
    cap: float | None = None


def wide(x: Tensor) -> Tensor:
    """At least float32: what sums over time are kept in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def keep_last(before: Tensor, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Put what came before in front.

    Args:
        before: ``(B, K, ...)``, the last positions read.
        x: ``(B, T, ...)``.
        lengths: ``(B,)``, right padding of ``x``.

    Returns:
        both together ``(B, K + T, ...)``, and the last ``K`` positions at each row's own length, ``(B, K, ...)``.
    """
    full = torch.cat([before, x.to(before.dtype)], 1)
    kept = before.shape[1]
    if lengths is None:
        return full, full[:, x.shape[1] :].clone()
    index = lengths.to(x.device).unsqueeze(1) + torch.arange(kept, device=x.device)
    return full, full[torch.arange(len(x), device=x.device).unsqueeze(1), index]


def causal_conv(x: Tensor, before: Tensor, conv: Any, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Depthwise convolution over time that sees no future.

    Args:
        x: ``(B, T, F)``.
        before: ``(B, K, F)``, the inputs before ``x``; the kernel is ``K + 1`` wide.
        conv: a ``Conv1d`` with one group for each feature.

    Returns:
        ``(B, T, F)`` and the last ``K`` inputs at each row's own length.
    """
    full, after = keep_last(before, x, lengths)
    time, weight = x.shape[1], wide(conv.weight)[:, 0]
    y = sum(wide(full[:, k : k + time]) * weight[:, k] for k in range(weight.shape[1]))
    assert isinstance(y, Tensor)
    return (y if conv.bias is None else y + wide(conv.bias)).to(x.dtype), after


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019, eq. 4) over the last dimension, in at least float32.

    Args:
        source: the module whose weight, and bias if any, are used.
        offset: added to the weight.
    """

    def __init__(self, source: Any, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = source.weight
        self.bias = getattr(source, "bias", None)
        self.eps = eps
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` of any dtype -> the same shape, in the weight's dtype."""
        x = wide(x)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (self.offset + wide(self.weight))
        return (x if self.bias is None else x + wide(self.bias)).to(self.weight.dtype)


class Layer(RecurrentModel):
    """One block of a pretrained model, ``(B, T, H) -> (B, T, H)``: its weights, read by a scan of our own.

    Args:
        block: the pretrained block.
        size: ``H``.
    """

    def __init__(self, block: Any, size: int) -> None:
        super().__init__(size, size)
        self.block = block

    @abstractmethod
    def read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        """At least one position, padding blanked: ``y`` (anything in the padding), the state after, inner values."""

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x, dict(state)
        y, after, _ = self.read(blank_padding(x, lengths), state, lengths)
        return blank_padding(y, lengths), after

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        state = self.initial_state(x.shape[0]) if state is None else state
        return self.read(x, state, None) if x.shape[1] else (x, dict(state), {})

    def zeros(self, *shape: int, like: Tensor, summed: bool = False) -> Tensor:
        """A zero entry beside a weight; in at least float32 if it is a sum over time."""
        dtype = torch.promote_types(like.dtype, torch.float32) if summed else like.dtype
        return torch.zeros(*shape, dtype=dtype, device=like.device)


class Backbone(RecurrentModel):
    """All layers and the norm after them: vectors of tokens ``(B, T, H)`` -> vectors ``(B, T, H)``."""

    def __init__(self, layers: Sequence[Layer], norm: nn.Module) -> None:
        super().__init__(layers[0].input_size, layers[-1].output_size)
        self.stack = Stack(layers)
        self.norm = norm

    def initial_state(self, batch_size: int) -> State:
        return self.stack.initial_state(batch_size)

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        y, state = self.stack(x, state, lengths)
        return blank_padding(self.norm(y), lengths), state

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        y, state, inner = self.stack.trace(x, state)
        return self.norm(y), state, inner
