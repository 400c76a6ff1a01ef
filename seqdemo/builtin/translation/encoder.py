"""The encoder: layers that read both ways, of any recurrent model.

Shape letters: ``B`` batch, ``S`` source length, ``E`` embedding, ``M`` memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Bidirectional, RecurrentModel, sequence

__all__ = ["Encoder"]


class Encoder(nn.Module):
    """``(B, S, E)`` -> memory ``(B, S, M)``.

    Args:
        make: a model for inputs of a width. A causal one reads ahead, beside another that reads back; one that is
            bidirectional by itself is taken as it is.
        width: ``E``.
        layers: how many.
        dropout: on the output of every layer.

    Attributes:
        output_size: ``M``.
    """

    def __init__(self, make: Callable[[int], RecurrentModel], width: int, layers: int, dropout: float) -> None:
        super().__init__()
        made: list[RecurrentModel] = []
        for _ in range(layers):
            below = made[-1].output_size if made else width
            model = make(below)
            made.append(Bidirectional(model, make(below)) if model.causal else model)
        self.layers = nn.ModuleList(made)
        self.dropout = dropout
        self.output_size = made[-1].output_size

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The memory, zero beyond ``lengths`` ``(B,)``."""
        for layer in self.layers:
            x = F.dropout(_read(cast(RecurrentModel, layer), x, lengths), self.dropout, self.training)
        return x


def _read(model: RecurrentModel, x: Tensor, lengths: Tensor) -> Tensor:
    if not isinstance(model, Bidirectional):
        y: Tensor = model(x, None, lengths)[0]
        return y
    # What pads a row on the right cannot change what a causal model gave before it. So neither direction is told the
    # lengths, and each takes its fastest form.
    ahead, back = model.ahead(x)[0], model.back(sequence.reverse(x, lengths))[0]
    return sequence.blank_padding(torch.cat([ahead, sequence.reverse(back, lengths)], 2), lengths)
