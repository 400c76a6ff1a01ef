"""What a reader holds of a request, and the channel through which the owner thread feeds it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Condition
from typing import Self

from seqdemo.errors import SessionError
from seqdemo.plugin import Decoded, Done, Event, Prefill, Reported, Token

from .snapshot import Snapshot

__all__ = ["Channel", "Drawn", "Signal", "Stream"]

Drawn = tuple[int, str, float, float, Reported | None, int]
"""A token as the owner thread makes it: id, text, log-probability, entropy, alternatives, position."""


class Signal:
    """A flag that any thread may raise, whatever locks are held."""

    __slots__ = ("raised",)

    def __init__(self) -> None:
        self.raised = False


class Channel:
    """Between one request and its readers. The owner thread never waits for a reader, and wakes it now and then only.

    ``cancel`` only sets flags: it may be called by the garbage collector, in any thread, whatever locks are held.

    Args:
        seed: in use.
        text_of: a token's own text.
        stirred: raised when something is cancelled.
    """

    def __init__(self, seed: int, text_of: Callable[[int], str], stirred: Signal) -> None:
        self.seed = seed
        self.cancelled = False
        self.ended = False
        self.error: BaseException | None = None
        self.snapshot: Snapshot | None = None
        self.anchors: dict[int, Snapshot] = {}
        self.stopped_by: str | None = None
        self._texts = _Texts(text_of)
        self._stirred = stirred
        self._events: deque[Drawn | Prefill | Done] = deque()
        self._news = Condition()
        self._listeners = 0
        self._raised = False

    # --- the owner thread's side --------------------------------------------------------------------------------

    def add(self, drawn: Drawn) -> None:
        """Add a token, and wake nobody."""
        self._events.append(drawn)

    def add_all(self, drawn: Iterable[Drawn]) -> None:
        """Add tokens, and wake nobody."""
        self._events.extend(drawn)

    def put(self, event: Prefill) -> None:
        """Add an event, and wake readers."""
        self._events.append(event)
        self.tell()

    def tell(self) -> None:
        """Wake readers that wait for an event."""
        if self._listeners:
            with self._news:
                self._news.notify_all()

    def end(self, done: Done, snapshot: Snapshot | None, error: BaseException | None = None) -> None:
        """Add the last event, and what is to be known once it was read."""
        with self._news:
            self.snapshot, self.error = snapshot, error
            self._events.append(done)
            self.ended = True
            self._news.notify_all()

    # --- the readers' side --------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask for the request to end before its next turn."""
        self.cancelled = True
        self._stirred.raised = True

    def get(self) -> Event | None:
        """The next event, waiting for it; None when all were read. After the last one the error is raised, once."""
        while True:
            try:
                event = self._events.popleft()
            except IndexError:
                if self._more():
                    continue
                return None
            return _make_token(event, self._texts) if isinstance(event, tuple) else event

    def rest(self) -> list[Event]:
        """The events that nobody has read, once there will be no more; an error is raised as :meth:`get` does."""
        with self._news:
            while not self.ended:
                self._news.wait()
        events, texts = self._events, self._texts
        found: list[Event] = []
        with suppress(IndexError):
            while True:
                event = events.popleft()
                found.append(_make_token(event, texts) if isinstance(event, tuple) else event)
        self._more()
        return found

    def _more(self) -> bool:
        """Wait for an event; False when there will be none."""
        with self._news:
            self._listeners += 1
            try:
                while not self._events and not self.ended:
                    self._news.wait()
            finally:
                self._listeners -= 1
            if self._events:
                return True
            if self.error is not None and not self._raised:
                self._raised = True
                raise self.error
            return False


class _Texts(dict[int, str]):
    """Tokens on their own, as text, each made once."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        super().__init__()
        self._text_of = text_of

    def __missing__(self, token: int) -> str:
        text = self[token] = self._text_of(token)
        return text


# What sets each field: the ``__init__`` of a frozen dataclass looks every field up by its name, which takes twice the
# time, and a reader of many streams does little else.
_NAMES = ("id", "text", "logprob", "entropy", "alternatives", "position", "_reported", "_texts")
_set_id, _set_text, _set_logprob, _set_entropy, _set_alternatives, _set_position, _set_reported, _set_texts = (
    getattr(Token, name).__set__ for name in _NAMES
)
_new = object.__new__


def _make_token(drawn: Drawn, texts: Mapping[int, str]) -> Token:
    token, text, logprob, entropy, reported, position = drawn
    made = _new(Token)
    _set_id(made, token)
    _set_text(made, text)
    _set_logprob(made, logprob)
    _set_entropy(made, entropy)
    _set_position(made, position)
    if reported is None:
        _set_alternatives(made, ())
    else:
        _set_reported(made, reported)
        _set_texts(made, texts)
    return made


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
        for event in self._channel.rest():
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
