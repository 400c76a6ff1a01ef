"""Notebooks in the database: one text for each visitor, and the texts it was before."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from seqdemo.errors import StaleError

from .database import Database

__all__ = ["Notebooks", "Sheet"]

Stack = Literal["earlier", "undone"]

STEPS = 100
"""Texts that can be gone back to."""

CHARACTERS = 8_000_000
"""Of all of them together; the last one stays, however long."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A visitor's notebook.

    Attributes:
        text: all of it.
        checkpoint: what wrote in it last, or empty.
        revision: counts its changes; a writer must know the last one.
        earlier: how many times it can be taken back to what it was before something was generated.
        undone: how many times that can be taken back in turn.
    """

    text: str = ""
    checkpoint: str = ""
    revision: int = 0
    earlier: int = 0
    undone: int = 0


class Notebooks:
    """Every visitor's notebook. Writers name the revision they know, and are refused when it has changed since.

    Args:
        database: where.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock

    def read(self, visitor: str) -> Sheet:
        """A visitor's notebook; an empty one, of revision 0, where nothing was written yet."""
        with self.database.read() as run:
            row = run.execute(
                "SELECT text, checkpoint, revision FROM notebooks WHERE visitor = ?", (visitor,)
            ).fetchone()
            text, checkpoint, revision = row or ("", "", 0)
            counts = "SELECT stack, count(*) FROM notebook_texts WHERE visitor = ? AND text != ? GROUP BY stack"
            depths = dict(run.execute(counts, (visitor, text)))
        return Sheet(text, checkpoint, revision, depths.get("earlier", 0), depths.get("undone", 0))

    def save(self, visitor: str, revision: int, text: str) -> int:
        """Write the text; the new revision.

        Raises:
            StaleError: it was changed elsewhere since ``revision``.
        """
        with self.database.write() as run:
            return self._advance(run, visitor, revision, text)

    def begin(self, visitor: str, revision: int, text: str, checkpoint: str) -> int:
        """Write the text that something is about to be generated behind, to be gone back to; the new revision.

        Raises:
            StaleError: as :meth:`save`.
        """
        with self.database.write() as run:
            after = self._advance(run, visitor, revision, text)
            run.execute("UPDATE notebooks SET checkpoint = ? WHERE visitor = ?", (checkpoint, visitor))
            self._push(run, visitor, "earlier", text)
            run.execute("DELETE FROM notebook_texts WHERE visitor = ? AND stack = 'undone'", (visitor,))
            return after

    def back(self, visitor: str, revision: int) -> int:
        """Have the text as it was before something was last generated; the new revision, the old one if there is none.

        Where nothing came of it, so that the text is the same, the one before that is meant.

        Raises:
            StaleError: as :meth:`save`.
        """
        return self._swap(visitor, revision, "earlier", "undone")

    def forth(self, visitor: str, revision: int) -> int:
        """Take the last :meth:`back` back.

        Raises:
            StaleError: as :meth:`save`.
        """
        return self._swap(visitor, revision, "undone", "earlier")

    def _swap(self, visitor: str, revision: int, source: Stack, target: Stack) -> int:
        with self.database.write() as run:
            row = run.execute(
                "SELECT kept.number, kept.text, now.text FROM notebook_texts kept JOIN notebooks now USING (visitor) "
                "WHERE visitor = ? AND stack = ? AND kept.text != now.text ORDER BY number DESC LIMIT 1",
                (visitor, source),
            ).fetchone()
            if row is None:
                return self._unchanged(run, visitor, revision)
            number, text, current = row
            after = self._advance(run, visitor, revision, text)
            self._push(run, visitor, target, current)
            run.execute(
                "DELETE FROM notebook_texts WHERE visitor = ? AND stack = ? AND number >= ?", (visitor, source, number)
            )
            return after

    def _push(self, run: sqlite3.Connection, visitor: str, stack: Stack, text: str) -> None:
        run.execute(
            "INSERT INTO notebook_texts (visitor, stack, number, text) SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3 "
            "FROM notebook_texts WHERE visitor = ?1 AND stack = ?2",
            (visitor, stack, text),
        )
        run.execute(
            "DELETE FROM notebook_texts WHERE visitor = ?1 AND stack = ?2 AND number IN (SELECT number FROM (SELECT "
            "number, row_number() OVER newest AS place, sum(length(text)) OVER newest AS total FROM notebook_texts "
            "WHERE visitor = ?1 AND stack = ?2 WINDOW newest AS (ORDER BY number DESC)) "
            "WHERE place > ?3 OR (place > 1 AND total > ?4))",
            (visitor, stack, STEPS, CHARACTERS),
        )

    def _advance(self, run: sqlite3.Connection, visitor: str, revision: int, text: str) -> int:
        run.execute("INSERT OR IGNORE INTO notebooks (visitor, changed) VALUES (?, 0)", (visitor,))
        self._unchanged(run, visitor, revision)
        run.execute(
            "UPDATE notebooks SET text = ?, changed = ?, revision = revision + 1 WHERE visitor = ?",
            (text, self._clock(), visitor),
        )
        return revision + 1

    def _unchanged(self, run: sqlite3.Connection, visitor: str, revision: int) -> int:
        row = run.execute("SELECT revision FROM notebooks WHERE visitor = ?", (visitor,)).fetchone()
        if row is not None and row[0] != revision:
            raise StaleError("This notebook was changed in another tab. Reload it here to see that; nothing was lost.")
        return revision
