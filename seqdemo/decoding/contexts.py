"""Contexts of several inputs, read together. ``n`` is the number of rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import Context

__all__ = ["join"]


def join(contexts: Sequence[Context]) -> Context:
    """Contexts below one another, each entry padded with zeros to the longest in every dimension but the first."""
    return {name: _joined([context[name] for context in contexts]) for name in contexts[0]}


def _joined(parts: Sequence[Tensor]) -> Tensor:
    longest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    return torch.cat([_padded(part, longest) for part in parts])


def _padded(part: Tensor, sizes: Sequence[int]) -> Tensor:
    if list(part.shape[1:]) == list(sizes):
        return part
    lacking = [size - own for size, own in zip(sizes, part.shape[1:], strict=True)]
    # F.pad counts dimensions from the last.
    return F.pad(part, [side for more in reversed(lacking) for side in (0, more)])
