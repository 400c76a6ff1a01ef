"""Sessions whose conversation is written down as it happens, and goes on in another process."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from seqdemo.errors import SessionError, StateError, StoreError
from seqdemo.plugin import Done, SamplingOptions, Token, Usage
from seqdemo.plugin import state as verbs
from seqdemo.plugin.config import build
from seqdemo.store import Conversation, Conversations, Place, Snapshots, Tags
from seqdemo.store import Node as StoredNode
from seqdemo.store import Reply as StoredReply

from .journal import Journal
from .snapshot import Snapshot
from .tree import ROOT, Node, Point, Tree

__all__ = ["StoredJournal", "layout_digest", "restored", "to_store"]


def layout_digest(layout: verbs.Layout) -> str:
    """A state's layout as a short text that differs wherever the layout does."""
    return hashlib.sha256(json.dumps(sorted(layout.items())).encode()).hexdigest()[:16]


class StoredJournal(Journal):
    """Writes one conversation into the store.

    Args:
        conversations, snapshots: the store.
        visitor: whose conversation it is.
        conversation: its id.
        revision: the last one known here.
        tags: what states made here belong to.
    """

    def __init__(
        self,
        conversations: Conversations,
        snapshots: Snapshots,
        visitor: str,
        conversation: str,
        revision: int,
        tags: Tags,
    ) -> None:
        self.conversation = conversation
        self._conversations = conversations
        self._snapshots = snapshots
        self._visitor = visitor
        self._revision = revision
        self._tags = tags
        self._kept = snapshots.places(conversation, tags)
        self._written = 0
        self._late: deque[Callable[[], None]] = deque()

    @property
    def nbytes(self) -> int:
        """Bytes of this conversation's snapshots on disk."""
        return self._snapshots.nbytes(self.conversation)

    # --- what was said ------------------------------------------------------------------------------------------

    def begun(
        self, user: Node | None, reply: int, parent: Point, start: int, options: SamplingOptions, branches: bool
    ) -> None:
        self._catch_up()
        answer = StoredReply(reply, parent, start, "reply", "", (), options=options.model_dump(mode="json"))
        with self._conversations.database.write():
            revision = self._revision
            if user is not None:
                revision = self._conversations.say(self._visitor, self.conversation, revision, to_store(user))
            revision = self._conversations.begin(self._visitor, self.conversation, revision, answer)
            if branches:
                self._snapshots.mark_branch(self.conversation, *(user.parent if user else parent))
        self._revision, self._written = revision, 0

    def wrote(self, reply: int, start: int, tokens: Sequence[Token]) -> None:
        self._written = start + len(tokens)
        self._late.append(lambda: self._conversations.append(self.conversation, reply, start, tokens))
        self._catch_up()

    def ended(self, reply: int, node: Node | None, here: Point) -> None:
        if node is not None and self._written < len(node.tokens):
            start, rest = self._written, node.tokens[self._written :]
            self._late.append(lambda: self._conversations.append(self.conversation, reply, start, rest))
        self._late.append(lambda: self._end(reply, node, here))
        self._catch_up()

    def _end(self, reply: int, node: Node | None, here: Point) -> None:
        if node is None:
            self._conversations.drop(self.conversation, reply, here)
        else:
            done = node.done or _interrupted(len(node.tokens))
            self._conversations.end(self.conversation, reply, node.text, done, node.closed, here)

    def stood(self, here: Point) -> None:
        self._catch_up()
        self._revision = self._conversations.stand(self._visitor, self.conversation, self._revision, here)

    def _catch_up(self) -> None:
        """Write what could not be written before, in its order."""
        while self._late:
            self._late[0]()
            self._late.popleft()

    # --- states -------------------------------------------------------------------------------------------------

    def __contains__(self, point: Point) -> bool:
        return tuple(point) in self._kept

    def find(self, point: Point) -> Snapshot | None:
        try:
            data = self._snapshots.get(self.conversation, *point, self._tags)
            found = None if data is None else Snapshot.from_bytes(data)
        except (StateError, StoreError):
            found = None
        if found is None or layout_digest(verbs.layout(found.state)) != self._tags.layout:
            self._kept.discard(tuple(point))
            return None
        return found

    def keep(self, made: Sequence[tuple[Point, Snapshot, bool]]) -> None:
        places = (Place(*point, snapshot.to_bytes(), branch) for point, snapshot, branch in made)
        with suppress(StoreError):  # a state can be made again
            self._kept |= self._snapshots.put_all(self.conversation, self._tags, places)

    def forget(self) -> None:
        self._snapshots.purge(self.conversation)
        self._kept.clear()


def restored(found: Conversation, schema: type[SamplingOptions]) -> tuple[Tree, Point]:
    """A conversation's tree, and where it stands. A reply that a killed process left has what was written of it.

    Args:
        schema: of the options of the head it is for.

    Raises:
        SessionError: what is stored does not fit together.
    """
    tree = Tree()
    try:
        for stored in found.nodes:
            tree.join(_node(stored, schema))
        here = Point(*found.here)
        if here != ROOT:
            here = tree.point(*here)
    except SessionError as error:
        raise SessionError(f"The conversation {found.title!r} is damaged: {error}") from error
    # What was being written when the process ended is where one stands.
    unfinished = [node for node in found.nodes if isinstance(node, StoredReply) and node.done is None]
    if unfinished and tree.get(unfinished[-1].id).parent == here:
        here = tree.get(unfinished[-1].id).end
    return tree, here


def to_store(node: Node) -> StoredNode:
    """A node as the store holds it."""
    if node.role == "user":
        return StoredNode(node.id, node.parent, node.start, "user", node.text, node.ids)
    options = node.options.model_dump(mode="json") if node.options else {}
    done = node.done or _interrupted(len(node.tokens))
    return StoredReply(
        node.id, node.parent, node.start, "reply", node.text, node.ids, node.tokens, options, done, node.closed
    )


def _node(stored: StoredNode, schema: type[SamplingOptions]) -> Node:
    parent = Point(*stored.parent)
    if not isinstance(stored, StoredReply):
        return Node(stored.id, parent, stored.start, "user", stored.text, stored.ids)
    known: dict[str, Any] = {name: value for name, value in stored.options.items() if name in schema.model_fields}
    return Node(
        stored.id,
        parent,
        stored.start,
        "reply",
        stored.text,
        stored.ids,
        stored.tokens,
        build(schema, known, f"node {stored.id}"),
        stored.done or _interrupted(len(stored.tokens)),
        stored.closed,
    )


def _interrupted(tokens: int) -> Done:
    """The end of a reply whose process was killed."""
    return Done("cancelled", Usage(0, tokens, 0.0, 0.0, 0))
