"""Who is at the page. Conversations live here, on the server; a browser tab holds only the key to its own.

A *page* is one load of the document, known by gradio's session hash; a *visitor* is a browser tab and survives
reloads. So a reload finds its conversation again, and two tabs never share one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, Timer

from .talk import Talk

__all__ = ["PATIENCE", "Visitor", "Visitors"]

PATIENCE = 10.0
"""Seconds a reply goes on while nobody looks at it: what a page has to come back after a reload."""


class Visitor:
    """One browser tab.

    Attributes:
        key: known to that tab only.
        talks: one conversation for each checkpoint it tried.
        talk: the one on show, None while it is being made.
        pages: loads of the document that have not been forgotten yet.
        open: those of them that are still connected.
    """

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(24)
        self.talks: dict[str, Talk] = {}
        self.talk: Talk | None = None
        self.pages: set[str] = set()
        self.open: set[str] = set()
        self._name: str | None = None
        self._latest = 0.0
        self._looking = 0
        self._timer: Timer | None = None
        self._lock = RLock()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While a page shows a reply. When the last one stops before the reply ends, :data:`PATIENCE` begins."""
        with self._lock:
            self._looking += 1
            self._stay()
        try:
            yield
        finally:
            with self._lock:
                self._looking -= 1
                if not self._looking:
                    self.wait()

    def wait(self) -> None:
        """Stop whatever runs, unless somebody comes back in time."""
        with self._lock:
            self._stay()
            if any(talk.busy for talk in self.talks.values()):
                self._timer = Timer(PATIENCE, self._give_up)
                self._timer.daemon = True
                self._timer.start()

    def back(self) -> None:
        """The page is there again."""
        with self._lock:
            self._stay()

    def _stay(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        with self._lock:
            if not self.open or not self._looking:
                self.cancel()

    def newest(self, moment: float) -> bool:
        """Whether a choice made at a moment is the latest one heard of; an overtaken one must not be shown."""
        with self._lock:
            if moment < self._latest:
                return False
            self._latest = moment
            return True

    def turn_to(self, name: str | None) -> Talk | None:
        """Look at the conversation with a checkpoint, if there is one. A reply elsewhere is stopped."""
        with self._lock:
            if self.talk is not None and self.talk.name != name:
                self.talk.cancel()
            self._name = name
            self.talk = self.talks.get(name) if name is not None else None
            return self.talk

    def begin(self, name: str, make: Callable[[], Talk]) -> Talk:
        """The conversation with a checkpoint, made if there is none; on show unless the visitor has turned away."""
        with self._lock:
            if name not in self.talks:
                self.talks[name] = make()
            if self._name == name:
                self.talk = self.talks[name]
            return self.talks[name]

    def forget(self, name: str) -> None:
        """End the conversation with a checkpoint."""
        with self._lock:
            if (talk := self.talks.pop(name, None)) is not None:
                talk.cancel()
                if self.talk is talk:
                    self.talk = None

    def cancel(self) -> None:
        """Stop whatever is running."""
        for talk in list(self.talks.values()):
            talk.cancel()


class Visitors:
    """Every visitor, by page and by key."""

    def __init__(self) -> None:
        self._by_page: dict[str, Visitor] = {}
        self._by_key: dict[str, Visitor] = {}
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._by_key)

    def arrive(self, page: str, key: str = "", reloaded: bool = False) -> Visitor:
        """A page was loaded.

        Args:
            page: gradio's session hash.
            key: what the tab remembers from before; a browser copies it into a duplicated tab too.
            reloaded: the tab says that it left its previous page, so it is no duplicate.
        """
        with self._lock:
            visitor = self._by_key.get(key)
            if visitor is None or (visitor.open and not reloaded):
                visitor = Visitor()
                self._by_key[visitor.key] = visitor
            visitor.pages.add(page)
            visitor.open = {page}
            self._by_page[page] = visitor
            visitor.back()
            return visitor

    def at(self, page: str) -> Visitor:
        """The visitor at a page; a new one if the page is not known, as after a restart of the server."""
        with self._lock:
            return self._by_page.get(page) or self.arrive(page)

    def keyed(self, key: str) -> Visitor | None:
        """The visitor who holds a key."""
        return self._by_key.get(key)

    def leave(self, page: str) -> None:
        """A page went away: what runs for it stops unless it comes back soon, its conversations stay for a while."""
        with self._lock:
            visitor = self._by_page.get(page)
            if visitor is not None and page in visitor.open:
                visitor.open.discard(page)
                visitor.wait()

    def drop(self, page: str) -> None:
        """A page will not come back: with the last page of a visitor its conversations are freed."""
        with self._lock:
            visitor = self._by_page.pop(page, None)
            if visitor is None:
                return
            visitor.pages.discard(page)
            visitor.open.discard(page)
            if not visitor.pages:
                visitor.cancel()
                self._by_key.pop(visitor.key, None)
