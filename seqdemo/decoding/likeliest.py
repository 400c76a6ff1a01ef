"""The likeliest tokens of many rows. ``n`` rows, ``K`` tokens of each, ``V`` vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np
import torch
from torch import Tensor

__all__ = ["Finding", "likeliest"]

Finding = Callable[[Tensor, int, Sequence[int]], tuple[Tensor, Tensor]]
"""Logits ``(n, V)``, ``K``, and ids to leave out -> what :func:`likeliest` gives."""


def likeliest(logits: Tensor, count: int, forbidden: Sequence[int]) -> tuple[Tensor, Tensor]:
    """``(n, V)`` -> log-probabilities float64 and ids of the likeliest tokens, ``(n, K)``, the likeliest first.

    Of the model's own distribution: what is forbidden is left out, and its probability given to nobody. NaN in a row
    whose logits are no distribution.
    """
    # By numpy, whose maximum takes a tenth of the time that torch's does on the CPU.
    scores = logits.cpu().numpy()
    top = scores.max(axis=1, keepdims=True)
    top[~np.isfinite(top)] = np.nan
    # In 32 bits, which numpy adds in pairs: off by some 1e-6, in half the time that 64 take.
    total = np.log(np.exp(scores - top, dtype=np.float32).sum(axis=1), dtype=np.float64) + top[:, 0]
    scores = scores.copy()
    scores[:, forbidden] = -inf
    if count == 1:
        tokens = scores.argmax(axis=1, keepdims=True)
        values = np.take_along_axis(scores, tokens, axis=1)
    else:
        found = torch.from_numpy(scores).topk(count)
        values, tokens = found.values.numpy(), found.indices.numpy()
    steps = np.minimum(values - total[:, None], 0.0)
    return torch.from_numpy(steps).to(logits.device), torch.from_numpy(tokens).to(logits.device)
