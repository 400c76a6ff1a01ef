"""The Chat tab."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr
from gradio.components.textbox import InputHTMLAttributes

from seqdemo.errors import SeqdemoError, SessionError, StaleError

from .conversation import Window, conversation, encode, whole
from .inspector import inspector, token_view
from .intro import introduce
from .markup import element
from .reply import Reply, pulses
from .sampling import Sampling
from .shelf import Shelf
from .sidebar import sidebar
from .source import Checkpoint, Loader, Source
from .status import notice, status, status_view
from .tabs import Tab, Tabs
from .talk import Talk, explain
from .visitors import Visitors

__all__ = ["ChatTab"]

_LISTENERS = 64
_BEATS_PER_STATUS = 5
_log = logging.getLogger(__name__)

_GONE = "The server was started again. Reload the page to go on; everything that was said is kept."

Update = dict[Any, Any]


class ChatTab:
    """Talk to any generator: the components, and what happens when they are used.

    Every handler finds the tab it is for by gradio's session and the visitor. A reply runs in a thread of its own; the
    handler that shows it is a coroutine, so no worker thread waits with it.
    """

    def __init__(self, demo: gr.Blocks, source: Source, visitors: Visitors) -> None:
        self._source = source
        self._loader = Loader(source)
        self._shelf = Shelf(source.database, self._loader.get)
        self._visitors = visitors
        self._tabs = Tabs()
        self._build()
        self._wire(demo)

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.page = gr.State("", delete_callback=self._tabs.drop)
        with gr.Row(elem_classes=["sd-chat"]):
            self.shelf = sidebar(self._owner, self._shelf, self._names)
            with gr.Column(elem_classes=["sd-main"]):
                with gr.Row(elem_classes=["sd-top"]):
                    self.model = gr.Dropdown(
                        [], label="Model", container=False, elem_id="sd-model", scale=1, filterable=True
                    )
                self.view = conversation(self._resync)
                self.notice = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="sd-notice")
                with gr.Row(elem_classes=["sd-composer"]):
                    self.message = gr.Textbox(
                        label="Message",
                        show_label=False,
                        container=False,
                        placeholder="Write something …",
                        lines=1,
                        max_lines=8,
                        autofocus=True,
                        elem_id="sd-input",
                        scale=1,
                        html_attributes=InputHTMLAttributes(enterkeyhint="send", spellcheck=False),
                    )
                    self.send = gr.Button("Send", variant="primary", scale=0, elem_id="sd-send", min_width=88)
                    self.stop = gr.Button("Stop", variant="stop", scale=0, elem_id="sd-stop", min_width=88)
                self.status = status()
            with gr.Column(elem_classes=["sd-side"]):
                self.panel = inspector()
                self.sampling = Sampling(self._source)

    def _wire(self, demo: gr.Blocks) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        # One queue for everything that streams, so that its limit counts listeners, whatever they clicked.
        streams: dict[str, Any] = {**quiet, "concurrency_id": "replies", "concurrency_limit": _LISTENERS}
        opened = [self.page, self.model, self.sampling.panel, *self.sampling.components]
        # Few: the browser does work for each output of each update.
        shown = [self.view, self.status, self.notice, self.message]
        held = [self.model, self.message, *self.sampling.inputs]
        # The component says when it is there: what a load event sends before that is lost now and then.
        self.view.ready(self._arrive, outputs=opened, **quiet).then(
            self._open, inputs=self.model, outputs=shown, **streams
        )
        demo.unload(self._leave)
        self.model.input(self._choose, inputs=self.model, outputs=self.sampling.components, **quiet).then(
            self._open, inputs=self.model, outputs=shown, **streams
        )
        gr.on([self.send.click, self.message.submit], self._send, inputs=held, outputs=shown, **streams)
        self.view.reply(self._reply, inputs=held, outputs=shown, **streams)
        self.view.rewrite(self._rewrite, inputs=held, outputs=shown, **streams)
        self.view.fork(self._fork, outputs=shown, **streams)
        self.view.turn(self._select, outputs=shown, **quiet)
        for halted in (self.stop.click, self.view.halt):
            halted(self._stop, queue=False, **quiet)
        self.view.undo(self._undo, outputs=shown, **quiet)
        self.shelf.fresh(self._new, inputs=self.model, outputs=shown, **streams)
        self.shelf.open(self._visit, inputs=self.model, outputs=[*shown, self.model], **streams).then(
            self._tune, outputs=self.sampling.components, **quiet
        )
        self.view.pick(self._pick, outputs=self.panel, trigger_mode="multiple", **quiet)
        self.view.unpick(self._unpick, outputs=self.panel, **quiet)
        self.view.example(self._take, outputs=self.message, **quiet)
        self.sampling.wire(self._tuned, self.view.reseed, **quiet)

    # --- arriving and leaving -----------------------------------------------------------------------------------

    def _checkpoints(self) -> dict[str, Checkpoint]:
        return {record.name: record for record in self._source.checkpoints()}

    def _names(self) -> list[str]:
        return [name for name, record in self._checkpoints().items() if not record.problem]

    def _arrive(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A page was loaded: whose it is, what can be talked to, and how the controls stand."""
        page, owner = str(request.session_hash), self._visitors.of(request)
        tab = self._tabs.arrive(page, owner, str(event.key), bool(event.left))
        if not tab.wanted and not (tab.talk is not None and tab.talk.busy):
            tab.wanted = str(event.conversation)
        name = tab.talk.name if tab.talk is not None else self._held_with(owner, tab.wanted)
        names = self._names()
        chosen = name if name in names else next(iter(names), None)
        tab.tuned = chosen
        wide = int(event.width) > 900
        return [page, gr.Dropdown(names, value=chosen), gr.Accordion(open=wide), *self.sampling.preferred(chosen)]

    def _held_with(self, owner: str, conversation: str) -> str | None:
        try:
            return self._shelf.checkpoint(owner, conversation) if conversation else None
        except SeqdemoError:
            return None  # said when the conversation itself is opened

    def _leave(self, request: gr.Request) -> None:
        """The page is gone: nothing goes on working for it."""
        self._tabs.leave(str(request.session_hash))

    def _tab(self, request: gr.Request) -> Tab | None:
        return self._tabs.at(str(request.session_hash), self._visitors.of(request))

    def _choose(self, request: gr.Request, name: str | None) -> list[Any]:
        if (tab := self._tab(request)) is not None:
            tab.turn()
            tab.tuned = name
        return self.sampling.preferred(name)

    def _tune(self, request: gr.Request) -> list[Any]:
        """The controls as the checkpoint on show prefers them, where they were another one's."""
        tab = self._tab(request)
        if tab is None or tab.talk is None or tab.talk.name == tab.tuned:
            return [gr.skip() for _ in self.sampling.components]
        tab.tuned = tab.talk.name
        return self.sampling.preferred(tab.tuned)

    def _tuned(self, request: gr.Request) -> str | None:
        return tab.tuned if (tab := self._tab(request)) is not None else None

    def _owner(self, key: str) -> str:
        tab = self._tabs.keyed(key)
        if tab is None:
            raise SessionError(_GONE)
        return tab.owner

    def _resync(self, key: str) -> str:
        tab = self._tabs.keyed(str(key))
        return encode(whole(tab.talk, tab.key, None)) if tab is not None else ""

    # --- looking at a conversation ------------------------------------------------------------------------------

    def _scene(self, tab: Tab, name: str | None, note: str = "", busy: bool | None = None) -> Update:
        """Everything on show when no reply streams, or when one is about to."""
        talk = tab.talk
        shown = talk.name if talk is not None else name
        if not note and talk is not None and talk.trouble:
            note = notice(talk.trouble, "hint")
        return {
            self.view: encode(whole(talk, tab.key, introduce(self._checkpoints(), name), busy)),
            self.status: status_view(talk, self._loader.loaded(shown) if shown else None),
            self.notice: note,
        }

    async def _open(self, request: gr.Request, name: str | None) -> AsyncIterator[Update]:
        """Show the conversation that is wanted, or a new one; a reply that runs is shown on."""
        tab = self._tab(request)
        if tab is None:
            yield {self.notice: notice(_GONE)}
            return
        talk, wanted = tab.talk, tab.wanted
        tab.wanted = ""
        if talk is not None and talk.reply is not None and talk.busy:
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
            yield self._scene(tab, name, notice(f"Loading {name} …", "progress"))
        try:
            talk = await asyncio.to_thread(self._find, tab.owner, name, conversation if known else "")
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: self._explained(error)}
            return
        if tab.show(talk, turn):
            yield self._scene(tab, name)

    def _find(self, owner: str, name: str, conversation: str) -> Talk:
        return self._shelf.open(owner, conversation) if conversation else self._shelf.fresh(owner, name)

    def _explained(self, error: Exception) -> str:
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the page failed.", exc_info=error)
        if isinstance(error, StaleError):
            return notice(str(error), "error", element("a", "Reload", href=""))
        return notice(explain(error))

    # --- talking ------------------------------------------------------------------------------------------------

    async def _send(self, request: gr.Request, name: str | None, message: str, *held: Any) -> AsyncIterator[Update]:
        if name is None:
            yield {self.notice: notice("There is no model to send this to. Train one first.")}
            return
        if not message:
            yield {self.notice: notice("The message is empty. Write something for the model to go on from.", "hint")}
            return

        def begin(talk: Talk) -> Reply:
            opening, options = self.sampling.read(held)
            return talk.say(message, options, opening)

        async for update in self._respond(request, name, begin, {self.message: ""}):
            yield update

    async def _reply(
        self, request: gr.Request, event: gr.EventData, name: str | None, message: str, *held: Any
    ) -> AsyncIterator[Update]:
        """Another version of the last reply, or more of it."""
        verb = str(event.verb)

        def begin(talk: Talk) -> Reply:
            opening, options = self.sampling.read(held)
            return talk.go_on(options) if verb == "onward" else talk.again(options, opening)

        async for update in self._respond(request, name, begin):
            yield update

    async def _rewrite(
        self, request: gr.Request, event: gr.EventData, name: str | None, message: str, *held: Any
    ) -> AsyncIterator[Update]:
        """Say something else in the place of a message."""
        index, text = int(event.message), str(event.text)

        def begin(talk: Talk) -> Reply | None:
            opening, options = self.sampling.read(held)
            return talk.rewrite(index, text, options, opening)

        async for update in self._respond(request, name, begin):
            yield update

    async def _respond(
        self, request: gr.Request, name: str | None, begin: Callable[[Talk], Reply | None], then: Update | None = None
    ) -> AsyncIterator[Update]:
        """Begin a reply in the conversation on show and follow it. ``then``: what else changes once it has begun."""
        tab = self._tab(request)
        if tab is None:
            yield {self.notice: notice(_GONE)}
            return
        try:
            talk = tab.talk
            if talk is None and name is not None:
                talk = await asyncio.to_thread(self._shelf.fresh, tab.owner, name)
                tab.show(talk, tab.turn())
            if talk is None:
                return
            reply = await asyncio.to_thread(begin, talk)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield self._scene(tab, name, self._explained(error))
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
            window = Window(talk, reply)
            yield self._scene(tab, talk.name, busy=True)
            beats = 0
            async for _ in pulses(reply):
                finished = reply.finished
                if tab.talk is not talk:
                    return
                update: Update = {self.view: encode(window.update(finished))}
                if finished or beats % _BEATS_PER_STATUS == 0:
                    update[self.status] = status_view(talk, self._loader.loaded(talk.name))
                if finished:
                    update[self.notice] = self._explained(reply.error) if reply.error is not None else ""
                beats += 1
                yield update

    def _stop(self, request: gr.Request) -> None:
        """Stop the work itself; the reply then ends by itself on the page."""
        if (tab := self._tab(request)) is not None:
            tab.cancel()

    def _undo(self, request: gr.Request) -> Update:
        said: list[str] = []
        update = self._move(request, lambda talk: said.append(talk.undo()))
        return {**update, self.message: said[0]} if said else update

    def _select(self, request: gr.Request, event: gr.EventData) -> Update:
        """Show another version of a message."""
        return self._move(request, lambda talk: talk.select(int(event.message), int(event.by)))

    def _move(self, request: gr.Request, how: Callable[[Talk], object]) -> Update:
        """Stand elsewhere in the conversation on show."""
        tab = self._tab(request)
        if tab is None or tab.talk is None:
            return {self.notice: notice(_GONE)}
        try:
            how(tab.talk)
        except SeqdemoError as error:
            return {self.notice: self._explained(error)}
        return self._scene(tab, tab.talk.name)

    async def _fork(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Go on with a copy of the conversation up to a message."""
        tab = self._tab(request)
        if tab is None or tab.talk is None:
            yield {self.notice: notice(_GONE)}
            return
        try:
            made = await asyncio.to_thread(self._shelf.fork, tab.owner, tab.talk, int(event.message))
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: self._explained(error)}
            return
        if tab.show(made, tab.turn()):
            yield self._scene(
                tab, made.name, notice("This is a new conversation; the other one stays as it was.", "hint")
            )

    async def _new(self, request: gr.Request, name: str | None) -> AsyncIterator[Update]:
        tab = self._tab(request)
        if tab is None:
            yield {self.notice: notice(_GONE)}
            return
        async for update in self._turn(tab, name):
            yield update

    async def _visit(self, request: gr.Request, name: str | None, event: gr.EventData) -> AsyncIterator[Update]:
        """Open a conversation of the list, and choose the checkpoint it was held with."""
        tab = self._tab(request)
        if tab is None:
            yield {self.notice: notice(_GONE)}
            return
        async for update in self._turn(tab, name, str(event.conversation)):
            yield update
        if tab.talk is not None and not tab.talk.trouble and tab.talk.name != name:
            yield {self.model: tab.talk.name}

    def _take(self, event: gr.EventData) -> str:
        return str(event.text)

    # --- looking inside -----------------------------------------------------------------------------------------

    def _pick(self, event: gr.EventData, request: gr.Request) -> Any:
        tab = self._tab(request)
        if tab is None or not tab.newest(float(event.at)):
            return gr.skip()
        talk = tab.talk
        return token_view(talk.token(int(event.message), int(event.token)) if talk is not None else None)

    def _unpick(self) -> Any:
        return token_view(None)
