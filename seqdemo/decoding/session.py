"""Sessions: a conversation whose past is a set of states that can be stood in again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from seqdemo.errors import SessionError
from seqdemo.plugin import Done, Generation, SamplingOptions, Token, TokenHead
from seqdemo.plugin import state as verbs
from seqdemo.plugin.config import build

from .archive import Contents, read, write
from .cache import DEFAULT_BUDGET
from .engine import Engine
from .generation import Request
from .random import SEED_LIMIT
from .reply import Recording, Reply
from .restore import ANCHOR, restore
from .snapshot import Snapshot
from .standing import Standing
from .tree import ROOT, Node, Point, Tree
from .written import instead, written

__all__ = ["Session"]


class Session(Standing):
    """One conversation: a tree of messages, each of which can be stood in again.

    Token ids are the truth; states are a cache. Used by one thread at a time, except that a reply may be closed from
    any. The first reply at a place uses the default seed, if there is one, the next version the seed after it, and so
    on: all of them can be had again.

    Args:
        head: of the pipeline, in evaluation mode.
        defaults: options of every reply, unless it is given others.
        fingerprint: of the weights; what is saved fits these only.
        device: where the head is.
        budget: bytes of snapshots to keep.
        on: the engine to use; the device's own when None.
        journal: is told of everything, to write it down.
    """

    _live: Recording | None = None

    # --- talking ------------------------------------------------------------------------------------------------

    def stream(self, message: str, *, raw: bool = False, **options: Any) -> Reply:
        """Say something, and have the reply as events.

        Args:
            raw: the message is read as it is, without the head's turn template.

        Raises:
            ConfigError: an option is not accepted.
            TokenizerError: the message cannot be expressed in the vocabulary.
            SessionError: another reply is still being streamed.
            BusyError: the engine is.
        """
        with self._lock:
            self._settle()
            here = self._here
            chosen = self._options(options)
            user = self._said(message, raw)
            start = self._start(here, chosen)
            if start is not None:  # a new turn: what the reply before it held back is no part of the next one
                start = replace(start, pending=b"", held="")
            reply = self._begin(user.end, user.ids, start, chosen, message, user)
            self.tree.add(user)
            self._here = user.end
            return reply

    def stream_regenerate(self, **options: Any) -> Reply:
        """Another version of the reply one stands in, or a reply to the message one stands at; nothing is read again.

        Raises:
            SessionError: nothing was said yet.
        """
        with self._lock:
            self._settle()
            node = self._node("There is no reply to make again: send a message first.")
            return self._go_on(self._here if node.role == "user" else node.parent, options)

    def stream_continue(self, **options: Any) -> Reply:
        """Go on from where one stands, as if the reply had not ended there.

        Raises:
            SessionError: nothing was said yet.
        """
        with self._lock:
            self._settle()
            self._node("There is nothing to go on from: send a message first.")
            return self._go_on(self._here, options)

    def write(self, text: str, message: str | None = None, **options: Any) -> Node:
        """Put down a reply that nobody generated, or the beginning of one: :meth:`stream_continue` goes on from it.

        Args:
            text: of the reply.
            message: what it replies to; where one stands when None.
            options: by which its tokens' alternatives are reported, as if they had been drawn.

        Returns:
            its node. Its tokens have the probabilities the model gives them.

        Raises:
            ConfigError: an option is not accepted.
            TokenizerError: a text cannot be expressed in the vocabulary.
            SessionError: the text is empty or holds a stop text, or there is nothing to reply to.
        """
        with self._lock:
            self._settle()
            here, chosen = self._here, self._options(options)
            stops = (*chosen.stop, *self.head.stop_texts)
            ids = tuple(self.head.output_tokenizer.encode(text))
            if not ids:
                raise SessionError("A reply cannot be empty: write something.")
            if found := [stop for stop in stops if stop in text]:
                raise SessionError(f"The reply holds {found[0]!r}, which ends a reply. Leave it out.")
            if message is None:
                self._node("There is nothing to reply to: send a message first.")
            user = None if message is None else self._said(message)
            return self._write(user, here if user is None else user.end, text, ids, chosen)

    def choose(self, token: int, node: int, at: int, **options: Any) -> Node:
        """Put another token in the place of one of a reply, which stays: :meth:`stream_continue` goes on from it.

        Read again are 31 tokens at most, as for :meth:`stand`, and nothing is computed but the state after the token.

        Args:
            token: id of one of the alternatives recorded there, or of the token itself.
            node: the reply.
            at: which of its tokens is replaced, from 0 on.
            options: those one will go on with.

        Returns:
            a node that holds that token.

        Raises:
            ConfigError: an option is not accepted.
            SessionError: there is no such token, or no such alternative was recorded.
        """
        with self._lock:
            self._settle()
            reply, chosen = self.tree.get(node), self._options(options)
            if not 0 <= at < len(reply.tokens):
                raise SessionError(f"Node {node} has {len(reply.tokens)} tokens of a reply: there is no token {at}.")
            parent = self.tree.point(node, at)

            def make(start: Snapshot) -> tuple[tuple[Token, ...], Done, bool]:
                event, done, closed = instead(self.head, reply.tokens[at], token, start, chosen)
                return (event,), done, closed

            return self._put(None, parent, chosen, make)

    def send(self, message: str, **options: Any) -> Generation:
        """:meth:`stream`, read to its end."""
        return self.stream(message, **options).generation()

    def regenerate(self, **options: Any) -> Generation:
        """:meth:`stream_regenerate`, read to its end."""
        return self.stream_regenerate(**options).generation()

    def continue_(self, **options: Any) -> Generation:
        """:meth:`stream_continue`, read to its end."""
        return self.stream_continue(**options).generation()

    def fork(self, node: int | None = None, tokens: int | None = None) -> Session:
        """A session of its own that begins with everything up to a place (where one stands when None).

        Nodes keep their numbers. What either session does afterwards is not seen by the other.
        """
        with self._lock:
            self._settle()
            point = self._here if node is None else self.tree.point(node, tokens)
            other = type(self)(self.head, self.defaults, self.fingerprint, budget=self.cache.budget, on=self._engine)
            for part, _ in list(self.tree.upward(point))[::-1]:
                other.tree.add(part)
            other.cache.put_all(kept for kept in self.cache.items() if kept[0].node in other.tree.nodes)
            other._restore(point)
            other._here = point
            return other

    # --- disk ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the whole session, states included, as one safetensors file, all or nothing.

        Raises:
            SeqdemoError: the place cannot be written.
        """
        with self._lock:
            self._settle()
            kept = list(self.cache.items())
            write(Path(path), Contents(self.fingerprint, self.defaults, self._here, self.tree, kept))

    @classmethod
    def load(
        cls,
        path: str | Path,
        head: TokenHead,
        fingerprint: str = "",
        device: Any = "cpu",
        budget: int = DEFAULT_BUDGET,
        rebuild: bool = False,
        on: Engine | None = None,
    ) -> Self:
        """Read what :meth:`save` wrote, and stand where it stood.

        Args:
            rebuild: take the token ids only, and read them again: for other weights or another precision.

        Raises:
            SessionError: the file is missing, damaged, or was made with other weights.
            StateError: its states do not fit the head, which has another size or precision.
        """
        made = cls(head, None, fingerprint, device, budget, on)
        layout = verbs.layout(made._engine.run(lambda: head.initial_state(1)))
        found = read(Path(path), head, fingerprint, None if rebuild else layout)
        made.defaults = found.defaults
        made.cache.put_all(found.snapshots)
        made.adopt(found.tree, found.here)
        return made

    def adopt(self, tree: Tree, here: Point) -> None:
        """Take over another session's nodes and the place it stands at; only for one in which nothing was said."""
        with self._lock:
            for node in tree.nodes.values():
                self.tree.add(node)
            self._here = here

    # --- inside -------------------------------------------------------------------------------------------------

    def _options(self, given: dict[str, Any], versions: int = 0) -> SamplingOptions:
        """Options of a reply beside which there are so many versions already."""
        chosen = build(type(self.defaults), self.defaults.model_dump() | given, "a reply")
        if "seed" not in given and chosen.seed is not None:
            chosen = chosen.model_copy(update={"seed": (chosen.seed + versions) % SEED_LIMIT})
        return chosen

    def _said(self, message: str, raw: bool = False) -> Node:
        """A message where one stands, not in the tree yet."""
        here = self._here
        if not raw:
            ids = self.head.turn(message, first=here == ROOT, closed=self._closed(here))
        else:
            ids = self.head.prompt({"text": message}) if here == ROOT else self.head.output_tokenizer.encode(message)
        return Node(self.tree.next_id, here, self.tree.position(here), "user", message, tuple(ids))

    def _write(
        self, user: Node | None, parent: Point, text: str, ids: tuple[int, ...], options: SamplingOptions
    ) -> Node:
        def make(start: Snapshot) -> tuple[tuple[Token, ...], Done, bool]:
            prompt = next((node.text for node, _ in self.tree.upward(parent) if node.role == "user"), "")
            return *written(self._engine, self.head, ids, start, options, prompt), False

        return self._put(user, parent, options, make, text)

    def _put(
        self,
        user: Node | None,
        parent: Point,
        options: SamplingOptions,
        make: Callable[[Snapshot], tuple[tuple[Token, ...], Done, bool]],
        text: str | None = None,
    ) -> Node:
        """A reply that was not drawn, in the tree and stood in.

        Args:
            user: the message it replies to, where that is new.
            parent: where it goes on from.
            make: the place -> its tokens, its end, and whether the template ends so.
            text: of it; that of its tokens when None.
        """
        number = self.tree.next_id if user is None else user.id + 1
        begin = self.tree.position(parent) if user is None else user.start + len(user.ids)
        above = parent if user is None else user.parent
        self.journal.begun(user, number, parent, begin, options, bool(self.tree.children(above)))
        if user is not None:
            self.tree.add(user)
            self._here = user.end
        try:
            start = self._start(parent, options)
            assert start is not None
            tokens, done, closed = make(start)
        except BaseException:
            self.journal.ended(number, None, self._here)
            raise
        whole = "".join(token.text for token in tokens) + done.text if text is None else text
        ids = tuple(token.id for token in tokens)
        node = Node(number, parent, begin, "reply", whole, ids, tokens, options, done, closed)
        self.tree.add(node)
        self._here = node.end
        self.journal.ended(number, node, node.end)
        # Read once now, step by step: from here on each place in it is near.
        restore(self._engine, self.head, self.tree, self.cache, node.end, lambda _: None)
        return node

    def _go_on(self, parent: Point, given: dict[str, Any]) -> Reply:
        versions = sum(child.role == "reply" for child in self.tree.children(parent))
        options = self._options(given, versions)
        message = next((node.text for node, _ in self.tree.upward(parent) if node.role == "user"), "")
        return self._begin(parent, (), self._start(parent, options), options, message)

    def _start(self, point: Point, options: SamplingOptions) -> Snapshot | None:
        """The snapshot of a place, with as many recent ids as the options look at."""
        found = self._restore(point)
        if found is None:
            return None
        return replace(found, recent=self.tree.recent(point, max(options.repetition_window, len(found.recent))))

    def _begin(
        self,
        parent: Point,
        ids: tuple[int, ...],
        start: Snapshot | None,
        options: SamplingOptions,
        message: str,
        user: Node | None = None,
    ) -> Reply:
        stream = self._engine.submit(Request(self.head, ids, options, {"text": message}, start, ANCHOR))
        number = self.tree.next_id if user is None else user.id + 1
        before = user.start + len(user.ids) if user else self.tree.position(parent)
        above = user.parent if user else parent
        try:
            self.journal.begun(user, number, parent, before, options, bool(self.tree.children(above)))
        except BaseException:
            stream.close()
            raise
        hand_on = partial(self.journal.wrote, number)
        self._live = recording = Recording(stream, parent, options, message, number, self._record, hand_on)
        return Reply(recording)

    def _settle(self, alone: bool = True) -> None:
        """Write down a reply that was abandoned. One that is being read is refused, where one wants to be alone."""
        live = self._live
        if live is None:
            return
        if live.owner is None or live.owner() is None:
            live.close()
        elif alone:
            raise SessionError("A reply is still being streamed: read it to its end or close() it first.")
        elif 0 in live.anchors and live.parent not in self.cache:
            self.cache.put(live.parent, live.anchors[0])

    def _record(self, recording: Recording) -> int | None:
        """Write a reply down, however it ended; one without tokens leaves nothing but the message's snapshot."""
        with self._lock:
            self._live = None
            anchors, done, tokens = recording.anchors, recording.done, tuple(recording.tokens)
            if 0 in anchors:
                self.cache.put(recording.parent, anchors.pop(0))
            if not tokens or done is None:
                self.journal.ended(recording.number, None, self._here)
                return None
            ends = done.reason == "stop" and recording.stream.stopped_by in self.head.stop_texts
            node = Node(
                id=recording.number,
                parent=recording.parent,
                start=self.tree.position(recording.parent),
                role="reply",
                text=recording.text,
                ids=tuple(token.id for token in tokens),
                tokens=tokens,
                options=recording.options,
                done=done,
                closed=ends or done.reason == "end",
            )
            self.tree.add(node)
            self._here = node.end
            made = [(Point(node.id, count), anchor) for count, anchor in anchors.items()]
            if done.reason != "error":
                made.append((node.end, recording.stream.snapshot))
            self.cache.put_all(made)
            recording.node = node.id
            self.journal.ended(node.id, node, node.end)
            return node.id
