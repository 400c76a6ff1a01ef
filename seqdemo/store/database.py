"""The SQLite file: opened once, shared by threads, and clear about what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock

from seqdemo.errors import StoreError
from seqdemo.files import home

__all__ = ["SCHEMA_VERSION", "Database", "opened"]

_FIRST = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    visitor TEXT NOT NULL,
    title TEXT NOT NULL,
    checkpoint TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    defaults TEXT NOT NULL,
    here_node INTEGER NOT NULL DEFAULT 0,
    here_tokens INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    changed REAL NOT NULL,
    deleted REAL
) STRICT;
CREATE INDEX conversations_of ON conversations (visitor, deleted, pinned, changed);
CREATE TABLE nodes (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    parent_node INTEGER NOT NULL,
    parent_tokens INTEGER NOT NULL,
    start INTEGER NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    ids BLOB NOT NULL,
    options TEXT,
    done TEXT,
    closed INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    PRIMARY KEY (conversation, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    conversation TEXT NOT NULL,
    node INTEGER NOT NULL,
    start INTEGER NOT NULL,
    text TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (conversation, node, start),
    FOREIGN KEY (conversation, node) REFERENCES nodes (conversation, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    node INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    layout TEXT NOT NULL,
    precision TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    branch INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (conversation, node, tokens)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshots_by_use ON snapshots (branch, used);
"""

_NOTEBOOKS = """
CREATE TABLE notebooks (
    visitor TEXT PRIMARY KEY,
    text TEXT NOT NULL DEFAULT '',
    checkpoint TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 0,
    changed REAL NOT NULL
) STRICT;
CREATE TABLE notebook_texts (
    visitor TEXT NOT NULL,
    stack TEXT NOT NULL,
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (visitor, stack, number)
) STRICT, WITHOUT ROWID;
"""

_COLUMNS = "-- Token events may be packed column by column."

_SCHEMAS = (_FIRST, _NOTEBOOKS, _COLUMNS)
"""What each version of the file added."""

SCHEMA_VERSION = len(_SCHEMAS)

_open: dict[Path, Database] = {}
_opening = Lock()

_EXPLAINED = {
    sqlite3.SQLITE_BUSY: "another program is writing to it. Try again in a moment, or close that program",
    sqlite3.SQLITE_LOCKED: "another program is writing to it. Try again in a moment, or close that program",
    sqlite3.SQLITE_FULL: "the disk is full. Free some space; what was written before is safe",
    sqlite3.SQLITE_READONLY: "it may not be written. Change its permissions, or set SEQDEMO_HOME to another folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened. Check its folder, or set SEQDEMO_HOME to another one",
    sqlite3.SQLITE_NOTADB: "it is not a database. Move it away; a new one is made",
    sqlite3.SQLITE_CORRUPT: "it is damaged. Move it away, or put a copy in its place",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
}


class Database:
    """One connection, used by one thread at a time.

    Write-ahead logging: readers never wait for a writer, and what was committed survives a killed process.

    Args:
        path: the file; made, with its folder, where there is none.
        patience: seconds to wait for another program's write.

    Raises:
        StoreError: it cannot be opened, or was written by a newer seqdemo.
    """

    def __init__(self, path: Path, patience: float = 5.0) -> None:
        self.path = path
        self._lock = RLock()
        with self._explained():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"Cannot make the folder {path.parent}: {error.strerror or error}.") from error
            self._connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA secure_delete = ON")  # what is deleted for good does not stay in the file's free pages
        with self.write():
            (version,) = run("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer seqdemo (format {version}, this one reads {SCHEMA_VERSION}). "
                    "Upgrade seqdemo, or set SEQDEMO_HOME to another folder."
                )
            for schema in _SCHEMAS[version:]:
                for statement in schema.split(";"):
                    run(statement)
            run(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it, or none.

        Raises:
            StoreError: the file is locked, full, damaged or not writable.
        """
        with self._lock, self._explained():
            nested = self._connection.in_transaction
            if nested:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Queries that see one moment.

        Raises:
            StoreError: as :meth:`write`.
        """
        with self._lock, self._explained():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def forget(self) -> None:
        """Take what was deleted out of the log too, where no other program reads it at the moment."""
        with self._lock, self._explained():
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; nothing is lost if this is never called."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            why = _EXPLAINED.get(code, str(error))
            raise StoreError(f"The conversations in {self.path} cannot be used: {why}.") from error


def opened(folder: Path | None = None) -> Database:
    """The database of a folder, opened once for the whole process.

    Args:
        folder: ``conversations`` in ``SEQDEMO_HOME`` when None.

    Raises:
        StoreError: it cannot be opened, or was written by a newer seqdemo.
    """
    place = (home() / "conversations" if folder is None else folder).resolve()
    with _opening:
        if place not in _open:
            _open[place] = Database(place / "conversations.db")
        return _open[place]
