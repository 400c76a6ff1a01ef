"""The conversation on show in a tab: how it is found and loaded, and how a reply is followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError, StaleError

from .conversation import Window, earlier, encode, whole
from .intro import introduce
from .language import words_of
from .loader import Loader
from .markup import element
from .reply import Reply, pulses
from .shelf import Shelf
from .source import Checkpoint, Source
from .status import notice, status_view
from .tabs import Tab, Tabs
from .talk import Talk, explain
from .visitors import Visitors
from .words import Words

__all__ = ["Stage", "Update"]

_BEATS_PER_STATUS = 5
_SECONDS_PER_NEWS = 0.2
_log = logging.getLogger(__name__)

Update = dict[Any, Any]
"""Components and what they show next."""


class Stage:
    """What every handler of the Chat tab needs. Each finds the tab it is for by gradio's session and the visitor.

    A reply runs in a thread of its own; the handler that shows it is a coroutine, so no worker thread waits with it.

    Attributes:
        tabs: the browser tabs, which other parts of the page share.
        view, status, notice: the components that show a conversation, the strip below it and a line of news.
    """

    tabs: Tabs
    view: gr.HTML
    status: gr.HTML
    notice: gr.HTML

    def __init__(self, source: Source, visitors: Visitors, loader: Loader) -> None:
        self._source = source
        self._loader = loader
        self._shelf = Shelf(source.database, self._loader.get)
        self._visitors = visitors
        self.tabs = Tabs()
        loader.leaving.append(self.tabs.release)

    def _checkpoints(self) -> dict[str, Checkpoint]:
        return {record.name: record for record in self._source.checkpoints()}

    def _tab(self, request: gr.Request) -> Tab | None:
        return self.tabs.at(str(request.session_hash), self._visitors.of(request))

    def _held_with(self, owner: str, conversation: str) -> str | None:
        try:
            return self._shelf.checkpoint(owner, conversation) if conversation else None
        except SeqdemoError:
            return None  # said when the conversation itself is opened

    # --- looking at a conversation ------------------------------------------------------------------------------

    def _scene(self, tab: Tab, name: str | None, note: str = "", busy: bool | None = None) -> Update:
        """Everything on show when no reply streams, or when one is about to."""
        talk = tab.talk
        shown = talk.name if talk is not None else name
        if not note and talk is not None and talk.trouble:
            note = notice(explain(talk.trouble, tab.words), "hint")
        intro = introduce(self._checkpoints(), name, tab.words)
        guest = tab.host is not None
        return {
            self.view: encode(whole(talk, tab.key, intro, busy, tab.words, tab.first, guest)),
            self.status: status_view(talk, self._loader.loaded(shown) if shown else None, tab.words),
            self.notice: note,
        }

    def _resync(self, key: str) -> str:
        """What is on show, for a script that missed something."""
        tab = self.tabs.keyed(key)
        if tab is None:
            return ""
        return encode(whole(tab.talk, key, None, None, tab.words, tab.first, tab.host is not None))

    def _seen(self, key: str, serial: int) -> None:
        """An update is on the screen of a tab."""
        if (tab := self.tabs.keyed(key)) is not None:
            tab.seen = max(tab.seen, serial)

    def _earlier(self, key: str, talk: int, before: int) -> str:
        """Messages that stand before those on show, which from now on are on show too."""
        tab = self.tabs.keyed(key)
        if tab is None or tab.talk is None or tab.talk.id != talk:
            return ""
        page = earlier(tab.talk, before, tab.words)
        tab.first = page["first"]
        return encode(page)

    def _text(self, key: str, talk: int, message: int) -> str:
        """All of a user's message, of which the page may show the beginning only; nothing where it is not on show."""
        tab = self.tabs.keyed(key)
        if tab is None or tab.talk is None or tab.talk.id != talk or not 0 <= message < len(tab.talk.messages):
            return ""
        return tab.talk.messages[message].text

    async def _open(self, request: gr.Request, name: str | None) -> AsyncIterator[Update]:
        """Show the conversation that is wanted, or a new one; a reply that runs is shown on."""
        tab = self._tab(request)
        if tab is None:
            yield self._gone(request)
            return
        talk, wanted = tab.talk, tab.wanted
        tab.wanted = ""
        if talk is not None and talk.reply is not None and talk.busy and tab.host is None:
            async for update in self._follow(tab, talk, talk.reply):
                yield update
            return
        async for update in self._turn(tab, name, wanted or (talk.conversation if talk is not None else "")):
            yield update

    async def _turn(self, tab: Tab, name: str | None, conversation: str = "") -> AsyncIterator[Update]:
        """Show a conversation that was kept, or a new one with a checkpoint; loads what it needs."""
        turn = tab.turn()
        known = await asyncio.to_thread(self._held_with, tab.owner, conversation)
        name = known or name
        if name is None:
            yield self._scene(tab, None)
            return
        if self._loader.loaded(name) is None:
            yield self._scene(tab, name, notice(tab.words("chat.loading", name=name), "progress"))
        while known and (live := self.tabs.live(tab.owner, conversation, tab)) is not None:
            if not tab.visit(*live, turn):
                return
            async for update in self._watch(tab, *live):
                yield update
            if tab.talk is not live[1]:
                return
        try:
            talk = await asyncio.to_thread(self._find, tab.owner, name, conversation if known else "")
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            said = self._explained(error, tab.words)
            yield {self.notice: said} if tab.talk is None else self._scene(tab, name, said)
            return
        if tab.show(talk, turn):
            yield self._scene(tab, name)

    def _find(self, owner: str, name: str, conversation: str) -> Talk:
        return self._shelf.open(owner, conversation) if conversation else self._shelf.fresh(owner, name)

    def _gone(self, request: gr.Request) -> Update:
        return {self.notice: notice(words_of(request)("chat.gone"))}

    def _explained(self, error: Exception, words: Words) -> str:
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the page failed.", exc_info=error)
        if isinstance(error, StaleError):
            return notice(explain(error, words), "error", element("a", words("chat.reload"), href=""))
        return notice(explain(error, words))

    # --- following a reply -------------------------------------------------------------------------------------------

    async def _respond(
        self, request: gr.Request, name: str | None, begin: Callable[[Talk], Reply | None], then: Update | None = None
    ) -> AsyncIterator[Update]:
        """Begin a reply in the conversation on show and follow it. ``then``: what else changes once it has begun."""
        tab = self._tab(request)
        if tab is None:
            yield self._gone(request)
            return
        yield {self.notice: ""}
        try:
            talk = tab.talk
            if talk is None and name is not None:
                talk = await asyncio.to_thread(self._shelf.fresh, tab.owner, name)
                tab.show(talk, tab.turn())
            if talk is None:
                return
            work = asyncio.create_task(asyncio.to_thread(begin, talk))
            async for update in self._awaited(tab, talk, work):
                yield update
            reply = work.result()
            tab.first = None
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield self._scene(tab, name, self._explained(error, tab.words))
            return
        if reply is None:
            yield self._scene(tab, talk.name)
            return
        async for update in self._follow(tab, talk, reply):
            yield {**update, **(then or {})}
            then = None

    async def _follow(self, tab: Tab, talk: Talk, reply: Reply) -> AsyncIterator[Update]:
        """Show a reply while it grows. It goes on for a while when nobody looks any more."""
        with tab.looking():
            async for update in self._shown(tab, talk, reply):
                yield update

    async def _watch(self, tab: Tab, host: Tab, talk: Talk) -> AsyncIterator[Update]:
        """Show the reply that another tab is being given. The page stays busy at its end, until the tab has the
        conversation as its own: what was said before that would be said in the other tab's."""
        if talk.reply is not None:
            with host.watched():
                async for update in self._shown(tab, talk, talk.reply, guest=True):
                    yield update

    async def _join(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Another tab of this browser says that the conversation on show goes on there."""
        tab, conversation = self._tab(request), str(event.conversation)
        talk = None if tab is None else tab.talk
        if tab is None or talk is None or talk.busy or talk.conversation != conversation:
            return
        async for update in self._turn(tab, talk.name, conversation):
            yield update

    async def _shown(self, tab: Tab, talk: Talk, reply: Reply, guest: bool = False) -> AsyncIterator[Update]:
        window = Window(talk, reply, tab.words)
        yield self._scene(tab, talk.name, busy=True)
        beats = 0
        async for _ in pulses(reply, behind=lambda: window.behind(tab.seen)):
            finished = reply.finished
            if tab.talk is not talk:
                return
            newest = window.update(finished, tab.seen)
            update: Update = {self.view: encode({**newest, "busy": newest["busy"] or guest})}
            if finished or beats % _BEATS_PER_STATUS == 0:
                update[self.status] = status_view(talk, self._loader.loaded(talk.name), tab.words)
            if finished:
                update[self.notice] = self._explained(reply.error, tab.words) if reply.error is not None else ""
            beats += 1
            yield update

    async def _move(
        self, request: gr.Request, how: Callable[[Talk], object], then: Callable[[], Update] = dict
    ) -> AsyncIterator[Update]:
        """Stand elsewhere in the conversation on show. ``then``: what else changes afterwards."""
        tab = self._tab(request)
        if tab is None or tab.talk is None:
            yield self._gone(request)
            return
        talk = tab.talk
        yield {self.notice: ""}
        work = asyncio.create_task(asyncio.to_thread(how, talk))
        try:
            async for update in self._awaited(tab, talk, work):
                yield update
            work.result()
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: self._explained(error, tab.words)}
            return
        if tab.talk is talk:
            yield {**self._scene(tab, talk.name), **then()}

    async def _awaited(self, tab: Tab, talk: Talk, work: asyncio.Task[Any]) -> AsyncIterator[Update]:
        """How far a state that was let go is read again, while something waits for it."""
        while not work.done():
            await asyncio.wait({work}, timeout=_SECONDS_PER_NEWS)
            read = talk.rebuilding
            if not work.done() and read is not None:
                text = tab.words("chat.rebuilding", read=f"{read.read:,}", total=f"{read.total:,}")
                yield {self.notice: notice(text, "progress")}
