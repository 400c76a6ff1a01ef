"""Events: what is reported of a token has two forms, and means the same in either."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from seqdemo.plugin import unpacked

chances = st.floats(0.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), chances, chances), max_size=60))
def test_bytes_are_the_three_lists(found: list[tuple[int, float, float]]) -> None:
    """Doubles one after another, in native order, hold every id and every probability as it is."""
    ids, raw, ruled = ([one[part] for one in found] for part in range(3))
    lists = [int(one) for one in ids], [float(one) for one in raw], [float(one) for one in ruled]
    packed = struct.pack(f"={3 * len(found)}d", *ids, *raw, *ruled)
    assert unpacked(packed) == unpacked(lists) == lists
    assert all(isinstance(one, int) for one in unpacked(packed)[0])
