"""Each visitor's notebook while the server runs: the text, and what is written at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from seqdemo.errors import SeqdemoError, StoreError
from seqdemo.plugin import Event, Generation
from seqdemo.store import Database, Notebooks, Sheet

from .messages import Message
from .reply import Reply
from .source import Stream
from .words import PageError

if TYPE_CHECKING:
    from seqdemo.decoding import Notebook

__all__ = ["Desk", "Desks"]

_BUDGET = 64_000_000
_SECONDS = 0.5
_serial = count(1)


class Desk:
    """One visitor's notebook. The database has its text at any time; states are in memory only.

    Attributes:
        name: of the checkpoint that was last used.
        passage: differs for everything that is written.
        reply: what was last written, or is being written.
        before: the text that goes in front of it.
        trouble: why the text could not be put down at the end of it, if it could not.

    Args:
        owner: the visitor.
        database: opens the store.
    """

    def __init__(self, owner: str, database: Callable[[], Database]) -> None:
        self.name = ""
        self.passage = 0
        self.reply: Reply | None = None
        self.before = ""
        self.trouble: SeqdemoError | None = None
        self._owner = owner
        self._database = database
        self._notebook: Notebook | None = None
        self._revision = 0
        self._lock = RLock()

    @property
    def busy(self) -> bool:
        """Something is being written."""
        return self.reply is not None and not self.reply.finished

    @property
    def sheet(self) -> Sheet:
        """The notebook as it is kept; of what is being written half a second may be missing.

        Raises:
            StoreError: it cannot be read.
        """
        with self._lock:
            return self._kept.read(self._owner)

    @property
    def _kept(self) -> Notebooks:
        return Notebooks(self._database())

    def tokens(self, name: str, text: str) -> int | None:
        """How many tokens a text is for the checkpoint that was last used; None for others, and where it has none."""
        with self._lock:
            notebook = self._notebook if self.name == name else None
        try:
            return None if notebook is None else len(notebook.ids(text))
        except SeqdemoError:
            return None

    def use(self, name: str, pipe: Any) -> None:
        """Write with a checkpoint from now on."""
        from seqdemo.decoding import Notebook

        with self._lock:
            if self._notebook is None or self.name != name or self._notebook.head is not pipe.head:
                self.name = name
                self._notebook = Notebook(pipe.head, pipe.options({}), pipe.device, _BUDGET)

    def release(self, checkpoint: str) -> None:
        """Hold on to nothing of a checkpoint: a text is read again when it is gone on with."""
        with self._lock:
            if checkpoint == self.name:
                self._notebook = None

    # --- changing -----------------------------------------------------------------------------------------------

    def save(self, revision: int, text: str) -> int:
        """Keep a text; the new revision.

        Raises:
            StaleError: the notebook was changed since ``revision``.
            PageError: something is being written.
        """
        with self._lock:
            self._idle()
            return self._kept.save(self._owner, revision, text)

    def back(self, revision: int) -> None:
        """Have the text as it was before something was last written.

        Raises:
            StaleError, PageError: as :meth:`save`.
        """
        with self._lock:
            self._idle()
            self._kept.back(self._owner, revision)

    def forth(self, revision: int) -> None:
        """Take the last :meth:`back` back.

        Raises:
            StaleError, PageError: as :meth:`save`.
        """
        with self._lock:
            self._idle()
            self._kept.forth(self._owner, revision)

    def write(self, name: str, pipe: Any, revision: int, text: str, options: Mapping[str, Any]) -> Reply:
        """Go on at the end of a text.

        Args:
            options: ``alternatives`` is left out: nothing shows them.

        Raises:
            SeqdemoError: it cannot be gone on with as it is; nothing has changed then.
        """
        with self._lock:
            self._idle()
            self.use(name, pipe)
            assert self._notebook is not None
            stream = self._notebook.stream(text, **{**options, "alternatives": 0})
            try:
                self._revision = self._kept.begin(self._owner, revision, text, name)
            except BaseException:
                stream.close()
                raise
            self.before, self.trouble, self.passage = text, None, next(_serial)
            message = Message("model")
            self.reply = Reply(_Kept(stream, lambda: self._put_down(message)), message, lambda: self._end(message))
            return self.reply

    def cancel(self) -> None:
        """Stop what is being written."""
        if self.reply is not None:
            self.reply.cancel()

    def _idle(self) -> None:
        if self.busy:
            raise PageError("notebook.writing")

    def _put_down(self, message: Message) -> None:
        with self._lock:
            self._revision = self._kept.save(self._owner, self._revision, self.before + message.content)

    def _end(self, message: Message) -> None:
        try:
            self._put_down(message)
        except SeqdemoError as error:
            self.trouble = error


class _Kept:
    """A stream whose text is put down now and then.

    Args:
        stream: of events.
        put_down: keeps what there is of it.
    """

    def __init__(self, stream: Stream, put_down: Callable[[], None]) -> None:
        self._stream = stream
        self._put_down = put_down

    def __iter__(self) -> Iterator[Event]:
        last = monotonic()
        for event in self._stream:
            yield event
            if monotonic() - last >= _SECONDS:
                last = monotonic()
                # What cannot be kept now is kept later; at the end it is an error.
                with suppress(StoreError):
                    self._put_down()

    def close(self) -> None:
        """As the stream's own."""
        self._stream.close()

    def generation(self) -> Generation:
        """As the stream's own."""
        return self._stream.generation()


class Desks:
    """Every visitor's, as long as one of their tabs holds it.

    Args:
        database: opens the store.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database
        self._by_owner: WeakValueDictionary[str, Desk] = WeakValueDictionary()
        self._lock = RLock()

    def of(self, owner: str) -> Desk:
        """A visitor's."""
        with self._lock:
            desk = self._by_owner.get(owner)
            if desk is None:
                desk = self._by_owner[owner] = Desk(owner, self._database)
            return desk

    def release(self, checkpoint: str) -> None:
        """Hold on to nothing of a checkpoint."""
        with self._lock:
            desks = list(self._by_owner.values())
        for desk in desks:
            desk.release(checkpoint)
