from __future__ import annotations

import torch

from seqdemo.decoding import Point, Snapshot, SnapshotCache


def snapshot(size: int = 100) -> Snapshot:
    return Snapshot({"h": torch.zeros(1, size, dtype=torch.uint8)}, 0)


def places(cache: SnapshotCache) -> list[int]:
    return [point.node for point, _ in cache.items()]


def test_the_least_recently_used_goes_first() -> None:
    """Looking a place up counts as a use; bytes are counted exactly."""
    cache = SnapshotCache(300, lambda point: False)
    for node in (1, 2, 3):
        cache.put(Point(node, 0), snapshot())
    cache.get(Point(1, 0))
    cache.put(Point(4, 0), snapshot())
    assert places(cache) == [3, 1, 4]
    assert cache.nbytes == 300


def test_places_where_the_conversation_branches_go_last() -> None:
    """They are let go only when nothing else is left, the oldest of them first."""
    cache = SnapshotCache(300, lambda point: point.node < 3)
    for node in (1, 2, 5, 6, 7):
        cache.put(Point(node, 0), snapshot())
    assert places(cache) == [1, 2, 7]
    cache.put(Point(8, 0), snapshot(250))
    assert places(cache) == [8]


def test_the_last_one_put_stays_however_large() -> None:
    """Where one stands must be somewhere; putting a place again replaces it."""
    cache = SnapshotCache(300, lambda point: False)
    cache.put(Point(1, 0), snapshot(1000))
    cache.put(Point(1, 0), snapshot(900))
    assert places(cache) == [1]
    assert cache.nbytes == 900
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)
