"""Snapshots under a byte budget, and below them what a journal keeps.

They are a cache: whatever is dropped can be read again from token ids.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from .journal import Journal
from .snapshot import Snapshot
from .tree import Point

__all__ = ["DEFAULT_BUDGET", "SnapshotCache"]

DEFAULT_BUDGET = 1_000_000_000
"""Bytes."""


class SnapshotCache:
    """Least recently used out first, places where the conversation branches last.

    Args:
        budget: bytes of all snapshots together; the one last put stays, however large.
        branches: whether a place is one where the conversation branches.
        below: where those that are no longer in memory may be.
    """

    def __init__(self, budget: int, branches: Callable[[Point], bool], below: Journal | None = None) -> None:
        self.budget = budget
        self._below = below or Journal()
        self._branches = branches
        self._kept: OrderedDict[Point, Snapshot] = OrderedDict()
        self.nbytes = 0

    def __contains__(self, point: Point) -> bool:
        if point in self._kept:
            return True
        # Only what was read is sure to be there: a file may be gone or torn.
        found = self._below.find(point) if point in self._below else None
        if found is not None:
            self._insert(point, found)
        return found is not None

    def __len__(self) -> int:
        return len(self._kept)

    def items(self) -> Iterator[tuple[Point, Snapshot]]:
        """Places and their snapshots, least recently used first; looking at them is no use of them."""
        return iter(tuple(self._kept.items()))

    def get(self, point: Point) -> Snapshot | None:
        """The snapshot of a place, which counts as a use."""
        if point not in self:
            return None
        self._kept.move_to_end(point)
        return self._kept[point]

    def put(self, point: Point, snapshot: Snapshot) -> None:
        """Keep a snapshot, and let others go until the budget is met."""
        self.put_all([(point, snapshot)])

    def put_all(self, made: Iterable[tuple[Point, Snapshot]]) -> None:
        """As :meth:`put` of each in turn; what is below is told once."""
        kept = list(made)
        for point, snapshot in kept:
            self._insert(point, snapshot)
        self._below.keep([(point, snapshot, self._branches(point)) for point, snapshot in kept])

    def _insert(self, point: Point, snapshot: Snapshot) -> None:
        self._drop(point)
        self._kept[point] = snapshot
        self.nbytes += snapshot.nbytes
        while self.nbytes > self.budget and len(self._kept) > 1:
            self._drop(self._next_out(point))

    def clear(self) -> None:
        """Let all of them go."""
        self._kept.clear()
        self.nbytes = 0
        self._below.forget()

    def _next_out(self, newest: Point) -> Point:
        others = (point for point in self._kept if point != newest)
        oldest = next(others)
        if not self._branches(oldest):
            return oldest
        return next((point for point in others if not self._branches(point)), oldest)

    def _drop(self, point: Point) -> None:
        gone = self._kept.pop(point, None)
        if gone is not None:
            self.nbytes -= gone.nbytes
