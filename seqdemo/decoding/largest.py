"""The largest of many values, without sorting or partitioning all of them. ``n`` rows of ``V`` values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["largest"]

_FOLD = 16
"""Values whose maximum stands for them in the first pass."""

_SORTED = 512
"""So few values are sorted in less time than it takes to partition them."""


def largest(values: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Places of each row's k largest values among all values, ascending: ``(n, V) -> (n, k)``, ``1 <= k <= V``; among
    equals the lower column wins.

    The k-th largest of the maxima of groups is no larger than the k-th largest value, for there are k values at least
    as large as it. So only values that reach it are partitioned, which are few unless many are equal.
    """
    rows, size = values.shape
    groups = size // _FOLD
    if size <= _SORTED:
        bar = np.sort(values, axis=1)[:, size - k]
        near = np.flatnonzero(values >= bar[:, None])
    elif k > groups // 2:
        bar = np.partition(values, size - k, axis=1)[:, size - k]
        near = np.flatnonzero(values >= bar[:, None])
    else:
        maxima = values[:, : groups * _FOLD].reshape(rows, _FOLD, groups).max(axis=1)
        bound = np.partition(maxima, groups - k, axis=1)[:, groups - k]
        near = np.flatnonzero(values >= bound[:, None])
        few = values.ravel()[near]
        if rows == 1:
            bar = np.partition(few, len(few) - k)[len(few) - k, None]
            near = near[few >= bar]
        else:
            row = near // size
            counts = np.bincount(row, minlength=rows)
            padded = np.full((rows, int(counts.max())), -np.inf, dtype=values.dtype)
            padded[row, np.arange(len(near)) - np.repeat(np.cumsum(counts) - counts, counts)] = few
            bar = np.partition(padded, -k, axis=1)[:, -k]
            near = near[few >= bar[row]]
    if len(near) > k * rows:
        near = near[_first(values.ravel()[near], near // size, bar, k)]
    places: NDArray[np.int64] = near.reshape(rows, k)
    return places


def _first(few: NDArray[Any], row: NDArray[np.int64], bar: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """Which of the values that reach their row's bar are its first k, those above the bar before any that equal it."""
    level = few == bar[row]
    room = k - np.bincount(row[~level], minlength=len(bar))
    # How many of the row's values at the bar come before each.
    before = np.cumsum(level) - level
    starts = np.searchsorted(row, np.arange(len(bar)))
    first: NDArray[np.bool_] = ~level | (before - before[starts][row] < room[row])
    return first
