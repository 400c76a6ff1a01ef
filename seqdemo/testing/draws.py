"""Generated cases: by Hypothesis where it is installed, else from a fixed generator."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["for_all_splits"]

_CASES = 12
_LONGEST = 24


def for_all_splits(holds: Callable[[int, list[int]], None]) -> None:
    """Try ``holds(length, cuts)`` on sequences of 1 to 24 positions and cuts in order, each inside the sequence.

    With Hypothesis the smallest case that fails is the one that is reported; the cases are the same in every run.
    """
    try:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import strategies as st
    except ModuleNotFoundError:
        draw = random.Random(0)
        for _ in range(_CASES):
            length = draw.randint(1, _LONGEST)
            holds(length, sorted(draw.sample(range(1, length), draw.randint(0, min(5, length - 1)))))
        return

    @settings(
        max_examples=_CASES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(1, _LONGEST), st.data())
    def run(length: int, data: st.DataObject) -> None:
        places = st.sets(st.integers(1, max(length - 1, 1)), max_size=5 if length > 1 else 0)
        holds(length, sorted(data.draw(places)))

    run()
