"""One conversation as a tab knows it, and replies that stream into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import ENOSPC
from itertools import count
from sqlite3 import SQLITE_BUSY, SQLITE_FULL, SQLITE_LOCKED
from threading import Lock
from typing import TYPE_CHECKING, Any

from seqdemo.errors import (
    BusyError,
    CheckpointError,
    ConfigError,
    DataError,
    SeqdemoError,
    SessionError,
    StaleError,
    StoreError,
    TokenizerError,
)
from seqdemo.plugin import Prefill, Token

from .messages import Message, said
from .reply import Reply
from .source import Stream
from .words import ENGLISH, PageError, Words

if TYPE_CHECKING:
    from seqdemo.decoding import Session
    from seqdemo.decoding.tree import Point, Tree

__all__ = ["Talk", "explain"]

_serial = count(1)
_ABOUT: Mapping[type[Exception], str] = {
    BusyError: "errors.busy",
    CheckpointError: "errors.checkpoint",
    ConfigError: "errors.config",
    DataError: "errors.data",
    SessionError: "errors.session",
    StaleError: "errors.stale",
    StoreError: "errors.store",
    TokenizerError: "errors.tokenizer",
    SeqdemoError: "errors.other",
}
_STORE = {SQLITE_FULL: "errors.disk", SQLITE_BUSY: "errors.locked", SQLITE_LOCKED: "errors.locked"}


class Talk:
    """A conversation with one checkpoint: its messages, and the session that holds its state.

    Attributes:
        id: differs from that of every other talk.
        name: the checkpoint's name.
        messages: everything said, to the place one stands at.
        reply: the last reply, running or not.
        tree, here: all that was said in any line of it, and the place one stands at; None before something was said.
        state_bytes: size of the state, the same however long it gets.
        trouble: why it cannot be gone on with, if it cannot.

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
        self.tree: Tree | None = None
        self.here: Point | None = None
        self.state_bytes = state_bytes
        self.trouble: PageError | None = None
        self.conversation = "" if session is None else session.id
        self._begin = begin
        self._session = session
        self._read = 0
        self._lock = Lock()
        self._look()

    @classmethod
    def closed(cls, name: str, conversation: str, tree: Tree, here: Point, trouble: PageError) -> Talk:
        """One that can be read, and not gone on with."""
        made = cls(name)
        made.conversation, made.trouble = conversation, trouble
        made._show(tree, here)
        return made

    @property
    def busy(self) -> bool:
        """A reply is streaming."""
        return self.reply is not None and not self.reply.finished

    @property
    def tokens_read(self) -> int:
        """Tokens the state has read by now, those of a running reply included. Never waits for the session."""
        return self._read + (self.reply.tokens if self.reply is not None and self.busy else 0)

    @property
    def rebuilding(self) -> Prefill | None:
        """How far a state that was let go is read again, while it is. Never waits for the session."""
        return self._session.rebuilding if self._session is not None else None

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
        from seqdemo.decoding.lines import endings

        with self._lock:
            session = self._idle("chat.no_reply")
            last = self.messages[-1]
            before = last.count if last.role == "model" else len(endings(session.tree, session.here))
            chosen = dict(options)
            if chosen.get("seed") is not None:
                chosen["seed"] = (chosen["seed"] + before) % 2**63
            with self._looking():
                if last.role == "model":
                    session.stand_before(last.nodes[0])
                if opening:
                    session.write(opening, **chosen)
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
            session = self._idle("chat.no_start")
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
                session.write(text, **options)
            self._look()
            return None

    def instead(self, message: int, token: int, other: int, options: Mapping[str, Any]) -> Reply | None:
        """Go on from another token than one of a reply's, as a new version of it; None where that one ends it.

        Args:
            token: which of the message's tokens.
            other: id of what takes its place: one of the alternatives recorded there.

        Raises:
            SessionError: there is no such token, or no such alternative was recorded.
        """
        with self._lock:
            session, (node, at) = self._idle(), self._within(message, token)
            with self._looking():
                made = session.choose(other, node, at, **options)
                if made.done is not None and made.done.reason == "written":
                    return self._stream(session, session.stream_continue(**options), Message("model"))
            self._look()
            return None

    def stand(self, node: int, tokens: int | None = None) -> None:
        """Stand elsewhere: at the end of a node of the tree, or after so many tokens of it; 0 is the beginning.

        Raises:
            SessionError: there is no such place.
        """
        with self._lock:
            if self.tree is None:
                raise PageError("chat.no_start")
            session = self._idle()
            if node:
                session.stand(node, tokens)
            else:
                session.stand_before(min(session.tree.nodes))
            self._look()

    def stand_after(self, message: int, token: int) -> None:
        """Stand within a reply, after one of its tokens.

        Raises:
            SessionError: there is no such token.
        """
        node, at = self._within(message, token)
        self.stand(node, at + 1)

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
                session.select(*found.versions[wanted])
            self._look()
            return True

    def undo(self) -> str:
        """Take back the last message and its reply; the text of the message.

        Raises:
            SessionError: there is none.
        """
        with self._lock:
            text = self._idle("chat.no_undo").undo()
            self._look()
            return text

    def place(self, message: int) -> tuple[tuple[int, int | None], Session]:
        """The end of a message, as node and tokens of it (None: all), and the session it is in.

        Raises:
            SessionError: there is no such message, or a reply is streaming.
        """
        with self._lock:
            found = self._message(message)
            tokens = len(found.tokens) - found.starts[-1] if found.starts else None
            return (found.nodes[-1], tokens), self._idle()

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
            session.write(opening, message, **options)
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
            raise PageError("chat.no_message")
        return self.messages[index]

    def _within(self, message: int, token: int) -> tuple[int, int]:
        found = self._message(message)
        if not 0 <= token < len(found.tokens):
            raise PageError("chat.no_message")
        return found.place(token)

    def _stream(self, session: Session, stream: Stream, answer: Message) -> Reply:
        self._look()
        self._read = session.tokens_read
        if self.messages[-1].role == "model":
            answer = self.messages[-1]
            answer.done = None
            self._grow(session, answer)
        else:
            self.messages = [*self.messages, answer]
        self.reply = Reply(stream, answer, self._look)
        return self.reply

    def _grow(self, session: Session, reply: Message) -> None:
        """Going on from within a reply, or from where a message was said, makes another version of it."""
        from seqdemo.decoding.lines import endings

        tree, here = session.tree, session.here
        lines = endings(tree, tree.get(reply.nodes[0]).parent)
        if here not in lines or tree.newest(here) != here:
            reply.version, reply.count = len(lines), len(lines) + 1

    def _look(self) -> None:
        """See what the session holds."""
        if self._session is not None:
            self._show(self._session.tree, self._session.here)

    def _show(self, tree: Tree, here: Point) -> None:
        self.tree, self.here = tree, here
        self.messages, self._read = said(tree, here), tree.position(here)

    def _idle(self, otherwise: str = "") -> Session:
        """The session, where it can be used now; ``otherwise``: what to say where nothing was said yet."""
        if self.busy:
            raise PageError("chat.writing")
        if self.trouble is not None:
            raise self.trouble
        if otherwise and not self.messages:
            raise PageError(otherwise)
        if self._session is None:
            if self._begin is None:
                raise PageError("chat.closed")
            session = self._begin(self.conversation)
            if self.conversation and _places(said(session.tree, session.here)) != _places(self.messages):
                raise StaleError(ENGLISH("errors.stale"))
            self._session, self.conversation = session, session.id
        return self._session


def _places(messages: list[Message]) -> list[tuple[int, ...]]:
    return [message.nodes for message in messages]


def explain(error: Exception, words: Words = ENGLISH) -> str:
    """One calm line for the page."""
    if isinstance(error, PageError):
        given = {name: explain(one, words) if isinstance(one, Exception) else one for name, one in error.values.items()}
        return words(error.key, **given)
    if isinstance(error, OSError) and error.errno == ENOSPC:
        return words("errors.disk")
    if (key := _STORE.get(getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF)) is not None:
        return words(key)
    for kind in type(error).__mro__:
        if kind in _ABOUT:
            return words(_ABOUT[kind], reason=error)
    return words("errors.inside", kind=type(error).__name__, reason=error)
