"""Replies that stream.

A reply is drained by a thread of its own. The page looks at it now and then, so what the page does, or that it has
gone away, never holds the engine up; and stopping a reply closes its stream, whatever the page believes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Thread
from time import perf_counter
from typing import Any, Protocol

from seqdemo.plugin import Event, Prefill, Token

from .messages import Message
from .source import Stream

__all__ = ["UPDATES_PER_SECOND", "Growing", "Reply", "pulses"]

UPDATES_PER_SECOND = 20

_OF_ALL = 80
"""Updates a second of all replies together. Gradio takes the interpreter for some 2 ms for each: sixteen replies with
twenty updates a second each left the model a fifth of the time."""


class Reply:
    """A stream on its way into a message.

    Attributes:
        message: what it is written into; it may have tokens already.
        prefill: how far the prompt has been read.
        error: what went wrong, if something did.
        finished: nothing more will come.
    """

    def __init__(self, stream: Stream, message: Message, ended: Callable[[], None]) -> None:
        self.message = message
        self.prefill: Prefill | None = None
        self.error: Exception | None = None
        self.finished = False
        self.events = 0
        self._before = len(message.tokens)
        self._first = 0.0
        self._last = 0.0
        self._stream = stream
        self._ended = ended
        self._thread = Thread(target=self._drain, name="seqdemo-reply", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        try:
            for event in self._stream:
                self._take(event)
            if self.message.done is None:
                # Whoever closed the stream has read the rest of it.
                whole = self._stream.generation()
                self.message.tokens[self._before :], self.message.done = whole.tokens, whole.done
        except Exception as error:  # noqa: BLE001 - whatever a model plugin raises ends this reply and nothing else
            self.error = error
        finally:
            self._ended()
            self.finished = True

    def _take(self, event: Event) -> None:
        if isinstance(event, Token):
            self.message.tokens.append(event)
            self._last = perf_counter()
            self._first = self._first or self._last
        elif isinstance(event, Prefill):
            self.prefill = event
        else:
            self.message.done = event
        self.events += 1

    @property
    def busy(self) -> bool:
        """More may come."""
        return not self.finished

    @property
    def tokens(self) -> int:
        """How many it has written so far."""
        return len(self.message.tokens) - self._before

    @property
    def tokens_per_second(self) -> float:
        """Measured at the end of a reply by the engine, before that by when tokens came; 0 when unknown."""
        if self.message.done is not None:
            return self.message.done.usage.tokens_per_second
        elapsed = self._last - self._first
        return (self.tokens - 1) / elapsed if elapsed > 0 else 0.0

    def cancel(self) -> None:
        """Stop the work, without waiting for it. What was generated so far stays."""
        if not self.finished:
            # Closing waits for the step that is being made: too long for the loop that serves every page.
            Thread(target=self._stream.close, name="seqdemo-cancel", daemon=True).start()

    def join(self, timeout: float) -> bool:
        """Wait until nothing more will come; False if that took longer than ``timeout`` seconds."""
        self._thread.join(timeout)
        return self.finished


_growing: set[object] = set()
"""One for each reply that is looked at."""


class Growing(Protocol):
    """What :func:`pulses` looks at."""

    @property
    def events(self) -> int: ...
    @property
    def finished(self) -> bool: ...


async def pulses(
    reply: Growing,
    per_second: float = UPDATES_PER_SECOND,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    behind: Callable[[], bool] = lambda: False,
) -> AsyncIterator[None]:
    """Tick whenever there is something new in a reply, at most so often; the last tick comes after its end. Where many
    replies grow at once, they share what one page may have at most.

    Args:
        behind: whether whoever is told still has enough to do with earlier ticks: then the next one comes when that is
            over, or a second later.
    """
    seen, waited, own = -1, 0.0, object()
    _growing.add(own)
    try:
        while True:
            finished = reply.finished
            if finished or (reply.events != seen and (waited > 0.999 or not behind())):
                seen, waited = reply.events, 0.0
                yield
            if finished:
                return
            pause = max(1 / per_second, len(_growing) / _OF_ALL)
            await sleep(pause)
            waited += pause
    finally:
        _growing.discard(own)
