"""Right-padded sequences. ``lengths`` is ``(B,)`` long; beyond a row's length there may be anything, NaN included."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["blank_padding", "reverse", "valid"]


def valid(lengths: Tensor, time: int) -> Tensor:
    """``(B,)`` lengths -> ``(B, T)`` bool, true inside each row."""
    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(1)


def blank_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """``(B, T, ...)`` with zeros beyond each row's length. Selects rather than multiplies: NaN * 0 is NaN."""
    if lengths is None:
        return x
    mask = valid(lengths.to(x.device), x.shape[1])
    return torch.where(mask.view(*mask.shape, *(1,) * (x.dim() - 2)), x, x.new_zeros(()))


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row of ``(B, T, F)`` reversed within its own length; padding stays where it is."""
    if lengths is None:
        return x.flip(1)
    index = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
    mirrored = lengths.to(x.device).unsqueeze(1) - 1 - index
    index = torch.where(mirrored >= 0, mirrored, index)
    return x.gather(1, index.unsqueeze(2).expand_as(x))
