"""Conversations that are kept: begun with any pipeline, listed, found again, and gone on with after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .decoding import Session
from .decoding.prepare import stepping
from .decoding.stored import StoredJournal, layout_digest, restored, to_store
from .errors import SessionError
from .pipeline import Pipeline
from .plugin import SamplingOptions, TokenHead
from .plugin import state as verbs
from .plugin.config import build
from .store import Conversations, Database, Snapshots, Summary, Tags, opened
from .store.snapshots import DEFAULT_BUDGET

__all__ = ["Library", "conversations"]


def conversations(visitor: str = "local", folder: str | Path | None = None, budget: int = DEFAULT_BUDGET) -> Library:
    """The conversations kept on this machine.

    Args:
        visitor: whose; the command line's and the SDK's are ``"local"``.
        folder: where; ``conversations`` in ``SEQDEMO_HOME`` when None.
        budget: bytes of states on disk, all visitors' together.

    Raises:
        StoreError: they cannot be read.
    """
    return Library(opened(None if folder is None else Path(folder)), visitor, budget)


class Library:
    """A visitor's conversations. Made by :func:`conversations`.

    What is said is written as it happens: a process that is killed loses at most the last half second of a reply.
    """

    def __init__(self, database: Database, visitor: str, budget: int = DEFAULT_BUDGET) -> None:
        self.visitor = visitor
        self.conversations = Conversations(database)
        self.snapshots = Snapshots(database, budget)

    def begin(self, pipe: Pipeline, title: str = "", **defaults: Any) -> Session:
        """A new conversation; ``defaults`` are options for every reply in it.

        Raises:
            ConfigError: an option is not accepted.
        """
        options = pipe.options(defaults)
        saved = options.model_dump(mode="json")
        new = self.conversations.create(self.visitor, pipe.name, pipe.fingerprint, saved, title)
        return self._session(pipe, new, 0, options)

    def open(self, pipe: Pipeline, conversation: str, *, rebuild: bool = False) -> Session:
        """Go on with one, standing where it stood.

        Args:
            conversation: its id.
            rebuild: read its token ids with these weights, though others made it.

        Raises:
            SessionError: there is none, or it was held with other weights.
        """
        found = self.conversations.read(self.visitor, conversation)
        if found.fingerprint != pipe.fingerprint and not rebuild:
            raise SessionError(
                f"The conversation {found.title!r} was held with {found.checkpoint!r} and the weights "
                f"{found.fingerprint!r}; {pipe.name!r} has {pipe.fingerprint!r}. Load that checkpoint, or pass "
                "rebuild=True to read it again with these weights."
            )
        head = self._head(pipe)
        highest = max((token for node in found.nodes for token in node.ids), default=0)
        if highest >= head.output_tokenizer.vocab_size:
            raise SessionError(
                f"The conversation {found.title!r} holds token {highest}, {pipe.name!r} knows "
                f"{head.output_tokenizer.vocab_size} tokens. Load {found.checkpoint!r}."
            )
        schema = type(pipe.options({}))
        options = build(schema, found.defaults, "the conversation")
        session = self._session(pipe, conversation, found.revision, options)
        tree, here = restored(found, schema)
        session.adopt(tree, here)
        return session

    def fork(self, pipe: Pipeline, session: Session, node: int | None = None, tokens: int | None = None) -> Session:
        """A conversation of its own that begins with everything up to a place in one that is kept, states included.

        Args:
            pipe: that of the session.
            session: made by :meth:`begin`, :meth:`open` or this.
            node, tokens: the place; where the session stands when None.

        Raises:
            SessionError: there is no such place.
        """
        point = session.here if node is None else session.tree.point(node, tokens)
        path = [part.id for part, _ in session.tree.upward(point)]
        made = self.open(pipe, self.conversations.fork(self.visitor, session.id, path, point))
        made.cache.put_all(kept for kept in session.cache.items() if kept[0].node in made.tree.nodes)
        return made

    def export(self, pipe: Pipeline, conversation: str, path: str | Path) -> None:
        """Write one into a file of its own, with the state it stands in; :meth:`bring` reads it, here or elsewhere.

        Raises:
            SeqdemoError: there is none, it was held with other weights, or the place cannot be written.
        """
        session = self.open(pipe, conversation)
        _ = session.state  # the place it stands at is in memory from here on, and so in the file
        session.save(path)

    def bring(self, pipe: Pipeline, path: str | Path, title: str = "", *, rebuild: bool = False) -> Session:
        """Keep a conversation that :meth:`export` or :meth:`Session.save` wrote, and go on with it.

        Args:
            title: its first message when empty.
            rebuild: read its token ids with these weights, though others made it.

        Raises:
            SessionError: the file is missing, damaged, or was made with other weights.
        """
        read = Session.load(path, self._head(pipe), pipe.fingerprint, pipe.device, rebuild=rebuild)
        return self.keep(pipe, read, title)

    def keep(self, pipe: Pipeline, session: Session, title: str = "") -> Session:
        """A conversation with everything that was said in a session, states included; that session stays as it is.

        Args:
            pipe: that of the session.
            title: its first message when empty.
        """
        here = session.here
        nodes = [to_store(node) for _, node in sorted(session.tree.nodes.items())]
        first = next((node.text for node in nodes if node.role == "user"), "")
        saved = session.defaults.model_dump(mode="json")
        with self.conversations.database.write():
            new = self.conversations.create(self.visitor, pipe.name, pipe.fingerprint, saved, title or first)
            self.conversations.fill(self.visitor, new, nodes, here)
        made = self.open(pipe, new)
        made.cache.put_all(session.cache.items())
        return made

    def list(self, query: str = "") -> list[Summary]:
        """Those that hold every word of a query: pinned ones first, then the last changed."""
        return self.conversations.summaries(self.visitor, query)

    def purge(self, conversation: str) -> None:
        """Delete one for good, states included."""
        self.conversations.purge(self.visitor, conversation)
        self.snapshots.purge(conversation)

    def nbytes(self, conversation: str) -> int:
        """Bytes of one's states on disk."""
        return self.snapshots.nbytes(conversation)

    def _head(self, pipe: Pipeline) -> TokenHead:
        if not isinstance(pipe.head, TokenHead):
            raise SessionError(f"{pipe.name!r} is a {pipe.task} pipeline: it cannot hold a conversation.")
        return pipe.head

    def _session(self, pipe: Pipeline, conversation: str, revision: int, options: SamplingOptions) -> Session:
        head = self._head(pipe)
        layout = layout_digest(verbs.layout(head.initial_state(1)))
        tags = Tags(pipe.fingerprint, layout, stepping(head, pipe.device).precision)
        journal = StoredJournal(self.conversations, self.snapshots, self.visitor, conversation, revision, tags)
        return Session(head, options, pipe.fingerprint, pipe.device, journal=journal)
