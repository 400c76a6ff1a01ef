"""What a model writes at the end of a notebook's text, on its way to a reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import RLock
from typing import Self

from seqdemo.errors import SessionError
from seqdemo.plugin import Done, Event, Generation, Token

from .stream import Stream

__all__ = ["Passage", "Work"]


@dataclass(slots=True)
class Work:
    """What reader and writer of a passage share.

    Attributes:
        tokens: those read so far.
        closed: the reader wants no more.
        stream: of the engine, once it writes.
    """

    tokens: list[Token] = field(default_factory=list)
    closed: bool = False
    stream: Stream | None = None

    def follow(self, stream: Stream) -> None:
        """The engine has begun to write."""
        self.stream = stream
        if self.closed:
            stream.close()


class Passage(Iterator[Event]):
    """Events: ``Prefill``* for what of the text was read, ``Token``*, then one ``Done``.

    One lock: any thread may close while one reads. A passage that nobody holds any more stops by itself.

    Attributes:
        ended: no event will come.

    Args:
        prompt: the text that is gone on from.
        work: is told what is read here.
        events: made while they are read.
    """

    def __init__(self, prompt: str, work: Work, events: Iterator[Event]) -> None:
        self.ended = False
        self._prompt = prompt
        self._work = work
        self._events = events
        self._done: Done | None = None
        self._lock = RLock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        with self._lock:
            try:
                event = next(self._events)
            except BaseException:
                self.ended = True
                raise
            if isinstance(event, Token):
                self._work.tokens.append(event)
            elif isinstance(event, Done):
                self._done = event
            return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop within a step, or a chunk of what is read; the notebook has what was written."""
        self._work.closed = True
        if self._work.stream is not None:
            self._work.stream.close()
        with self._lock:
            for _ in self:
                pass

    def generation(self) -> Generation:
        """Read to the end: the whole passage, whatever was read of it before.

        Raises:
            whatever made it fail.
        """
        for _ in self:
            pass
        if self._done is None:
            raise SessionError("This passage was not read to its end.")
        tokens = tuple(self._work.tokens)
        return Generation(self._prompt, "".join(token.text for token in tokens) + self._done.text, tokens, self._done)
