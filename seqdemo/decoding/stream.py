"""What a reader holds of a request, and the channel through which the owner thread feeds it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Self

from seqdemo.errors import SessionError
from seqdemo.plugin import Decoded, Done, Event, Token

from .snapshot import Snapshot

__all__ = ["Channel", "Stream"]


class Channel:
    """Between one request and its readers. The owner thread never waits for a reader.

    ``cancel`` only sets a flag: it may be called by the garbage collector, in any thread, whatever locks are held.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.cancelled = False
        self.ended = False
        self.error: BaseException | None = None
        self.snapshot: Snapshot | None = None
        self.anchors: dict[int, Snapshot] = {}
        self.stopped_by: str | None = None
        self._events: deque[Event] = deque()
        self._news = Condition()
        self._raised = False

    def cancel(self) -> None:
        """Ask for the request to end before its next turn."""
        self.cancelled = True

    def put(self, event: Event) -> None:
        """Add an event."""
        with self._news:
            self._events.append(event)
            self._news.notify()

    def end(self, done: Done, snapshot: Snapshot | None, error: BaseException | None = None) -> None:
        """Add the last event, and what is to be known once it was read."""
        with self._news:
            self.snapshot, self.error, self.ended = snapshot, error, True
            self._events.append(done)
            self._news.notify_all()

    def get(self) -> Event | None:
        """The next event, waiting for it; None when all were read. After the last one the error is raised, once."""
        with self._news:
            while not self._events and not self.ended:
                self._news.wait()
            if self._events:
                return self._events.popleft()
            if self.error is not None and not self._raised:
                self._raised = True
                raise self.error
            return None


class Stream(Iterator[Event]):
    """The events of one request: ``Prefill``*, ``Token``*, one ``Done``.

    A stream that nobody holds any more cancels itself. If the request failed, ``Done("error")`` comes last, and
    asking for more raises what went wrong.
    """

    def __init__(self, channel: Channel, prompt: str = "") -> None:
        self._channel = channel
        self._prompt = prompt
        weakref.finalize(self, channel.cancel).atexit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self._channel.get()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel: within a step the request is gone. What was made so far, and ``Done``, can still be read."""
        self._channel.cancel()

    def decoded(self) -> Decoded:
        """Read the rest and put it together. Events read before are not in it."""
        tokens: list[Token] = []
        done: Done | None = None
        for event in self:
            if isinstance(event, Token):
                tokens.append(event)
            elif isinstance(event, Done):
                done = event
        if done is None:
            raise SessionError("This stream was read to its end before: there is nothing left to put together.")
        text = "".join(token.text for token in tokens) + done.text
        return Decoded(self._prompt, text, tuple(tokens), done)

    @property
    def seed(self) -> int:
        """The seed in use, drawn if none was asked for."""
        return self._channel.seed

    @property
    def snapshot(self) -> Snapshot:
        """The place after all tokens, however the stream ended.

        Raises:
            SessionError: it has not ended, or ended before its prompt was read, or by an error.
        """
        if self._channel.snapshot is None:
            why = "ended before its prompt was read" if self._channel.ended else "has not ended yet"
            raise SessionError(f"There is no snapshot: this stream {why if not self._channel.error else 'failed'}.")
        return self._channel.snapshot

    @property
    def anchors(self) -> dict[int, Snapshot]:
        """Places within the text so far, by number of tokens generated; 0 is the end of the prompt."""
        return dict(self._channel.anchors)

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended it."""
        return self._channel.stopped_by
