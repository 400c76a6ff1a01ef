"""Where the page's conversations are kept. Listing them loads no torch; opening one does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from seqdemo.errors import SeqdemoError, SessionError
from seqdemo.store import Conversations, Database, Snapshots, Summary

from .talk import Talk
from .words import PageError

if TYPE_CHECKING:
    from seqdemo.decoding import Session

__all__ = ["Shelf"]


class Shelf:
    """Every visitor's conversations.

    Args:
        database: opens the store.
        load: a checkpoint's name -> its pipeline.
    """

    def __init__(self, database: Callable[[], Database], load: Callable[[str], Any]) -> None:
        self._database = database
        self._load = load

    @property
    def conversations(self) -> Conversations:
        """The store.

        Raises:
            StoreError: it cannot be opened.
        """
        return Conversations(self._database())

    def list(self, owner: str, query: str = "", hidden: bool = False) -> list[Summary]:
        """A visitor's conversations in which something was said, or those deleted, and not for good."""
        return [found for found in self.conversations.summaries(owner, query, hidden=hidden) if found.messages]

    def checkpoint(self, owner: str, conversation: str) -> str | None:
        """What one of them was held with; None where there is no such conversation."""
        try:
            return self.conversations.summary(owner, conversation).checkpoint
        except SessionError:
            return None

    def purge(self, owner: str, conversation: str) -> None:
        """Delete one for good, states included."""
        self.conversations.purge(owner, conversation)
        Snapshots(self._database()).purge(conversation)

    def fresh(self, owner: str, name: str) -> Talk:
        """A conversation that is kept from its first message on. Loads the checkpoint."""
        from seqdemo.plugin import state as verbs

        size = verbs.nbytes(self._load(name).head.initial_state(1))
        return Talk(name, self._beginning(owner, name), state_bytes=size)

    def _beginning(self, owner: str, name: str) -> Callable[[str], Session]:
        """Makes the session of a conversation by its id; a new one's where it has none yet."""
        from seqdemo.library import Library

        def begin(conversation: str) -> Session:
            pipe, library = self._load(name), Library(self._database(), owner)
            return library.open(pipe, conversation) if conversation else library.begin(pipe)

        return begin

    def open(self, owner: str, conversation: str) -> Talk:
        """One that was kept, standing where it stood. Where its checkpoint is gone, it can still be read.

        Raises:
            SeqdemoError: there is none, or it is damaged.
        """
        from seqdemo.decoding.stored import restored
        from seqdemo.library import Library
        from seqdemo.plugin import SamplingOptions
        from seqdemo.plugin import state as verbs

        found = self.conversations.read(owner, conversation)
        try:
            pipe = self._load(found.checkpoint)
            session = Library(self._database(), owner).open(pipe, conversation)
        except SeqdemoError as error:
            tree, here = restored(found, SamplingOptions)
            gone = isinstance(error, PageError) and error.key == "models.gone"
            key = "chat.no_checkpoint" if gone else "chat.read_only"
            trouble = PageError(key, name=found.checkpoint, reason=error)
            return Talk.closed(found.checkpoint, conversation, tree, here, trouble)
        begin = self._beginning(owner, found.checkpoint)
        return Talk(found.checkpoint, begin, session, state_bytes=verbs.nbytes(session.head.initial_state(1)))

    def fork(self, owner: str, talk: Talk, message: int) -> Talk:
        """A new conversation that begins with everything up to the end of a message.

        Raises:
            SessionError: there is no such message, or a reply is streaming.
        """
        from seqdemo.library import Library

        place, session = talk.place(message)
        pipe = self._load(talk.name)
        made = Library(self._database(), owner).fork(pipe, session, *place)
        return Talk(talk.name, self._beginning(owner, talk.name), made, state_bytes=talk.state_bytes)

    def export(self, owner: str, conversation: str) -> bytes:
        """One as a file's content.

        Raises:
            SeqdemoError: there is none, or its checkpoint is gone.
        """
        from seqdemo.library import Library

        pipe = self._load(self.conversations.summary(owner, conversation).checkpoint)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "conversation.safetensors"
            Library(self._database(), owner).export(pipe, conversation, path)
            return path.read_bytes()

    def bring(self, owner: str, data: bytes, checkpoints: Iterable[str]) -> str:
        """Keep a conversation from a file; its id.

        Args:
            checkpoints: those it may have been held with.

        Raises:
            SessionError: the content is damaged, or no checkpoint has the weights it was held with.
        """
        from seqdemo.decoding.archive import made_with
        from seqdemo.library import Library

        with TemporaryDirectory() as folder:
            path = Path(folder) / "the file"
            path.write_bytes(data)
            try:
                wanted = made_with(path)
                for name in checkpoints:
                    pipe = self._load(name)
                    if pipe.fingerprint == wanted:
                        return Library(self._database(), owner).bring(pipe, path).id
            except PageError:
                raise
            except SessionError as error:
                raise PageError("sidebar.no_conversation", reason=str(error).replace(str(path), "This file")) from error
        raise PageError("sidebar.no_weights", weights=wanted)
