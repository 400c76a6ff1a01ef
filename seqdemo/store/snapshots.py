"""States of conversations, as files beside the database, under a byte budget. A cache: any of them may be missing."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from .database import Database

__all__ = ["DEFAULT_BUDGET", "Place", "Snapshots", "Tags"]

DEFAULT_BUDGET = 1_000_000_000
"""Bytes."""

_TOGETHER = 64
"""Snapshots that one transaction takes: nobody else writes meanwhile."""

_NAME = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True)
class Tags:
    """What a state belongs to; it is of no use to anything else.

    Attributes:
        fingerprint: of the weights it was made with.
        layout: names, shapes and dtypes of its entries, as a digest.
        precision: of the arithmetic.
    """

    fingerprint: str
    layout: str
    precision: str


class Place(NamedTuple):
    """What is kept of a place of a conversation.

    Attributes:
        node, tokens: the place.
        data: the snapshot.
        branch: whether more than one line goes on from there.
    """

    node: int
    tokens: int
    data: bytes
    branch: bool = False


class Snapshots:
    """Bytes by conversation, node and token. Least recently used out first, places where it branches last.

    Files are written without waiting for the disk: a file that a power cut tore is found out by its checksum and
    counts as missing. Never raises for a full disk: a snapshot that cannot be written is not kept.

    Args:
        database: holds the index; the files lie in ``states`` beside it.
        budget: bytes of all files together.
    """

    def __init__(self, database: Database, budget: int = DEFAULT_BUDGET) -> None:
        self.database = database
        self.budget = budget
        self.folder = database.path.parent / "states"

    def put(self, conversation: str, node: int, tokens: int, tags: Tags, data: bytes, branch: bool = False) -> bool:
        """Keep a snapshot, and let others go until the budget is met; whether it was kept."""
        return bool(self.put_all(conversation, tags, [Place(node, tokens, data, branch)]))

    def put_all(self, conversation: str, tags: Tags, places: Iterable[Place]) -> set[tuple[int, int]]:
        """As :meth:`put` of each in turn, in a tenth of the time; nodes and tokens of those that were kept."""
        kept: set[tuple[int, int]] = set()
        coming = iter(places)
        while some := list(islice(coming, _TOGETHER)):
            # Before the database is held: others wait for that.
            written = [place for place in some if len(place.data) <= self.budget and self._write(conversation, place)]
            if written:
                self._enter(conversation, tags, written)
                kept.update((place.node, place.tokens) for place in written)
        return kept

    def _write(self, conversation: str, place: Place) -> bool:
        path = self._path(conversation, place.node, place.tokens)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(place.data)
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return False
        return True

    def _enter(self, conversation: str, tags: Tags, written: list[Place]) -> None:
        """Have files in the index, each used after all those before it."""
        with self.database.write() as run:
            (newest,) = run.execute("SELECT coalesce(max(used), 0) FROM snapshots").fetchone()
            run.executemany(
                "INSERT OR REPLACE INTO snapshots (conversation, node, tokens, fingerprint, layout, precision, bytes, "
                "checksum, branch, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        conversation,
                        place.node,
                        place.tokens,
                        tags.fingerprint,
                        tags.layout,
                        tags.precision,
                        len(place.data),
                        zlib.crc32(place.data),
                        int(place.branch),
                        used,
                    )
                    for used, place in enumerate(written, newest + 1)
                ],
            )
            self._shrink((conversation, written[-1].node, written[-1].tokens))

    def get(self, conversation: str, node: int, tokens: int, tags: Tags) -> bytes | None:
        """A snapshot, if it is whole and belongs to these weights; that counts as a use."""
        place = (conversation, node, tokens)
        with self.database.write() as run:
            row = run.execute(
                "SELECT checksum, fingerprint, layout, precision FROM snapshots "
                "WHERE conversation = ? AND node = ? AND tokens = ?",
                place,
            ).fetchone()
            if row is None or Tags(*row[1:]) != tags:
                return None
            try:
                data = self._path(*place).read_bytes()
            except OSError:
                data = b""
            if zlib.crc32(data) != row[0]:
                self._drop(place)
                return None
            run.execute(
                "UPDATE snapshots SET used = (SELECT max(used) + 1 FROM snapshots) "
                "WHERE conversation = ? AND node = ? AND tokens = ?",
                place,
            )
        return data

    def places(self, conversation: str, tags: Tags) -> set[tuple[int, int]]:
        """Nodes and tokens for which there is a snapshot of these weights."""
        with self.database.read() as run:
            rows = run.execute(
                "SELECT node, tokens FROM snapshots WHERE conversation = ? AND fingerprint = ? AND layout = ? "
                "AND precision = ?",
                (conversation, tags.fingerprint, tags.layout, tags.precision),
            ).fetchall()
        return {(node, tokens) for node, tokens in rows}

    def mark_branch(self, conversation: str, node: int, tokens: int) -> None:
        """From now on more than one line goes on from a place."""
        with self.database.write() as run:
            run.execute(
                "UPDATE snapshots SET branch = 1 WHERE conversation = ? AND node = ? AND tokens = ?",
                (conversation, node, tokens),
            )

    def nbytes(self, conversation: str | None = None) -> int:
        """Bytes on disk, of a conversation or of all."""
        chosen, values = ("", ()) if conversation is None else (" WHERE conversation = ?", (conversation,))
        with self.database.read() as run:
            (total,) = run.execute(f"SELECT coalesce(sum(bytes), 0) FROM snapshots{chosen}", values).fetchone()
        return int(total)

    def purge(self, conversation: str) -> None:
        """Delete all states of a conversation, files included."""
        with self.database.write() as run:
            run.execute("DELETE FROM snapshots WHERE conversation = ?", (conversation,))
        shutil.rmtree(self._folder(conversation), ignore_errors=True)

    def sweep(self) -> int:
        """Remove files that the index does not know, left by a process that was killed; how many there were."""
        with self.database.read() as run:
            known = {
                self._path(*place)
                for place in run.execute("SELECT conversation, node, tokens FROM snapshots").fetchall()
            }
        strays = [path for path in self._files() if path not in known]
        for path in strays:
            path.unlink(missing_ok=True)
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):
                folder.rmdir()
        return len(strays)

    def _files(self) -> Iterator[Path]:
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if folder.is_dir() and _NAME.fullmatch(folder.name):
                yield from (path for path in folder.iterdir() if path.is_file())

    def _folder(self, conversation: str) -> Path:
        if not _NAME.fullmatch(conversation):
            raise ValueError(f"{conversation!r} is not the id of a conversation")
        return self.folder / conversation

    def _path(self, conversation: str, node: int, tokens: int) -> Path:
        return self._folder(conversation) / f"{node}-{tokens}.safetensors"

    def _shrink(self, newest: tuple[str, int, int]) -> None:
        over = self.nbytes() - self.budget
        while over > 0:
            with self.database.write() as run:
                row = run.execute(
                    "SELECT conversation, node, tokens, bytes FROM snapshots "
                    "WHERE (conversation, node, tokens) != (?, ?, ?) ORDER BY branch, used LIMIT 1",
                    newest,
                ).fetchone()
            if row is None:
                return
            self._drop((row[0], row[1], row[2]))
            over -= row[3]

    def _drop(self, place: tuple[str, int, int]) -> None:
        with self.database.write() as run:
            run.execute("DELETE FROM snapshots WHERE conversation = ? AND node = ? AND tokens = ?", place)
        with suppress(OSError):
            self._path(*place).unlink()
