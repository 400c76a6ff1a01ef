"""A reply on its way into a session."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import Self

from seqdemo.errors import SessionError, StoreError
from seqdemo.plugin import Done, Event, Generation, SamplingOptions, Token

from .snapshot import Snapshot
from .stream import Stream
from .tree import Point

__all__ = ["Recording", "Reply"]

_PIECE_SECONDS = 0.25
"""How often what was generated is handed on to be written down."""


class Recording:
    """Reads a stream's events and, at its end, writes them down. One lock: any thread may close while one reads.

    Args:
        stream: of the engine.
        parent: the place the reply goes on from.
        options: it is generated with.
        prompt: text of the message replied to.
        number: of the reply in its session.
        record: called once, when all events were read.
        hand_on: called now and then with the tokens since the last time and how many there were before.
    """

    def __init__(
        self,
        stream: Stream,
        parent: Point,
        options: SamplingOptions,
        prompt: str,
        number: int,
        record: Callable[[Recording], int | None],
        hand_on: Callable[[int, Sequence[Token]], None],
    ) -> None:
        self.stream = stream
        self.parent = parent
        self.options = options
        self.prompt = prompt
        self.tokens: list[Token] = []
        self.done: Done | None = None
        self.node: int | None = None
        self.recorded = False
        self.owner: weakref.ref[Reply] | None = None
        self.number = number
        self._record = record
        self._hand_on = hand_on
        self._handed = 0
        self._handed_at = monotonic()
        self._lock = RLock()

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(token.text for token in self.tokens) + (self.done.text if self.done else "")

    @property
    def anchors(self) -> dict[int, Snapshot]:
        """Places within the reply; 0 is its beginning."""
        return self.stream.anchors

    def read(self) -> Event:
        """The next event.

        Raises:
            StopIteration: there is none.
            whatever made the stream fail, after ``Done("error")``.
        """
        with self._lock:
            event = next(self.stream)
            if isinstance(event, Token):
                self.tokens.append(event)
                if monotonic() - self._handed_at >= _PIECE_SECONDS:
                    # What cannot be written now is written later; at the end it is an error.
                    with suppress(StoreError):
                        self._hand_over()
            elif isinstance(event, Done):
                self.done, self.recorded = event, True
                self.node = self._record(self)
            return event

    def _hand_over(self) -> None:
        start, self._handed, self._handed_at = self._handed, len(self.tokens), monotonic()
        self._hand_on(start, self.tokens[start:])

    def close(self) -> None:
        """Cancel, and write down what there is."""
        self.stream.close()
        with self._lock:
            while not self.recorded:
                self.read()


class Reply(Iterator[Event]):
    """The events of a reply. When it ends, or is closed, the session has it, with all that was generated.

    A reply that nobody holds any more stops by itself; the session has what was made of it.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        recording.owner = weakref.ref(self)
        weakref.finalize(self, recording.stream.close).atexit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return self._recording.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop within a step and keep what there is."""
        if not self._recording.recorded:
            self._recording.close()

    def generation(self) -> Generation:
        """Read to the end: the whole reply, whatever was read of it before.

        Raises:
            whatever made it fail.
        """
        for _ in self:
            pass
        done = self._recording.done
        if done is None:
            raise SessionError("This reply was not read to its end.")
        return Generation(self._recording.prompt, self._recording.text, tuple(self._recording.tokens), done)

    @property
    def seed(self) -> int:
        """The seed in use."""
        return self._recording.stream.seed

    @property
    def node(self) -> int | None:
        """The session's number for it, once it ended; None while it runs, or when nothing was generated."""
        return self._recording.node
