"""Standing in a place again: from the nearest snapshot kept, reading the tokens after it just as they were read first.

Just so: prompts in the same chunks, generated tokens one by one. The state comes out the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from seqdemo.plugin import Prefill, SamplingOptions, TokenHead

from .cache import SnapshotCache
from .engine import Engine
from .generation import Request
from .snapshot import Snapshot
from .tree import ROOT, Node, Point, Tree

__all__ = ["ANCHOR", "Progress", "restore"]

ANCHOR = 32
"""A snapshot is kept after each so many tokens of a reply: standing inside one reads fewer than that."""

Progress = Callable[[Prefill], None]


def restore(
    engine: Engine, head: TokenHead, tree: Tree, cache: SnapshotCache, point: Point, progress: Progress
) -> Snapshot | None:
    """The snapshot of a place; None at the beginning. What is read on the way is kept in the cache.

    Args:
        progress: called after each piece with the tokens read so far.
    """
    pieces: list[tuple[Node, int, int]] = []
    while point != ROOT and point not in cache:
        node, end = tree.get(point.node), point.tokens
        begin = 0
        if node.role == "reply":
            begin = next((k for k in range(end - 1, 0, -1) if Point(node.id, k) in cache), 0)
            after = begin - begin % ANCHOR + ANCHOR
            bounds = [begin, *range(after, end, ANCHOR), end]
            pieces += [(node, *bound) for bound in reversed(list(pairwise(bounds)))]
        else:
            pieces.append((node, 0, end))
        point = Point(node.id, begin) if begin else node.parent
    snapshot, read = cache.get(point), 0
    total = sum(end - begin for _, begin, end in pieces)
    for node, begin, end in reversed(pieces):
        snapshot = _read(engine, head, node, begin, end, snapshot)
        cache.put(Point(node.id, end), snapshot)
        read += end - begin
        progress(Prefill(read, total))
    return snapshot


def _read(engine: Engine, head: TokenHead, node: Node, begin: int, end: int, start: Snapshot | None) -> Snapshot:
    stepped = node.role == "reply"
    if start is not None and not stepped:
        start = replace(start, pending=b"", held="")
    stops = node.options.stop if node.options else ()
    options = SamplingOptions(max_tokens=0, stop=stops, seed=0)
    stream = engine.submit(Request(head, node.ids[begin:end], options, {"text": node.text}, start, stepped=stepped))
    stream.decoded()
    return stream.snapshot
