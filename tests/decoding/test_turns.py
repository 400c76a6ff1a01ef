"""Whose turn it is, with turns of known length."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from seqdemo.decoding.turns import SHARE, Turns


class One:
    """Takes turns of a length, as many as it has left."""

    def __init__(self, seconds: float, left: int = 1_000_000) -> None:
        self.seconds, self.left = seconds, left

    def __len__(self) -> int:
        return self.left


def served(ones: list[One], turns: int) -> list[One]:
    """Who had the turns."""
    ring: Turns[One] = Turns()
    for each in ones:
        ring.add(each)
    found: list[One] = []
    while len(found) < turns and (one := ring.next()) is not None:
        one.left -= 1
        ring.took(one.seconds)
        found.append(one)
    return found


def test_turns_of_equal_length_go_round() -> None:
    """One after another; the measured length is never exactly equal."""
    a, b, c = One(0.010), One(0.0101), One(0.0099)
    assert served([a, b, c], 9) == [a, b, c] * 3
    none = [One(0.0), One(0.0)]
    assert served(none, 4) == none * 2


def test_short_turns_beside_long_ones_have_as_much_time() -> None:
    """A stream's steps of 1 ms beside a job's pieces of 10 ms; beside pieces of 50 ms they have SHARE for each."""
    for piece, wanted in ((0.010, 0.010), (0.050, SHARE)):
        stream, job = One(0.001), One(piece)
        order = served([stream, job], 300)
        seconds = {one: count * one.seconds for one, count in Counter(order[10:]).items()}
        assert abs(seconds[stream] / seconds[job] - wanted / piece) < 0.1


def test_who_has_nothing_to_do_is_passed_over() -> None:
    """It neither has turns nor makes the others' longer; alone one goes on, and at the end there is nobody."""
    stream, idle, job = One(0.001), One(1.0, left=0), One(0.050, left=2)
    order = served([stream, idle, job], 100)
    assert idle not in order
    assert order.count(job) == 2
    assert set(order[-30:]) == {stream}
    assert len(served([One(0.001, left=3)], 10)) == 3
    assert served([One(0.1, left=0)], 1) == []


def test_one_that_leaves_takes_its_time_with_it() -> None:
    """In the middle of its own turns, or of another's."""
    ring: Turns[One] = Turns()
    stream, job, other = One(0.001), One(0.050), One(0.002)
    for one in (stream, job, other):
        ring.add(one)
    assert ring.next() is stream
    ring.took(0.001)
    assert ring.next() is job
    ring.took(0.050)
    ring.remove(job)
    assert ring.next() is other
    ring.remove(other)
    assert ring.next() is stream
    ring.took(0.001)
    assert ring.next() is stream


@given(st.lists(st.floats(0.0001, 0.05), min_size=2, max_size=5))
def test_nobody_waits_longer_than_a_share_and_a_turn_of_each_other(lengths: list[float]) -> None:
    """Whatever the lengths, between two visits of one each other has at most SHARE and a turn, and at least a turn."""
    ones = [One(seconds) for seconds in lengths]
    order = served(ones, 400)
    for one in ones:
        places = [at for at, who in enumerate(order) if who is one]
        for sooner, later in pairwise(places):
            between = Counter(order[sooner + 1 : later])
            if not between:
                continue
            assert set(between) == {other for other in ones if other is not one}
            assert all(count * other.seconds <= SHARE + other.seconds for other, count in between.items())
