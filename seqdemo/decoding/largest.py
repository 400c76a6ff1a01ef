"""The largest of many values, without sorting or partitioning all of them. ``n`` rows of ``V`` values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["kth_largest"]

_FOLD = 16
"""Values whose maximum stands for them in the first pass."""

_SORTED = 512
"""So few values are sorted in less time than it takes to partition them."""


def kth_largest(values: NDArray[Any], k: int) -> NDArray[Any]:
    """Each row's k-th largest value: ``(n, V) -> (n, 1)``, ``1 <= k <= V``; equal values count one by one.

    The k-th largest of the maxima of groups is no larger than the k-th largest value, for there are k values at least
    as large as it. So only values that reach it are partitioned, which are few unless many are equal.
    """
    rows, size = values.shape
    groups = size // _FOLD
    if size <= _SORTED:
        return np.sort(values, axis=1)[:, size - k, None]
    if k > groups // 2:
        found: NDArray[Any] = np.partition(values, size - k, axis=1)[:, size - k, None]
        return found
    maxima = values[:, : groups * _FOLD].reshape(rows, _FOLD, groups).max(axis=1)
    bound = np.partition(maxima, groups - k, axis=1)[:, groups - k, None]
    near = np.flatnonzero(values >= bound)
    if rows == 1:
        few = values[:, near]
        return np.partition(few, -k, axis=1)[:, -k, None]
    row = near // size
    counts = np.bincount(row, minlength=rows)
    place = np.arange(len(near)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.full((rows, int(counts.max())), -np.inf, dtype=values.dtype)
    padded[row, place] = values.ravel()[near]
    return np.partition(padded, -k, axis=1)[:, -k, None]
