"""Sessions: a conversation whose past is a set of states that can be stood in again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, Self

import torch

from seqdemo.errors import SessionError
from seqdemo.plugin import Generation, Prefill, SamplingOptions, State, TokenHead
from seqdemo.plugin import state as verbs
from seqdemo.plugin.config import build

from .archive import Contents, read, write
from .cache import DEFAULT_BUDGET, SnapshotCache
from .engine import Engine, engine
from .generation import Request
from .journal import Journal
from .random import SEED_LIMIT
from .reply import Recording, Reply
from .restore import ANCHOR, Progress, restore
from .snapshot import Snapshot
from .tree import ROOT, Message, Node, Point, Tree

__all__ = ["Session"]


class Session:
    """One conversation: a tree of messages, each of which can be stood in again.

    Token ids are the truth; states are a cache. Used by one thread at a time, except that a reply may be closed from
    any. The first reply at a place uses the default seed, if there is one, the next version the seed after it, and so
    on: all of them can be had again.

    Args:
        head: of the pipeline, in evaluation mode.
        defaults: options of every reply, unless it is given others.
        fingerprint: of the weights; what is saved fits these only.
        device: where the head is.
        budget: bytes of snapshots to keep.
        on: the engine to use; the device's own when None.
        journal: is told of everything, to write it down.
    """

    def __init__(
        self,
        head: TokenHead,
        defaults: SamplingOptions | None = None,
        fingerprint: str = "",
        device: Any = "cpu",
        budget: int = DEFAULT_BUDGET,
        on: Engine | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.head = head
        self.defaults = defaults or SamplingOptions()
        self.fingerprint = fingerprint
        self.tree = Tree()
        self.journal = journal or Journal()
        self.cache = SnapshotCache(budget, self.tree.branches, self.journal)
        self.steps = 0
        """Tokens read again so far to stand where no snapshot was kept."""
        self._engine = on or engine(device)
        self._here = ROOT
        self._live: Recording | None = None
        self._lock = RLock()

    # --- talking ------------------------------------------------------------------------------------------------

    def stream(self, message: str, **options: Any) -> Reply:
        """Say something, and have the reply as events.

        Raises:
            ConfigError: an option is not accepted.
            TokenizerError: the message cannot be expressed in the vocabulary.
            SessionError: another reply is still being streamed.
            BusyError: the engine is.
        """
        with self._lock:
            self._settle()
            here = self._here
            chosen = self._options(options)
            ids = tuple(self.head.turn(message, first=here == ROOT, closed=self._closed(here)))
            start = self._start(here, chosen)
            if start is not None:  # a new turn: what the reply before it held back is no part of the next one
                start = replace(start, pending=b"", held="")
            user = Node(self.tree.next_id, here, self.tree.position(here), "user", message, ids)
            reply = self._begin(user.end, ids, start, chosen, message, user)
            self.tree.add(user)
            self._here = user.end
            return reply

    def stream_regenerate(self, **options: Any) -> Reply:
        """Another version of the reply one stands in, or a reply to the message one stands at; nothing is read again.

        Raises:
            SessionError: nothing was said yet.
        """
        with self._lock:
            self._settle()
            node = self._node("There is no reply to make again: send a message first.")
            return self._go_on(self._here if node.role == "user" else node.parent, options)

    def stream_continue(self, **options: Any) -> Reply:
        """Go on from where one stands, as if the reply had not ended there.

        Raises:
            SessionError: nothing was said yet.
        """
        with self._lock:
            self._settle()
            self._node("There is nothing to go on from: send a message first.")
            return self._go_on(self._here, options)

    def send(self, message: str, **options: Any) -> Generation:
        """:meth:`stream`, read to its end."""
        return self.stream(message, **options).generation()

    def regenerate(self, **options: Any) -> Generation:
        """:meth:`stream_regenerate`, read to its end."""
        return self.stream_regenerate(**options).generation()

    def continue_(self, **options: Any) -> Generation:
        """:meth:`stream_continue`, read to its end."""
        return self.stream_continue(**options).generation()

    # --- standing -----------------------------------------------------------------------------------------------

    @property
    def here(self) -> Point:
        """Where one stands: the node and how many of its tokens were read. ``(0, 0)`` is before everything."""
        with self._lock:
            self._settle(alone=False)
            return self._here

    @property
    def path(self) -> tuple[Node, ...]:
        """The nodes from the beginning to where one stands; the last may be read in part."""
        return tuple(node for node, _ in self.tree.upward(self.here))[::-1]

    @property
    def id(self) -> str:
        """What it is kept as; empty where it lives in memory only."""
        return self.journal.conversation

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said, from the beginning to where one stands."""
        return self.tree.messages(self.here)

    def versions(self, node: int | None = None) -> tuple[Node, ...]:
        """A node (the one stood in when None) and its alternatives, oldest first."""
        here = self.here
        if node is None and here == ROOT:
            return ()
        return self.tree.versions(self.tree.get(here.node if node is None else node))

    def stand(self, node: int, tokens: int | None = None, progress: Progress | None = None) -> None:
        """Stand at the end of a node, or after so many tokens of a reply.

        At an end no token is read, inside a reply at most 31, unless the snapshot was dropped: then tokens are read
        again from the nearest one that was kept.

        Args:
            progress: called with how much was read, while it is.

        Raises:
            SessionError: there is no such place.
        """
        with self._lock:
            self._settle()
            point = self.tree.point(node, tokens)
            self._restore(point, progress)
            self._move(point)

    def select(self, node: int) -> None:
        """Show a version again: stand at the end of the line of conversation last begun below that node."""
        with self._lock:
            self._settle()
            point = self.tree.newest(self.tree.get(node))
            self._restore(point)
            self._move(point)

    def undo(self) -> str:
        """Take back the last message and its reply; both stay in the tree.

        Returns:
            the message's text, to be edited and sent again.

        Raises:
            SessionError: nothing was said yet.
        """
        with self._lock:
            self._settle()
            self._node("There is nothing to undo: nothing was said yet.")
            user = next(node for node, _ in self.tree.upward(self._here) if node.role == "user")
            self._restore(user.parent)
            self._move(user.parent)
            return user.text

    def fork(self, node: int | None = None, tokens: int | None = None) -> Session:
        """A session of its own that begins with everything up to a place (where one stands when None).

        Nodes keep their numbers. What either session does afterwards is not seen by the other.
        """
        with self._lock:
            self._settle()
            point = self._here if node is None else self.tree.point(node, tokens)
            other = type(self)(self.head, self.defaults, self.fingerprint, budget=self.cache.budget, on=self._engine)
            for part, _ in list(self.tree.upward(point))[::-1]:
                other.tree.add(part)
            for place, kept in self.cache.items():
                if place.node in other.tree.nodes:
                    other.cache.put(place, kept)
            other._restore(point)
            other._here = point
            return other

    # --- states -------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """The place one stands at, to go on from elsewhere."""
        with self._lock:
            self._settle(alone=False)
            found = self._restore(self._here)
            if found is None:
                found = Snapshot(self._engine.run(self._initial), 0)
            return replace(found, state=verbs.clone(found.state))

    @property
    def state(self) -> State:
        """A copy of the pipeline's state where one stands, one row, on the CPU."""
        return self.snapshot.state

    @property
    def state_bytes(self) -> int:
        """Bytes of the state, the same however long the conversation gets."""
        return verbs.nbytes(self.state)

    @property
    def tokens_read(self) -> int:
        """Tokens the state where one stands has read."""
        return self.tree.position(self.here)

    def drop_snapshots(self) -> None:
        """Free all snapshots; states are read again from token ids when they are needed."""
        with self._lock:
            self._settle()
            self.cache.clear()

    # --- disk ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the whole session, states included, as one safetensors file, all or nothing.

        Raises:
            SeqdemoError: the place cannot be written.
        """
        with self._lock:
            self._settle()
            kept = list(self.cache.items())
            write(Path(path), Contents(self.fingerprint, self.defaults, self._here, self.tree, kept))

    @classmethod
    def load(
        cls,
        path: str | Path,
        head: TokenHead,
        fingerprint: str = "",
        device: Any = "cpu",
        budget: int = DEFAULT_BUDGET,
        rebuild: bool = False,
        on: Engine | None = None,
    ) -> Self:
        """Read what :meth:`save` wrote, and stand where it stood.

        Args:
            rebuild: take the token ids only, and read them again: for other weights or another precision.

        Raises:
            SessionError: the file is missing, damaged, or was made with other weights.
            StateError: its states do not fit the head, which has another size or precision.
        """
        made = cls(head, None, fingerprint, device, budget, on)
        layout = verbs.layout(made._engine.run(lambda: head.initial_state(1)))
        found = read(Path(path), head, fingerprint, None if rebuild else layout)
        made.defaults = found.defaults
        for place, kept in found.snapshots:
            made.cache.put(place, kept)
        made.adopt(found.tree, found.here)
        return made

    def adopt(self, tree: Tree, here: Point) -> None:
        """Take over another session's nodes and the place it stands at; only for one in which nothing was said."""
        with self._lock:
            for node in tree.nodes.values():
                self.tree.add(node)
            self._here = here

    # --- inside -------------------------------------------------------------------------------------------------

    def _move(self, point: Point) -> None:
        self.journal.stood(point)
        self._here = point

    def _initial(self) -> State:
        with torch.inference_mode(False):
            return verbs.move(verbs.clone(self.head.initial_state(1)), "cpu")

    def _node(self, otherwise: str) -> Node:
        if self._here == ROOT:
            raise SessionError(otherwise)
        return self.tree.get(self._here.node)

    def _options(self, given: dict[str, Any], versions: int = 0) -> SamplingOptions:
        """Options of a reply beside which there are so many versions already."""
        chosen = build(type(self.defaults), self.defaults.model_dump() | given, "a reply")
        if "seed" not in given and chosen.seed is not None:
            chosen = chosen.model_copy(update={"seed": (chosen.seed + versions) % SEED_LIMIT})
        return chosen

    def _closed(self, point: Point) -> bool:
        """Whether the text up to a place is one the template may follow."""
        if point == ROOT:
            return True
        node = self.tree.get(point.node)
        return node.role == "reply" and node.closed and point == node.end

    def _go_on(self, parent: Point, given: dict[str, Any]) -> Reply:
        versions = sum(child.role == "reply" for child in self.tree.children(parent))
        options = self._options(given, versions)
        message = next((node.text for node, _ in self.tree.upward(parent) if node.role == "user"), "")
        return self._begin(parent, (), self._start(parent, options), options, message)

    def _start(self, point: Point, options: SamplingOptions) -> Snapshot | None:
        """The snapshot of a place, with as many recent ids as the options look at."""
        found = self._restore(point)
        if found is None:
            return None
        return replace(found, recent=self.tree.recent(point, max(options.repetition_window, len(found.recent))))

    def _begin(
        self,
        parent: Point,
        ids: tuple[int, ...],
        start: Snapshot | None,
        options: SamplingOptions,
        message: str,
        user: Node | None = None,
    ) -> Reply:
        stream = self._engine.submit(Request(self.head, ids, options, {"text": message}, start, ANCHOR))
        number = self.tree.next_id if user is None else user.id + 1
        before = user.start + len(user.ids) if user else self.tree.position(parent)
        above = user.parent if user else parent
        try:
            self.journal.begun(user, number, parent, before, options, bool(self.tree.children(above)))
        except BaseException:
            stream.close()
            raise
        hand_on = partial(self.journal.wrote, number)
        self._live = recording = Recording(stream, parent, options, message, number, self._record, hand_on)
        return Reply(recording)

    def _settle(self, alone: bool = True) -> None:
        """Write down a reply that was abandoned. One that is being read is refused, where one wants to be alone."""
        live = self._live
        if live is None:
            return
        if live.owner is None or live.owner() is None:
            live.close()
        elif alone:
            raise SessionError("A reply is still being streamed: read it to its end or close() it first.")
        elif 0 in live.anchors and live.parent not in self.cache:
            self.cache.put(live.parent, live.anchors[0])

    def _record(self, recording: Recording) -> int | None:
        """Write a reply down, however it ended; one without tokens leaves nothing but the message's snapshot."""
        with self._lock:
            self._live = None
            anchors, done, tokens = recording.anchors, recording.done, tuple(recording.tokens)
            if 0 in anchors:
                self.cache.put(recording.parent, anchors.pop(0))
            if not tokens or done is None:
                self.journal.ended(recording.number, None, self._here)
                return None
            ends = done.reason == "stop" and recording.stream.stopped_by in self.head.stop_texts
            node = Node(
                id=recording.number,
                parent=recording.parent,
                start=self.tree.position(recording.parent),
                role="reply",
                text=recording.text,
                ids=tuple(token.id for token in tokens),
                tokens=tokens,
                options=recording.options,
                done=done,
                closed=ends or done.reason == "end",
            )
            self.tree.add(node)
            self._here = node.end
            for count, anchor in anchors.items():
                self.cache.put(Point(node.id, count), anchor)
            if done.reason != "error":
                self.cache.put(node.end, recording.stream.snapshot)
            recording.node = node.id
            self.journal.ended(node.id, node, node.end)
            return node.id

    def _restore(self, point: Point, progress: Progress | None = None) -> Snapshot | None:
        before = self.steps

        def count(event: Prefill) -> None:
            self.steps = before + event.read
            if progress is not None:
                progress(event)

        return restore(self._engine, self.head, self.tree, self.cache, point, count)
