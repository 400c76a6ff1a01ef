"""Notebooks: a text of which the end is written by a model, and which is read again only from where it was changed."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import RLock
from time import perf_counter
from typing import Any

from seqdemo.errors import SessionError
from seqdemo.plugin import Done, Event, Prefill, SamplingOptions, Token, TokenHead, Usage
from seqdemo.plugin import state as verbs
from seqdemo.plugin.config import build

from .cache import SnapshotCache
from .engine import Engine, engine
from .generation import Request, chunk_size
from .passage import Passage, Work
from .restore import ANCHOR, restore
from .snapshot import Snapshot
from .stream import Stream
from .tree import ROOT, Node, Point, Tree

__all__ = ["Notebook"]

BUDGET = 256_000_000
"""Bytes of snapshots."""

_MOST = 16_000_000
"""Token ids and characters remembered."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of text whose ids are known: one that was given, or one that was generated.

    Attributes:
        text: what is read between ``begin`` and ``end``.
        begin, end: places in the tree.
        generated: it was; its ids are kept, however the text would be encoded.
    """

    text: str
    begin: Point
    end: Point
    generated: bool


class Notebook:
    """Goes on writing any text, given whole each time.

    Texts given and generated before are remembered as a tree of token ids with snapshots: at the ends of the chunks
    that texts are read in, at the ends of what was generated, and each 32 tokens within. So a text is read from the
    last snapshot before its first new character on: what was appended to a generated text is all that is read, and a
    text that was taken back is not read again. States depend on the text that is shown and on nothing else: tokens of
    stop strings, and those that make no whole character, count as not generated.

    Used by one thread at a time, except that a passage may be closed from any.

    Args:
        head: of the pipeline, in evaluation mode.
        defaults: options of every passage, unless it is given others.
        device: where the head is.
        budget: bytes of snapshots to keep, least recently used out first.
        on: the engine to use; the device's own when None.
    """

    def __init__(
        self,
        head: TokenHead,
        defaults: SamplingOptions | None = None,
        device: Any = "cpu",
        budget: int = BUDGET,
        on: Engine | None = None,
    ) -> None:
        self.head = head
        self.defaults = defaults or SamplingOptions()
        self._engine = on or engine(device)
        self._budget = budget
        self._grid = chunk_size(head)
        self._lock = RLock()
        self._live: weakref.ref[Passage] | None = None
        self._forget()

    def _forget(self) -> None:
        self._tree = Tree()
        self._cache = SnapshotCache(self._budget, self._tree.branches)
        self._parts: defaultdict[Point, list[_Part]] = defaultdict(list)
        self._remembered = 0

    def stream(self, text: str, **options: Any) -> Passage:
        """Go on writing at the end of a text, event by event. What of the text is new is read first.

        Raises:
            ConfigError: an option is not accepted.
            TokenizerError: the text cannot be expressed in the vocabulary.
            SessionError: another passage is still being streamed.
        """
        with self._lock:
            live = self._live() if self._live is not None else None
            if live is not None and not live.ended:
                raise SessionError("The model is still writing: read to its end or close() it first.")
            chosen = build(type(self.defaults), self.defaults.model_dump() | options, "a passage")
            point = self._place(text)
            work = Work()
            made = Passage(text, work, self._write(work, text, point, chosen))
            self._live = weakref.ref(made)
            return made

    def ids(self, text: str) -> tuple[int, ...]:
        """What a text is read as: ids it was generated as, where it was, and its own encoding elsewhere.

        Raises:
            TokenizerError: it cannot be expressed in the vocabulary.
        """
        with self._lock:
            begin, at, end = self._known(text)
            new = () if end is not None else tuple(self._ids(begin, text[at:]))
            return (*self._tree.recent(begin, self._tree.position(begin)), *new)

    # --- texts and places ---------------------------------------------------------------------------------------

    def _place(self, text: str) -> Point:
        """Where a text ends; what is new of it is remembered."""
        if self._remembered > _MOST:
            self._forget()
        begin, at, end = self._known(text)
        return end if end is not None else self._remember(begin, text[at:])

    def _known(self, text: str) -> tuple[Point, int, Point | None]:
        """How much of a text is known: where what is new begins, in the tree and in the text, and the place of the end
        if nothing is new."""
        place, at, last = ROOT, 0, None
        reached: list[tuple[Point, int, _Part | None]] = [(ROOT, 0, None)]
        while reached:
            point, offset, part = reached.pop()
            if last is None or offset > at:
                place, at, last = point, offset, part
            for child in tuple(self._parts.get(point, ())):
                if text.startswith(child.text, offset):
                    reached.append((child.end, offset + len(child.text), child))
                elif child.generated and (begun := self._begun(child, text, offset)) is not None:
                    reached.append((begun.end, offset + len(begun.text), begun))
        if last is not None and at == len(text):
            return place, at, place
        if last is not None and not last.generated:
            # A text that was given and goes on is encoded as one.
            return last.begin, at - len(last.text), None
        return place, at, None

    def _begun(self, part: _Part, text: str, at: int) -> _Part | None:
        """As much of a generated part as a text agrees with from a place on, a part of its own from now on."""
        node = self._tree.get(part.end.node)
        count, chars = self._agreeing(node.ids, text, at)
        if not chars:
            return None
        begun = _Part(part.text[:chars], part.begin, self._tree.point(node.id, count), generated=True)
        if begun in self._parts[part.begin]:
            return None
        self._parts[part.begin].append(begun)
        self._remembered += chars
        return begun

    def _agreeing(self, ids: Sequence[int], text: str, at: int) -> tuple[int, int]:
        """Of generated ids, how many make a text from a place on, and how many characters of it. No more ids than make
        whole characters, and none that add none."""
        decoder = self.head.output_tokenizer.decoder()
        decoder.pending = b""
        begin, count, chars = at, 0, 0
        for number, token in enumerate(ids, 1):
            piece = decoder.push(token)
            if not text.startswith(piece, at):
                break
            at += len(piece)
            if at - begin > chars and not decoder.pending:
                count, chars = number, at - begin
        return count, chars

    def _ids(self, begin: Point, text: str) -> list[int]:
        return self.head.prompt({"text": text}) if begin == ROOT else self.head.output_tokenizer.encode(text)

    def _remember(self, begin: Point, text: str) -> Point:
        """Put a text that is given into the tree, in the chunks in which it is read; its end."""
        ids, point, at = tuple(self._ids(begin, text)), begin, 0
        while at < len(ids):
            size = self._grid - self._tree.position(point) % self._grid
            point = self._chunk(point, ids[at : at + size])
            at += size
        if point != begin:
            self._parts[begin].append(_Part(text, begin, point, generated=False))
            self._remembered += len(text)
        return point

    def _chunk(self, parent: Point, ids: tuple[int, ...]) -> Point:
        for node in self._tree.children(parent):
            if node.role == "user" and node.ids == ids:
                return node.end
        return self._add(parent, "user", ids).end

    def _add(self, parent: Point, role: Any, ids: tuple[int, ...], options: SamplingOptions | None = None) -> Node:
        number = len(self._tree.nodes) + 1
        node = Node(number, parent, self._tree.position(parent), role, "", ids, options=options)
        self._tree.add(node)
        self._remembered += len(ids)
        return node

    # --- reading and writing ------------------------------------------------------------------------------------

    def _write(self, work: Work, text: str, point: Point, options: SamplingOptions) -> Iterator[Event]:
        """Read what no state is kept of, then generate."""
        began, read, size_of_state = perf_counter(), 0, 0
        ahead = self._ahead(point)
        total = sum(size for _, size in ahead)
        for place, size in ahead:
            if work.closed:
                yield Done("cancelled", Usage(read, 0, 0.0, perf_counter() - began, size_of_state))
                return
            size_of_state = verbs.nbytes(self._restore(place).state)
            read += size
            yield Prefill(read, total)
        snapshot = self._restore(point)
        recent = self._tree.recent(point, max(options.repetition_window, len(snapshot.recent)))
        start = replace(snapshot, pending=b"", held="", recent=recent)
        seconds = perf_counter() - began
        stream = self._engine.submit(Request(self.head, (), options, {"text": text}, start, ANCHOR))
        work.follow(stream)
        for event in stream:
            if isinstance(event, Done):
                tail = self._record(point, options, stream, work.tokens, event)
                usage = replace(event.usage, prompt_tokens=read, prefill_seconds=seconds)
                yield replace(event, text=tail, usage=usage)
            else:
                yield event

    def _restore(self, point: Point) -> Snapshot:
        found = restore(self._engine, self.head, self._tree, self._cache, point, lambda _: None)
        assert found is not None  # even the empty text begins with a token
        return found

    def _ahead(self, point: Point) -> list[tuple[Point, int]]:
        """The places up to one that are to be restored in turn, and tokens read for each."""
        found: list[tuple[Point, int]] = []
        while point != ROOT and point not in self._cache:
            node, end = self._tree.get(point.node), point.tokens
            begin, step = 0, len(node.ids)
            if node.role == "reply":
                begin = next((at for at in range(end - 1, 0, -1) if Point(node.id, at) in self._cache), 0)
                step = ANCHOR
            bounds = [begin, *range(begin - begin % step + step, end, step), end]
            found += [(Point(node.id, high), high - low) for low, high in reversed(list(pairwise(bounds)))]
            point = Point(node.id, begin) if begin else node.parent
        return found[::-1]

    def _record(
        self, point: Point, options: SamplingOptions, stream: Stream, tokens: Sequence[Token], done: Done
    ) -> str:
        """Remember what was generated, as far as its text goes; the end of that text that came with no token."""
        ids = tuple(token.id for token in tokens)
        certain = "".join(token.text for token in tokens)
        decoder = self.head.output_tokenizer.decoder()
        decoder.pending = b""
        whole = "".join(map(decoder.push, ids))
        shown = (certain + done.text)[: len(whole)]  # an incomplete character is left out
        with self._lock:
            count, chars = self._agreeing(ids, shown, 0)
            if count:
                node = self._add(point, "reply", ids, options)
                for at, anchor in stream.anchors.items():
                    self._cache.put(self._tree.point(node.id, at), anchor)
                if done.reason != "error":
                    self._cache.put(node.end, stream.snapshot)
                end = self._tree.point(node.id, count)
                self._parts[point].append(_Part(shown[:chars], point, end, generated=True))
                self._remembered += chars
        return shown[len(certain) :]
