from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding.largest import largest


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 4), st.integers(1, 1200), st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_it_is_what_sorting_everything_gives(rows: int, size: int, seed: int, coarse: bool, data: Any) -> None:
    """Each row's k largest, the lower column first among equals, with minus infinity and rows of one value."""
    numbers = np.random.default_rng(seed)
    values = numbers.normal(size=(rows, size)).astype(np.float32)
    if coarse:
        values = np.round(values)
    values[0, numbers.random(size) < 0.3] = -np.inf
    values[-1] = values[-1] if size % 2 else 1.0
    before = values.copy()
    order = np.argsort(-values, axis=1, kind="stable") + np.arange(rows)[:, None] * size
    for k in {1, size, data.draw(st.integers(1, size)), min(size, max(1, size // 40))}:
        np.testing.assert_array_equal(largest(values, k), np.sort(order[:, :k], axis=1))
    np.testing.assert_array_equal(values, before)
