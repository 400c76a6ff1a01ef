"""One conversation as a tab knows it, and replies that stream into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any

from seqdemo.errors import SeqdemoError, SessionError, StaleError
from seqdemo.plugin import Token

from .messages import Message, said
from .reply import Reply
from .source import Stream

if TYPE_CHECKING:
    from seqdemo.decoding import Session
    from seqdemo.decoding.tree import Point, Tree

__all__ = ["Talk", "explain"]

_serial = count(1)
_ELSEWHERE = "This conversation has gone on in another tab. Reload it here to see that; nothing was lost."


class Talk:
    """A conversation with one checkpoint: its messages, and the session that holds its state.

    Attributes:
        id: differs from that of every other talk.
        name: the checkpoint's name.
        messages: everything said, to the place one stands at.
        reply: the last reply, running or not.
        state_bytes: size of the state, the same however long it gets.
        trouble: why it cannot be gone on with; empty where it can.

    Args:
        begin: makes the session by the conversation's id when it is needed; a new one without an id, when the first
            message is sent: a conversation nobody said anything in is not kept.
        session: that of a conversation that was kept.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[str], Session] | None = None,
        session: Session | None = None,
        state_bytes: int = 0,
    ) -> None:
        self.id = next(_serial)
        self.name = name
        self.messages: list[Message] = []
        self.reply: Reply | None = None
        self.state_bytes = state_bytes
        self.trouble = ""
        self.conversation = "" if session is None else session.id
        self._begin = begin
        self._session = session
        self._read = 0
        self._lock = Lock()
        self._look()

    @classmethod
    def closed(cls, name: str, conversation: str, tree: Tree, here: Point, trouble: str) -> Talk:
        """One that can be read, and not gone on with."""
        made = cls(name)
        made.conversation, made.trouble = conversation, trouble
        made.messages = said(tree, here)
        made._read = tree.position(here)
        return made

    @property
    def busy(self) -> bool:
        """A reply is streaming."""
        return self.reply is not None and not self.reply.finished

    @property
    def tokens_read(self) -> int:
        """Tokens the state has read by now, those of a running reply included. Never waits for the session."""
        return self._read + (self.reply.tokens if self.reply is not None and self.busy else 0)

    def say(self, message: str, options: Mapping[str, Any], opening: str = "") -> Reply:
        """Send a message and start the reply, whose first words may be given.

        Raises:
            SeqdemoError: it cannot be sent as it is; nothing has changed then.
        """
        with self._lock:
            return self._say(self._idle(), message, options, opening)

    def again(self, options: Mapping[str, Any], opening: str = "") -> Reply:
        """Make another version of the last reply. A seed that is given counts on, so that it is another one.

        Raises:
            SessionError: there is no reply.
        """
        with self._lock:
            session = self._idle("There is no reply yet to make again. Send a message first.")
            last, parent = self.messages[-1], session.here
            if last.role == "model":
                parent = session.tree.get(last.nodes[0]).parent
            before = sum(node.role == "reply" for node in session.tree.children(parent))
            chosen = dict(options)
            if chosen.get("seed") is not None:
                chosen["seed"] = (chosen["seed"] + before) % 2**63
            with self._looking():
                if last.role == "model":
                    session.stand_before(last.nodes[0])
                if opening:
                    session.write(opening)
                    stream = session.stream_continue(**chosen)
                else:
                    stream = session.stream_regenerate(**chosen)
            return self._stream(session, stream, Message("model", version=before, count=before + 1))

    def go_on(self, options: Mapping[str, Any]) -> Reply:
        """Go on with the last reply.

        Raises:
            SessionError: nothing was said yet.
        """
        with self._lock:
            session = self._idle("There is nothing yet to go on from. Send a message first.")
            return self._stream(session, session.stream_continue(**options), Message("model"))

    def rewrite(self, message: int, text: str, options: Mapping[str, Any], opening: str = "") -> Reply | None:
        """Say something else in the place of a message, which stays as a version; the reply to it, if it has one.

        Raises:
            SessionError: there is no such message.
        """
        with self._lock:
            session, old = self._idle(), self._message(message)
            with self._looking():
                session.stand_before(old.nodes[0])
                if old.role == "user":
                    return self._say(session, text, options, opening)
                session.write(text)
            self._look()
            return None

    def select(self, message: int, by: int) -> bool:
        """Show another version of a message, with what was said after it; whether there is one.

        Raises:
            SessionError: there is no such message.
        """
        with self._lock:
            session, found = self._idle(), self._message(message)
            wanted = found.version + by
            if not 0 <= wanted < len(found.versions):
                return False
            with self._looking():
                session.select(found.versions[wanted])
            self._look()
            return True

    def undo(self) -> str:
        """Take back the last message and its reply; the text of the message.

        Raises:
            SessionError: there is none.
        """
        with self._lock:
            text = self._idle("There is nothing to take back.").undo()
            self._look()
            return text

    def place(self, message: int) -> tuple[int, Session]:
        """The last node of a message, and the session it is in.

        Raises:
            SessionError: there is no such message, or a reply is streaming.
        """
        with self._lock:
            return self._message(message).nodes[-1], self._idle()

    def token(self, message: int, index: int) -> Token | None:
        """A token of one of the model's messages."""
        if 0 <= message < len(self.messages) and 0 <= index < len(self.messages[message].tokens):
            return self.messages[message].tokens[index]
        return None

    def cancel(self) -> None:
        """Stop the running reply, if one is."""
        if self.reply is not None:
            self.reply.cancel()

    def release(self) -> None:
        """Let go of the session, which is made again when it is needed; not while a reply streams."""
        with self._lock:
            if not self.busy:
                self._session = self.reply = None

    def _say(self, session: Session, message: str, options: Mapping[str, Any], opening: str) -> Reply:
        if not opening:
            return self._stream(session, session.stream(message, **options), Message("model"))
        with self._looking():
            session.write(opening, message)
            return self._stream(session, session.stream_continue(**options), Message("model"))

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Where only a part of several steps was done, see which."""
        try:
            yield
        except SeqdemoError:
            self._look()
            raise

    def _message(self, index: int) -> Message:
        if not 0 <= index < len(self.messages) or not self.messages[index].nodes:
            raise SessionError("There is no such message here any more. Reload the page.")
        return self.messages[index]

    def _stream(self, session: Session, stream: Stream, answer: Message) -> Reply:
        self._look()
        self._read = session.tokens_read
        if self.messages[-1].role == "model":
            answer = self.messages[-1]
            answer.done = None
        else:
            self.messages = [*self.messages, answer]
        self.reply = Reply(stream, answer, self._look)
        return self.reply

    def _look(self) -> None:
        """See what the session holds."""
        if self._session is not None:
            here = self._session.here
            self.messages = said(self._session.tree, here)
            self._read = self._session.tree.position(here)

    def _idle(self, otherwise: str = "") -> Session:
        """The session, where it can be used now; ``otherwise``: what to say where nothing was said yet."""
        if self.busy:
            raise SessionError("A reply is still being written. Stop it first.")
        if self.trouble:
            raise SessionError(self.trouble)
        if otherwise and not self.messages:
            raise SessionError(otherwise)
        if self._session is None:
            if self._begin is None:
                raise SessionError("This conversation cannot be gone on with.")
            session = self._begin(self.conversation)
            if self.conversation and _places(said(session.tree, session.here)) != _places(self.messages):
                raise StaleError(_ELSEWHERE)
            self._session, self.conversation = session, session.id
        return self._session


def _places(messages: list[Message]) -> list[tuple[int, ...]]:
    return [message.nodes for message in messages]


def explain(error: Exception) -> str:
    """One calm line for the page."""
    if isinstance(error, SeqdemoError):
        return str(error)
    return f"Something went wrong inside ({type(error).__name__}: {error}). The terminal shows more."
