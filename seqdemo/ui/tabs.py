"""Browser tabs, and which conversation each one looks at.

A *page* is one load of the document, known by gradio's session hash; a *tab* survives reloads. So a reload finds its
reply still running, and two tabs of one visitor each stand where they stood.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock, Timer
from typing import Protocol

from .talk import Talk
from .words import ENGLISH, Words

__all__ = ["PATIENCE", "Tab", "Tabs", "Work"]

PATIENCE = 10.0
"""Seconds a reply goes on while nobody looks at it: what a page has to come back after a reload."""


class Work(Protocol):
    """Something that streams for a tab."""

    @property
    def busy(self) -> bool: ...
    def cancel(self) -> None: ...


class Tab:
    """One browser tab.

    Attributes:
        key: known to that tab only.
        owner: the visitor.
        talk: the conversation on show, None while it is being found.
        host: the tab whose conversation it is, while the reply that one is being given is shown here too.
        first: the number of the first message on show, where that is further back than it would be.
        wanted: the id of one that is to be shown next.
        seen: number of the newest update of a reply that is on its screen.
        beside: what streams on other parts of the page, by the part's name.
        words: the texts of its language, which may be another one after a reload.
        tuned: the checkpoint whose preferred options its controls were set to.
        pages: loads of the document that have not been forgotten yet.
        open: those of them that are still connected.
    """

    def __init__(self, owner: str) -> None:
        self.key = secrets.token_urlsafe(24)
        self.owner = owner
        self.talk: Talk | None = None
        self.host: Tab | None = None
        self.first: int | None = None
        self.wanted = ""
        self.seen = 0
        self.beside: dict[str, Work] = {}
        self.words = ENGLISH
        self.tuned: str | None = None
        self.pages: set[str] = set()
        self.open: set[str] = set()
        self._turn = 0
        self._latest = 0.0
        self._looking = 0
        self._guests = 0
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

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While another tab shows this one's reply, which goes on for it too."""
        with self._lock:
            self._guests += 1
        try:
            yield
        finally:
            with self._lock:
                self._guests -= 1
                if not self.open:
                    self.wait()

    def wait(self) -> None:
        """Stop whatever runs, unless somebody comes back in time."""
        with self._lock:
            self._stay()
            if any(work.busy for work in self._works()):
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
            if not self._guests and not (self.open and self._looking):
                self.end()

    def newest(self, moment: float) -> bool:
        """Whether a choice made at a moment is the latest one heard of; an overtaken one must not be shown."""
        with self._lock:
            if moment < self._latest:
                return False
            self._latest = moment
            return True

    def turn(self) -> int:
        """Look away from the conversation on show, whose reply is stopped; the number to :meth:`show` another with."""
        with self._lock:
            if self.host is None:
                self.cancel()
            self.talk = self.host = self.first = None
            self._turn += 1
            return self._turn

    def show(self, talk: Talk, turn: int) -> bool:
        """Look at a conversation, unless the tab has turned elsewhere meanwhile; whether it does."""
        with self._lock:
            if turn == self._turn:
                self.talk, self.host = talk, None
            return turn == self._turn

    def visit(self, host: Tab, talk: Talk, turn: int) -> bool:
        """Look at a conversation of another tab, whose reply does not end when this one looks away."""
        with self._lock:
            if turn == self._turn:
                self.talk, self.host = talk, host
            return turn == self._turn

    def cancel(self) -> None:
        """Stop the reply that is running."""
        if self.talk is not None:
            self.talk.cancel()

    def end(self) -> None:
        """Stop whatever is running."""
        for work in self._works():
            work.cancel()

    def _works(self) -> list[Work]:
        own = [self.talk] if self.talk is not None and self.host is None else []
        return [*own, *self.beside.values()]


class Tabs:
    """Every tab, by page and by key."""

    def __init__(self) -> None:
        self._by_page: dict[str, Tab] = {}
        self._by_key: dict[str, Tab] = {}
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._by_key)

    def arrive(self, page: str, owner: str, key: str = "", reloaded: bool = False, words: Words = ENGLISH) -> Tab:
        """A page was loaded.

        Args:
            page: gradio's session hash.
            owner: the visitor.
            key: what the tab remembers from before; a browser copies it into a duplicated tab too.
            reloaded: the tab says that it left its previous page, so it is no duplicate.
            words: of the language of the page.
        """
        with self._lock:
            tab = self._by_key.get(key)
            if tab is None or tab.owner != owner or (tab.open and not reloaded):
                tab = Tab(owner)
                self._by_key[tab.key] = tab
            tab.pages.add(page)
            tab.open = {page}
            tab.words = words
            self._by_page[page] = tab
            tab.back()
            return tab

    def at(self, page: str, owner: str) -> Tab | None:
        """The tab that shows a page; None if the page is not known, as after a restart of the server."""
        tab = self._by_page.get(page)
        return tab if tab is not None and tab.owner == owner else None

    def keyed(self, key: str) -> Tab | None:
        """The tab that holds a key."""
        return self._by_key.get(key)

    def live(self, owner: str, conversation: str, besides: Tab) -> tuple[Tab, Talk] | None:
        """Another tab of a visitor that is being given a reply in a conversation, if one is."""
        with self._lock:
            tabs = [tab for tab in self._by_key.values() if tab is not besides and tab.owner == owner]
        for tab in tabs:
            if tab.host is None and (talk := tab.talk) is not None and talk.conversation == conversation and talk.busy:
                return tab, talk
        return None

    def leave(self, page: str) -> None:
        """A page went away: what runs for it stops unless it comes back soon."""
        with self._lock:
            tab = self._by_page.get(page)
            if tab is not None and page in tab.open:
                tab.open.discard(page)
                tab.wait()

    def release(self, checkpoint: str) -> None:
        """Hold on to no session of a checkpoint: each is opened again when it is gone on with."""
        with self._lock:
            talks = [tab.talk for tab in self._by_key.values() if tab.talk is not None]
        for talk in talks:
            if talk.name == checkpoint:
                talk.release()

    def drop(self, page: str) -> None:
        """A page will not come back: with the last page of a tab all that memory holds of it is freed."""
        with self._lock:
            tab = self._by_page.pop(page, None)
            if tab is None:
                return
            tab.pages.discard(page)
            tab.open.discard(page)
            if not tab.pages:
                tab.end()
                self._by_key.pop(tab.key, None)
