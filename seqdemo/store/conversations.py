"""Conversations in the database: append-only, each known to one visitor."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqdemo.errors import SessionError, StaleError, StoreError
from seqdemo.plugin import Done, Token

from .database import Database
from .records import Conversation, Node, Reply, pack_done, unpack_done
from .tokens import pack_ids, pack_tokens, unpack_ids, unpack_tokens
from .words import around, escaped, one_line

__all__ = ["Conversations", "Summary"]

_NODE = "id, parent_node, parent_tokens, start, role, text, ids, options, done, closed, created"

_SUMMARY = (
    "SELECT c.id, c.title, c.checkpoint, c.pinned, c.changed, "
    "(SELECT count(*) FROM nodes n WHERE n.conversation = c.id) FROM conversations c"
)


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation as a list shows it.

    Attributes:
        id, title, checkpoint, pinned: its own.
        changed: seconds since 1970.
        messages: how many it holds, all versions counted.
        found: the piece of text that was searched for, or empty.
    """

    id: str
    title: str
    checkpoint: str
    pinned: bool
    changed: float
    messages: int
    found: str = ""


class Conversations:
    """What visitors said and were told. Nothing that was said is ever changed; what is deleted is hidden first.

    Every method takes the visitor: what belongs to another one is as if it were not there. Writers name the revision
    they know, and are refused when the conversation has gone on without them.

    Args:
        database: where.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock

    # --- the list -----------------------------------------------------------------------------------------------

    def create(
        self, visitor: str, checkpoint: str, fingerprint: str, defaults: Mapping[str, Any], title: str = ""
    ) -> str:
        """Begin a conversation; its id."""
        new, now = secrets.token_hex(12), self._clock()
        with self.database.write() as run:
            run.execute(
                "INSERT INTO conversations (id, visitor, title, checkpoint, fingerprint, defaults, created, changed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (new, visitor, one_line(title), checkpoint, fingerprint, json.dumps(dict(defaults)), now, now),
            )
        return new

    def owners(self) -> list[str]:
        """Every visitor who has a conversation here."""
        with self.database.read() as run:
            return [owner for (owner,) in run.execute("SELECT DISTINCT visitor FROM conversations ORDER BY visitor")]

    def summaries(self, visitor: str, query: str = "", limit: int = 200, hidden: bool = False) -> list[Summary]:
        """A visitor's conversations, pinned ones first, then the last changed; all that hold every word of a query.

        Args:
            hidden: those that were deleted, and not for good.
        """
        words = query.split()
        inside = "EXISTS (SELECT 1 FROM nodes n WHERE n.conversation = c.id AND n.text LIKE ? ESCAPE '\\')"
        matches = "".join(f" AND (c.title LIKE ? ESCAPE '\\' OR {inside})" for _ in words)
        patterns = [f"%{escaped(word)}%" for word in words for _ in range(2)]
        with self.database.read() as run:
            rows = run.execute(
                f"{_SUMMARY} WHERE c.visitor = ? AND c.deleted IS {'NOT ' if hidden else ''}NULL{matches} "
                "ORDER BY c.pinned DESC, c.changed DESC, c.rowid DESC LIMIT ?",
                (visitor, *patterns, limit),
            ).fetchall()
            return [_summary(row, self._found(run, row[0], words)) for row in rows]

    def summary(self, visitor: str, conversation: str) -> Summary:
        """One of them.

        Raises:
            SessionError: there is none.
        """
        with self.database.read() as run:
            row = run.execute(
                f"{_SUMMARY} WHERE c.visitor = ? AND c.deleted IS NULL AND c.id = ?", (visitor, conversation)
            ).fetchone()
        if row is None:
            raise _unknown(conversation)
        return _summary(row)

    def _found(self, run: sqlite3.Connection, conversation: str, words: Sequence[str]) -> str:
        for word in words:
            row = run.execute(
                "SELECT text FROM nodes WHERE conversation = ? AND text LIKE ? ESCAPE '\\' ORDER BY id LIMIT 1",
                (conversation, f"%{escaped(word)}%"),
            ).fetchone()
            if row is not None:
                return around(row[0], word)
        return ""

    def fill(self, visitor: str, conversation: str, nodes: Sequence[Node], here: tuple[int, int]) -> None:
        """Write nodes into a conversation that was just created, and stand at a place in them."""
        with self.database.write() as run:
            self._advance(run, visitor, conversation, 0, here)
            for node in nodes:
                self._insert(run, conversation, node)

    def fork(self, visitor: str, conversation: str, nodes: Sequence[int], here: tuple[int, int]) -> str:
        """Begin a conversation with some nodes of another one, standing at a place in them; its id.

        Raises:
            SessionError: there is no such conversation.
        """
        new, now = secrets.token_hex(12), self._clock()
        chosen = json.dumps(list(nodes))
        with self.database.write() as run:
            made = run.execute(
                "INSERT INTO conversations (id, visitor, title, checkpoint, fingerprint, defaults, here_node, "
                "here_tokens, created, changed) SELECT ?, visitor, ?||title, checkpoint, fingerprint, defaults, ?, ?, "
                "?, ? FROM conversations WHERE id = ? AND visitor = ? AND deleted IS NULL",
                (new, "Fork of ", *here, now, now, conversation, visitor),
            )
            if made.rowcount == 0:
                raise _unknown(conversation)
            for table, columns, number in (("nodes", _NODE, "id"), ("events", "node, start, text, data", "node")):
                run.execute(
                    f"INSERT INTO {table} (conversation, {columns}) SELECT ?, {columns} FROM {table} "
                    f"WHERE conversation = ? AND {number} IN (SELECT value FROM json_each(?))",
                    (new, conversation, chosen),
                )
        return new

    def rename(self, visitor: str, conversation: str, title: str) -> None:
        """Give it another title.

        Raises:
            SessionError: the title is empty, or there is no such conversation.
        """
        if not one_line(title):
            raise SessionError("A conversation's title cannot be empty.")
        self._set(visitor, conversation, "title = ?", one_line(title))

    def pin(self, visitor: str, conversation: str, pinned: bool) -> None:
        """Keep it on top of the list, or no longer."""
        self._set(visitor, conversation, "pinned = ?", int(pinned))

    def delete(self, visitor: str, conversation: str) -> None:
        """Hide it; :meth:`restore` undoes that."""
        self._set(visitor, conversation, "deleted = ?", self._clock())

    def restore(self, visitor: str, conversation: str) -> None:
        """Show what was hidden again."""
        self._set(visitor, conversation, "deleted = ?", None, hidden=True)

    def purge(self, visitor: str, conversation: str) -> None:
        """Delete it for good: every row of it. Its snapshots' files are :meth:`Snapshots.purge`'s."""
        with self.database.write() as run:
            gone = run.execute("DELETE FROM conversations WHERE id = ? AND visitor = ?", (conversation, visitor))
            if gone.rowcount == 0:
                raise _unknown(conversation)
        self.database.forget()

    def _set(self, visitor: str, conversation: str, what: str, value: Any, hidden: bool = False) -> None:
        shown = "" if hidden else " AND deleted IS NULL"
        with self.database.write() as run:
            done = run.execute(
                f"UPDATE conversations SET {what} WHERE id = ? AND visitor = ?{shown}", (value, conversation, visitor)
            )
            if done.rowcount == 0:
                raise _unknown(conversation)

    # --- one conversation ---------------------------------------------------------------------------------------

    def read(self, visitor: str, conversation: str) -> Conversation:
        """All of it. A reply that a killed process left unfinished has what was written of it, and no ``done``.

        Raises:
            SessionError: there is none.
            StoreError: what is stored is damaged.
        """
        with self.database.read() as run:
            row = run.execute(
                "SELECT title, checkpoint, fingerprint, defaults, here_node, here_tokens, revision FROM conversations "
                "WHERE id = ? AND visitor = ? AND deleted IS NULL",
                (conversation, visitor),
            ).fetchone()
            if row is None:
                raise _unknown(conversation)
            nodes = run.execute(
                f"SELECT {_NODE} FROM nodes WHERE conversation = ? ORDER BY id",
                (conversation,),
            ).fetchall()
            events: dict[int, list[Token]] = {}
            for node, data in run.execute(
                "SELECT node, data FROM events WHERE conversation = ? ORDER BY node, start", (conversation,)
            ):
                events.setdefault(node, []).extend(unpack_tokens(data))
        title, checkpoint, fingerprint, defaults, here_node, here_tokens, revision = row
        made = [_node(node, tuple(events.get(node[0], ()))) for node in nodes]
        kept = tuple(node for node in made if node.role == "user" or node.ids)
        return Conversation(
            conversation,
            visitor,
            title,
            checkpoint,
            fingerprint,
            json.loads(defaults),
            (here_node, here_tokens),
            revision,
            kept,
        )

    def say(self, visitor: str, conversation: str, revision: int, node: Node) -> int:
        """Write a message down and stand at its end; the new revision. The first one gives an untitled one its title.

        Raises:
            StaleError: it was changed elsewhere since ``revision``.
        """
        with self.database.write() as run:
            after = self._advance(run, visitor, conversation, revision, (node.id, len(node.ids)))
            self._insert(run, conversation, node)
            run.execute(
                "UPDATE conversations SET title = ? WHERE id = ? AND title = ''", (one_line(node.text), conversation)
            )
            return after

    def begin(self, visitor: str, conversation: str, revision: int, reply: Reply) -> int:
        """Make room for a reply that is about to stream, and stand where it goes on from; the new revision.

        Raises:
            StaleError: it was changed elsewhere since ``revision``.
        """
        with self.database.write() as run:
            after = self._advance(run, visitor, conversation, revision, reply.parent)
            self._insert(run, conversation, reply)
            return after

    def append(self, conversation: str, node: int, start: int, tokens: Sequence[Token]) -> None:
        """Write down tokens ``start …`` of a reply that streams."""
        text = "".join(token.text for token in tokens)
        packed = pack_tokens(tokens)  # nobody else waits for that
        with self.database.write() as run:
            run.execute(
                "INSERT OR REPLACE INTO events (conversation, node, start, text, data) VALUES (?, ?, ?, ?, ?)",
                (conversation, node, start, text, packed),
            )

    def end(self, conversation: str, node: int, text: str, done: Done, closed: bool, here: tuple[int, int]) -> None:
        """Write down how a reply ended, and where one stands then.

        The revision stays: whoever began the reply knows it already.
        """
        with self.database.write() as run:
            run.execute(
                "UPDATE nodes SET text = ?, done = ?, closed = ? WHERE conversation = ? AND id = ?",
                (text, pack_done(done), int(closed), conversation, node),
            )
            self._place(run, conversation, here)

    def drop(self, conversation: str, node: int, here: tuple[int, int]) -> None:
        """Forget a reply for which no token came, and stand elsewhere."""
        with self.database.write() as run:
            self._clear(run, conversation, node)
            self._place(run, conversation, here)

    def _place(self, run: sqlite3.Connection, conversation: str, here: tuple[int, int]) -> None:
        run.execute(
            "UPDATE conversations SET here_node = ?, here_tokens = ?, changed = ? WHERE id = ?",
            (*here, self._clock(), conversation),
        )

    def _clear(self, run: sqlite3.Connection, conversation: str, node: int) -> None:
        """Remove a reply that was begun and has no token."""
        run.execute(
            "DELETE FROM nodes WHERE conversation = ?1 AND id = ?2 AND role = 'reply' AND done IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM events WHERE conversation = ?1 AND node = ?2)",
            (conversation, node),
        )

    def stand(self, visitor: str, conversation: str, revision: int, here: tuple[int, int]) -> int:
        """Stand elsewhere; the new revision.

        Raises:
            StaleError: it was changed elsewhere since ``revision``.
        """
        with self.database.write() as run:
            return self._advance(run, visitor, conversation, revision, here)

    def _insert(self, run: sqlite3.Connection, conversation: str, node: Node) -> None:
        reply = node if isinstance(node, Reply) else None
        self._clear(run, conversation, node.id)  # left by a process that was killed
        run.execute(
            f"INSERT INTO nodes (conversation, {_NODE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                conversation,
                node.id,
                *node.parent,
                node.start,
                node.role,
                node.text,
                b"" if reply else pack_ids(node.ids),
                json.dumps(reply.options) if reply else None,
                pack_done(reply.done) if reply else None,
                int(reply.closed) if reply else 0,
                self._clock(),
            ),
        )
        if reply is not None and reply.tokens:
            self.append(conversation, node.id, 0, reply.tokens)

    def _advance(
        self, run: sqlite3.Connection, visitor: str, conversation: str, revision: int, here: tuple[int, int]
    ) -> int:
        done = run.execute(
            "UPDATE conversations SET revision = revision + 1, changed = ?, here_node = ?, here_tokens = ? "
            "WHERE id = ? AND visitor = ? AND deleted IS NULL AND revision = ?",
            (self._clock(), *here, conversation, visitor, revision),
        )
        if done.rowcount == 1:
            return revision + 1
        known = run.execute("SELECT deleted FROM conversations WHERE id = ? AND visitor = ?", (conversation, visitor))
        if (row := known.fetchone()) is None or row[0] is not None:
            raise _unknown(conversation)
        raise StaleError("This conversation has gone on in another tab. Reload it here to see that; nothing was lost.")


def _node(row: Sequence[Any], tokens: tuple[Token, ...]) -> Node:
    number, parent_node, parent_tokens, start, role, text, ids, options, done, closed, _ = row
    parent = (parent_node, parent_tokens)
    if role == "user":
        return Node(number, parent, start, "user", text, unpack_ids(ids))
    ended = unpack_done(done)
    if [token.position for token in tokens] != list(range(start, start + len(tokens))):
        raise StoreError(f"Tokens of reply {number} are missing in the database.")
    said = text if ended is not None else "".join(token.text for token in tokens)
    return Reply(
        number,
        parent,
        start,
        "reply",
        said,
        tuple(token.id for token in tokens),
        tokens,
        json.loads(options) if options else {},
        ended,
        bool(closed),
    )


def _summary(row: Sequence[Any], found: str = "") -> Summary:
    number, title, checkpoint, pinned, changed, messages = row
    return Summary(number, title, checkpoint, bool(pinned), changed, messages, found)


def _unknown(conversation: str) -> SessionError:
    return SessionError(f"There is no conversation {conversation!r} here: it was deleted, or belongs to someone else.")
