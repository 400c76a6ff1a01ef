"""Snapshots under a byte budget. They are a cache: whatever is dropped can be read again from token ids."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

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
    """

    def __init__(self, budget: int, branches: Callable[[Point], bool]) -> None:
        self.budget = budget
        self._branches = branches
        self._kept: OrderedDict[Point, Snapshot] = OrderedDict()
        self.nbytes = 0

    def __contains__(self, point: Point) -> bool:
        return point in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def items(self) -> Iterator[tuple[Point, Snapshot]]:
        """Places and their snapshots, least recently used first; looking at them is no use of them."""
        return iter(tuple(self._kept.items()))

    def get(self, point: Point) -> Snapshot | None:
        """The snapshot of a place, which counts as a use."""
        snapshot = self._kept.get(point)
        if snapshot is not None:
            self._kept.move_to_end(point)
        return snapshot

    def put(self, point: Point, snapshot: Snapshot) -> None:
        """Keep a snapshot, and let others go until the budget is met."""
        self._drop(point)
        self._kept[point] = snapshot
        self.nbytes += snapshot.nbytes
        while self.nbytes > self.budget and len(self._kept) > 1:
            self._drop(self._next_out(point))

    def clear(self) -> None:
        """Let all of them go."""
        self._kept.clear()
        self.nbytes = 0

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
