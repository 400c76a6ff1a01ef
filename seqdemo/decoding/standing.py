"""Standing in a place of a conversation: the tree, the states that were kept of it, and moving about in it."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import Any

import torch

from seqdemo.errors import SessionError
from seqdemo.plugin import Prefill, SamplingOptions, State, TokenHead
from seqdemo.plugin import state as verbs

from .cache import DEFAULT_BUDGET, SnapshotCache
from .engine import Engine, engine
from .journal import Journal
from .restore import Progress, restore
from .snapshot import Snapshot
from .tree import ROOT, Message, Node, Point, Tree

__all__ = ["Standing"]


class Standing:
    """A tree of messages and where one stands in it. What is said there is :class:`Session`'s.

    Attributes:
        tree: all that was said.
        cache: states of its places.
        steps: tokens read again so far to stand where no snapshot was kept.
        rebuilding: how far that is, while it goes on; None otherwise.
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
        self.rebuilding: Prefill | None = None
        self._engine = on or engine(device)
        self._here = ROOT
        self._lock = RLock()

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

    def stand_before(self, node: int) -> None:
        """Stand where a message or a reply begins, to have another one in its place.

        Raises:
            SessionError: there is no such node.
        """
        with self._lock:
            self._settle()
            point = self.tree.get(node).parent
            self._restore(point)
            self._move(point)

    def select(self, node: int, tokens: int | None = None) -> None:
        """Show a version again: stand at the end of the line of conversation last begun at a place, a node's end or
        after so many tokens of a reply.

        Raises:
            SessionError: there is no such place.
        """
        with self._lock:
            self._settle()
            point = self.tree.newest(self.tree.point(node, tokens))
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

    # --- inside -------------------------------------------------------------------------------------------------

    def _settle(self, alone: bool = True) -> None:
        """Come to rest before standing elsewhere; ``alone``: nothing may be going on."""

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

    def _closed(self, point: Point) -> bool:
        """Whether the text up to a place is one the template may follow."""
        if point == ROOT:
            return True
        node = self.tree.get(point.node)
        return node.role == "reply" and node.closed and point == node.end

    def _restore(self, point: Point, progress: Progress | None = None) -> Snapshot | None:
        before = self.steps

        def count(event: Prefill) -> None:
            self.steps = before + event.read
            self.rebuilding = event
            if progress is not None:
                progress(event)

        try:
            return restore(self._engine, self.head, self.tree, self.cache, point, count)
        finally:
            self.rebuilding = None
