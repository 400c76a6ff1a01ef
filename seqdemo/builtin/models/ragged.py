"""Rows of different lengths through torch's fused LSTM on the CPU.

oneDNN takes no packed sequences, and torch's own loop over them is ten times as slow to differentiate. So rows stay
padded here. One more input is 1 in the padding; its weights shut the input gate and open the forget gate there, so
that each cell stays what it was at its row's own length.

Shape letters: ``B`` batch, ``T`` time, ``I`` input, ``H`` hidden, ``L`` layers, ``D`` directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import dropout

from seqdemo.plugin import sequence

__all__ = ["fits", "ragged_lstm"]

_SHUT = 1e4
"""Far more than a gate is ever fed: the sigmoid of it is exactly 1, that of its negative exactly 0."""


def fits(x: Tensor) -> bool:
    """Whether a pass over ``x`` is to be made here: on the CPU, to be differentiated."""
    return x.device.type == "cpu" and torch.is_grad_enabled()


def ragged_lstm(
    x: Tensor,
    lengths: Tensor,
    hidden: Sequence[Tensor],
    weights: Sequence[Sequence[Tensor]],
    directions: int,
    rate: float,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """All layers and directions of an LSTM.

    Args:
        x: ``(B, T, I)``, finite in the padding too.
        lengths: ``(B,)``, at least 1.
        hidden: ``h`` and ``c``, each ``(L * D, B, H)``.
        weights: for each layer and direction, as torch orders them.
        rate: dropout between layers.

    Returns:
        outputs ``(B, T, D * H)``, of no meaning in the padding, and ``h`` and ``c`` at each row's own length.
    """
    last = lengths - 1
    rows = torch.arange(len(x), device=x.device)
    padding = (~sequence.valid(lengths, x.shape[1])).to(x.dtype).unsqueeze(2)
    ends: list[tuple[Tensor, Tensor]] = []
    for place in range(0, len(weights), directions):
        x = dropout(x, rate) if place else x
        read: list[Tensor] = []
        for direction, own in enumerate(weights[place : place + directions]):
            w, *others = own
            shut = w.new_zeros(4, w.shape[0] // 4, 1)  # the gates lie in the order i, f, g, o
            shut[0], shut[1] = -_SHUT, _SHUT
            first = torch.cat([w, shut.flatten(0, 1)], 1)
            ordered = sequence.reverse(x, lengths) if direction else x
            start = [entry[place + direction].unsqueeze(0) for entry in hidden]
            fed = torch.cat([ordered, padding.to(ordered.dtype)], 2)
            y, _, c = torch.lstm(fed, start, [first, *others], len(own) == 4, 1, 0.0, True, False, True)
            ends.append((y[rows, last], c[0]))
            read.append(sequence.reverse(y, lengths) if direction else y)
        x = torch.cat(read, 2) if directions > 1 else read[0]
    return x, (torch.stack([h for h, _ in ends]), torch.stack([c for _, c in ends]))
