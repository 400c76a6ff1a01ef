"""The same message to several models: each column a session of its own, and what each makes of the others' replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from seqdemo.store import Database

from .messages import Message
from .reply import Reply
from .words import PageError

if TYPE_CHECKING:
    from seqdemo.decoding import Point, Session, Snapshot, Tree
    from seqdemo.scoring import Score

__all__ = ["Cell", "Column", "Comparison", "Exchange"]

_serial = count(1)


@dataclass(slots=True)
class Cell:
    """One column's answer to one message.

    Attributes:
        reply: it, running or not; None where there is none.
        error: why there is none.
        asked: the number of the message in the column's session.
    """

    reply: Reply | None = None
    error: Exception | None = None
    asked: int = 0

    @property
    def trouble(self) -> Exception | None:
        """What went wrong, before the reply or within it."""
        return self.error or (self.reply.error if self.reply is not None else None)

    @property
    def text(self) -> str:
        """The reply that can be read; empty where something went wrong."""
        return self.reply.message.content if self.reply is not None and self.trouble is None else ""


@dataclass(slots=True)
class Exchange:
    """A message and what each column answered.

    Attributes:
        scores: by the column that read, then by the column whose reply it read; None where nothing was to be read, an
            error where it could not be. Empty until all replies have ended.
    """

    message: str
    cells: list[Cell]
    scores: list[list[Score | Exception | None]] = field(default_factory=list)


class Parked(NamedTuple):
    """A session whose checkpoint was unloaded."""

    tree: Tree
    here: Point
    states: list[tuple[Point, Snapshot]]


@dataclass(slots=True)
class Column:
    """A checkpoint and the conversation held with it, in memory only.

    Attributes:
        name: the checkpoint's.
        ended: an error ended it; it is asked no more.
        session: None before the first message, and while the checkpoint is unloaded.
        parked: what the session was then.
        device: of the pipeline.
    """

    name: str
    ended: bool = False
    session: Session | None = None
    parked: Parked | None = None
    device: Any = "cpu"

    def begin(self, pipe: Any) -> Session:
        """Its session, which stands where it stood."""
        from seqdemo.decoding import Session

        if self.session is None:
            self.session, self.device = Session(pipe.head, pipe.options({}), pipe.fingerprint, pipe.device), pipe.device
            if self.parked is not None:
                self.session.adopt(self.parked.tree, self.parked.here)
                for place, kept in self.parked.states:
                    self.session.cache.put(place, kept)
                self.parked = None
        return self.session

    def park(self) -> None:
        """Hold on to nothing of the pipeline."""
        if self.session is not None:
            self.parked = Parked(self.session.tree, self.session.here, list(self.session.cache.items()))
            self.session = None


class Comparison:
    """Columns that are asked the same.

    Attributes:
        id: differs from that of every other comparison.
        columns: two or three.
        exchanges: what was said.
        options: of each column, as last given.
        judging: replies have ended, and are being read by the other models.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.id = next(_serial)
        self.columns = [Column(name) for name in names]
        self.exchanges: list[Exchange] = []
        self.options: list[Mapping[str, Any]] = []
        self.judging = False
        self._enough = False
        self._lock = Lock()

    @property
    def names(self) -> list[str]:
        """Of the checkpoints."""
        return [column.name for column in self.columns]

    @property
    def replies(self) -> list[Reply]:
        """The last ones, running or not."""
        cells = self.exchanges[-1].cells if self.exchanges else []
        return [cell.reply for cell in cells if cell.reply is not None]

    @property
    def events(self) -> int:
        """Grows with every event of the last replies."""
        return sum(reply.events + reply.finished for reply in self.replies)

    @property
    def finished(self) -> bool:
        """All of the last replies have ended."""
        return all(reply.finished for reply in self.replies)

    @property
    def busy(self) -> bool:
        """Replies are being written or read."""
        return self.judging or not self.finished

    def cancel(self) -> None:
        """Stop all of them, and where they have ended, the reading."""
        if self.finished:
            self._enough = True
        for reply in self.replies:
            reply.cancel()

    def say(
        self, message: str, options: Sequence[Mapping[str, Any]], pipes: Sequence[Any | Exception], raw: bool = False
    ) -> Exchange:
        """Send a message to every column that has not ended; their replies begin together.

        Args:
            options: of each column's reply.
            pipes: each column's pipeline, or why there is none.
            raw: without turn templates.

        Raises:
            PageError: replies are still being written, or every column has ended.
        """
        with self._lock:
            if self.busy:
                raise PageError("compare.writing")
            if all(column.ended for column in self.columns):
                raise PageError("compare.all_ended")
            self._enough, self.options = False, list(options)
            asked = zip(self.columns, options, pipes, strict=True)
            exchange = Exchange(message, [_ask(column, message, own, pipe, raw) for column, own, pipe in asked])
            self.exchanges.append(exchange)
            self.judging = True
            return exchange

    def judge(self) -> None:
        """Once all replies have ended: each column's model reads each of them, where its own stands."""
        with self._lock:
            if not self.judging:
                return
            try:
                exchange = self.exchanges[-1]
                for column, cell in zip(self.columns, exchange.cells, strict=True):
                    column.ended = column.ended or cell.trouble is not None
                if sum(bool(cell.text) for cell in exchange.cells) > 1:
                    rows = zip(self.columns, exchange.cells, strict=True)
                    scores = [self._row(column, cell, exchange) for column, cell in rows]
                    exchange.scores = [] if self._enough else scores
            finally:
                self.judging = False

    def _row(self, column: Column, own: Cell, exchange: Exchange) -> list[Score | Exception | None]:
        from seqdemo.scoring import score

        if column.session is None or own.reply is None or own.trouble is not None:
            return [None for _ in exchange.cells]
        state = column.session.fork(own.asked).state
        found: list[Score | Exception | None] = []
        for other in exchange.cells:
            if self._enough or not other.text:
                found.append(None)
                continue
            try:
                found.append(score(column.session.head, other.text, column.device, {}, state))
            except Exception as error:  # noqa: BLE001 - shown where the score would stand
                found.append(error)
        return found

    def keep(self, column: int, pipe: Any, database: Database, owner: str) -> str:
        """Turn a column into a conversation that is kept; its id.

        Raises:
            PageError: nothing was said in it, or replies are still being written.
            StoreError: it cannot be kept.
        """
        from seqdemo.library import Library

        with self._lock:
            if self.busy:
                raise PageError("compare.writing")
            if not 0 <= column < len(self.columns):
                raise PageError("compare.not_kept")
            session = self.columns[column].begin(pipe)
            if not session.messages:
                raise PageError("compare.not_kept")
            return Library(database, owner).keep(pipe, session).id

    def release(self, checkpoint: str) -> None:
        """Hold on to nothing of a checkpoint: its columns go on when it is loaded again."""
        with self._lock:
            for column in self.columns:
                if column.name == checkpoint:
                    column.park()


def _ask(column: Column, message: str, options: Mapping[str, Any], pipe: Any, raw: bool) -> Cell:
    if column.ended:
        return Cell()
    try:
        if isinstance(pipe, Exception):
            raise pipe
        session = column.begin(pipe)
        stream = session.stream(message, raw=raw, **options)
    except Exception as error:  # noqa: BLE001 - it ends this column and no other
        column.ended = True
        return Cell(error=error)
    return Cell(Reply(stream, Message("model"), lambda: None), asked=session.path[-1].id)
