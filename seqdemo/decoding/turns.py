"""Whose turn it is: round-robin by time, so that short turns are not starved by long ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Sized
from typing import Generic, TypeVar

__all__ = ["SHARE", "Turns"]

SHARE = 0.02
"""Seconds that one is served before the next, at most, where its turns are shorter than others'."""

S = TypeVar("S", bound=Sized)


class Turns(Generic[S]):
    """Those that take turns; one whose length is 0 has nothing to do and is passed over.

    One step of a small model takes a millisecond, a piece of a batch job thirty: were they served turn by turn, the
    stream would have a thirtieth of the device. So one is served again until it had as much time as the longest last
    turn among the others that wait, or ``SHARE`` seconds (deficit round-robin, Shreedhar & Varghese 1995).
    """

    def __init__(self) -> None:
        self._ring: deque[S] = deque()
        self._took: dict[S, float] = {}
        self._had = 0.0

    def add(self, one: S) -> None:
        """Let it take turns, after all others."""
        self._ring.append(one)

    def remove(self, one: S) -> None:
        """It takes no more turns."""
        if one is self._ring[0]:
            self._had = 0.0
        self._ring.remove(one)
        self._took.pop(one, None)

    def next(self) -> S | None:
        """Whose turn it is; None when nobody has anything to do."""
        for _ in range(len(self._ring)):
            if len(self._ring[0]):
                return self._ring[0]
            self._pass()
        return None

    def took(self, seconds: float) -> None:
        """The turn of whom :meth:`next` named took so long."""
        one = self._ring[0]
        self._took[one] = seconds
        self._had += seconds
        longest = max(
            (self._took.get(other, 0.0) for other in self._ring if other is not one and len(other)), default=0
        )
        # A turn that would be over the share by more than half of itself is the next round's.
        if self._had + seconds / 2 >= min(longest, SHARE):
            self._pass()

    def _pass(self) -> None:
        self._ring.rotate(-1)
        self._had = 0.0
