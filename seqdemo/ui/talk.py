"""One conversation as the page knows it, and replies that stream into it.

A reply is drained by a thread of its own. The page looks at it now and then, so what the page does, or that it has
gone away, never holds the engine up; and stopping a reply closes its stream, whatever the page believes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from threading import Lock, Thread
from time import perf_counter
from typing import Any, Literal

from seqdemo.errors import SeqdemoError, SessionError
from seqdemo.plugin import Done, Event, Prefill, Token

from .source import Session, Stream

__all__ = ["UPDATES_PER_SECOND", "Message", "Reply", "Talk", "explain", "pulses"]

UPDATES_PER_SECOND = 20

_serial = count(1)


@dataclass(slots=True)
class Message:
    """What one side said.

    Attributes:
        role: ``"user"`` or ``"model"``.
        text: what the user wrote; empty for the model, whose text is its tokens' (and ``done.text``).
        tokens: the model's tokens so far.
        done: how the model's message ended; None while it streams.
        version: how many replies to the same message came before it.
    """

    role: Literal["user", "model"]
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    done: Done | None = None
    version: int = 0

    @property
    def content(self) -> str:
        """The whole text."""
        return self.text + "".join(token.text for token in self.tokens) + (self.done.text if self.done else "")


class Reply:
    """A stream on its way into a message.

    Attributes:
        message: what it is written into.
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
                self.message.tokens[:], self.message.done = whole.tokens, whole.done
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
    def tokens_per_second(self) -> float:
        """Measured at the end of a reply by the engine, before that by when tokens came; 0 when unknown."""
        if self.message.done is not None:
            return self.message.done.usage.tokens_per_second
        elapsed = self._last - self._first
        return (len(self.message.tokens) - 1) / elapsed if elapsed > 0 else 0.0

    def cancel(self) -> None:
        """Stop the work, without waiting for it. What was generated so far stays."""
        if not self.finished:
            # Closing waits for the step that is being made: too long for the loop that serves every page.
            Thread(target=self._stream.close, name="seqdemo-cancel", daemon=True).start()

    def join(self, timeout: float) -> bool:
        """Wait until nothing more will come; False if that took longer than ``timeout`` seconds."""
        self._thread.join(timeout)
        return self.finished


class Talk:
    """A conversation with one checkpoint: its messages, and the session that holds its state.

    Attributes:
        id: differs from that of every other talk.
        name: the checkpoint's name.
        session: where its state is.
        messages: everything said.
        reply: the last reply, running or not.
        state_bytes: size of the state, the same however long it gets.
    """

    def __init__(self, name: str, session: Session) -> None:
        self.id = next(_serial)
        self.name = name
        self.session = session
        self.messages: list[Message] = []
        self.reply: Reply | None = None
        self.state_bytes = session.state_bytes
        self._read = 0
        self._lock = Lock()

    @property
    def busy(self) -> bool:
        """A reply is streaming."""
        return self.reply is not None and not self.reply.finished

    @property
    def tokens_read(self) -> int:
        """Tokens the state has read by now, those of a running reply included. Never waits for the session."""
        return self._read + (len(self.messages[-1].tokens) if self.busy else 0)

    def say(self, message: str, options: Mapping[str, Any]) -> Reply:
        """Send a message and start the reply.

        Raises:
            SeqdemoError: it cannot be sent as it is; nothing has changed then.
        """
        with self._lock:
            self._check_idle()
            stream = self.session.stream(message, **options)
            return self._begin(stream, [*self.messages, Message("user", message)], Message("model"))

    def again(self, options: Mapping[str, Any]) -> Reply:
        """Replace the last reply by another version. A seed that is given counts on, so that it is another one.

        Raises:
            SessionError: there is no reply.
        """
        with self._lock:
            self._check_idle()
            if not self.messages:
                raise SessionError("There is no reply yet to make again. Send a message first.")
            answer = Message("model", version=self.messages[-1].version + 1)
            chosen = dict(options)
            if chosen.get("seed") is not None:
                chosen["seed"] = (chosen["seed"] + answer.version) % 2**63
            stream = self.session.stream_regenerate(**chosen)
            return self._begin(stream, self.messages[:-1], answer)

    def undo(self) -> str:
        """Take back the last message and its reply; the text of the message.

        Raises:
            SessionError: there is none.
        """
        with self._lock:
            self._check_idle()
            if not self.messages:
                raise SessionError("There is nothing to take back.")
            self.session.undo()
            said = self.messages[-2].text
            del self.messages[-2:]
            self._count()
            return said

    def token(self, message: int, index: int) -> Token | None:
        """A token of one of the model's messages."""
        if 0 <= message < len(self.messages) and 0 <= index < len(self.messages[message].tokens):
            return self.messages[message].tokens[index]
        return None

    def cancel(self) -> None:
        """Stop the running reply, if one is."""
        if self.reply is not None:
            self.reply.cancel()

    def _begin(self, stream: Stream, messages: list[Message], answer: Message) -> Reply:
        self._count()
        self.messages = [*messages, answer]
        self.reply = Reply(stream, answer, self._count)
        return self.reply

    def _count(self) -> None:
        self._read = self.session.tokens_read

    def _check_idle(self) -> None:
        if self.busy:
            raise SessionError("A reply is still being written. Stop it first.")


async def pulses(
    reply: Reply, per_second: float = UPDATES_PER_SECOND, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
) -> AsyncIterator[None]:
    """Tick whenever there is something new in a reply, at most so often; the last tick comes after its end."""
    seen = -1
    while True:
        finished = reply.finished
        if reply.events != seen or finished:
            seen = reply.events
            yield
        if finished:
            return
        await sleep(1 / per_second)


def explain(error: Exception) -> str:
    """One calm line for the page."""
    if isinstance(error, SeqdemoError):
        return str(error)
    return f"Something went wrong inside ({type(error).__name__}: {error}). The terminal shows more."
