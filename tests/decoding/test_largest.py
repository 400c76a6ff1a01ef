from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding.largest import kth_largest


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3), st.integers(1, 400), st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_it_is_what_sorting_everything_gives(rows: int, size: int, seed: int, coarse: bool, data: Any) -> None:
    """Each row's k-th largest, with ties, minus infinity and rows of one value, as a full sort has it."""
    numbers = np.random.default_rng(seed)
    values = numbers.normal(size=(rows, size)).astype(np.float32)
    if coarse:
        values = np.round(values)
    values[0, numbers.random(size) < 0.3] = -np.inf
    values[-1] = values[-1] if size % 2 else 1.0
    before = values.copy()
    for k in {1, size, data.draw(st.integers(1, size)), min(size, max(1, size // 40))}:
        np.testing.assert_array_equal(kth_largest(values, k), np.sort(values, axis=1)[:, size - k, None])
    np.testing.assert_array_equal(values, before)
