"""The Chat tab."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from gradio.components.textbox import InputHTMLAttributes

from . import events
from .assets import script
from .colours import colours
from .conversation import conversation
from .inspector import inspector, token_view
from .language import label, suited, words_of
from .loader import Loader
from .reply import Reply
from .sampling import Sampling
from .sidebar import sidebar
from .source import Source
from .stage import Stage, Update
from .status import notice, status
from .tabs import Tab
from .talk import Talk
from .travel import travel
from .visitors import Visitors
from .words import PageError

__all__ = ["ChatTab"]

_SENDING = "(...given) => { document.dispatchEvent(new Event('seqdemo:sending')); return given; }"
_SENT = "() => void document.dispatchEvent(new Event('seqdemo:sent'))"


class ChatTab(Stage):
    """Talk to any generator: the components, and what happens when they are used."""

    def __init__(self, demo: gr.Blocks, source: Source, visitors: Visitors, loader: Loader) -> None:
        super().__init__(source, visitors, loader)
        self._build()
        self._wire(demo)

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        # No bound method: gradio copies the page's layout, and what that holds, for each visit.
        self.page = gr.State("", delete_callback=lambda page: self.tabs.drop(page))
        with gr.Row(elem_classes=["sd-chat"]):
            self.shelf = sidebar(self._owner, self._shelf, self.names)
            with gr.Column(elem_classes=["sd-main"]):
                with gr.Row(elem_classes=["sd-top"]):
                    self.model = gr.Dropdown(
                        [], label=label("chat.model"), container=False, elem_id="sd-model", scale=1, filterable=True
                    )
                with gr.Row(elem_classes=["sd-lens"]):
                    colours()
                    self.map = travel(self._keyed)
                self.view = conversation(self._resync, self._earlier, self._text, self._seen)
                self.notice = gr.HTML("", apply_default_css=False, js_on_load=script("again.js"), elem_id="sd-notice")
                with gr.Row(elem_classes=["sd-composer"]):
                    self.message = gr.Textbox(
                        label=label("chat.message"),
                        show_label=False,
                        container=False,
                        placeholder=label("chat.placeholder"),
                        lines=1,
                        max_lines=8,
                        autofocus=True,
                        elem_id="sd-input",
                        scale=1,
                        html_attributes=InputHTMLAttributes(enterkeyhint="send", spellcheck=False),
                    )
                    self.send = gr.Button(
                        label("chat.send"), variant="primary", scale=0, elem_id="sd-send", min_width=88
                    )
                    self.stop = gr.Button(label("chat.stop"), variant="stop", scale=0, elem_id="sd-stop", min_width=88)
                self.status = status()
            with gr.Column(elem_classes=["sd-side"]):
                self.panel = inspector()
                self.sampling = Sampling(self._source)

    def _wire(self, demo: gr.Blocks) -> None:
        quiet, streams = events.quiet(), events.streaming("replies")
        opened = [self.page, self.model, self.sampling.panel, *self.sampling.components]
        # Few: the browser does work for each output of each update.
        shown = [self.view, self.status, self.notice, self.message]
        held = [self.model, self.message, *self.sampling.inputs]
        # The component says when it is there: what a load event sends before that is lost now and then.
        self.view.ready(self._arrive, outputs=opened, **quiet).then(
            self._open, inputs=self.model, outputs=shown, **streams
        )
        demo.unload(self._leave)
        self.model.select(self._choose, inputs=self.model, outputs=self.sampling.components, **quiet).then(
            self._open, inputs=self.model, outputs=shown, **streams
        )
        sent = gr.on(
            [self.send.click, self.message.submit], self._send, inputs=held, outputs=shown, js=_SENDING, **streams
        )
        sent.then(None, js=_SENT, **quiet)
        # Gradio ends an event a little after its last update: what may be done at once again must not be passed over.
        again: dict[str, Any] = {"outputs": shown, "trigger_mode": "multiple", **streams}
        self.view.reply(self._reply, inputs=held, **again)
        self.view.rewrite(self._rewrite, inputs=held, **again)
        self.view.follow(self._join, **again)
        self.view.turn(self._select, **again)
        self.panel.within(self._within, **again)
        self.map.stand(self._stand, **again)
        self.shelf.fresh(self._new, inputs=self.model, **again)
        self.shelf.open(self._visit, inputs=self.model, **{**again, "outputs": [*shown, self.model]}).then(
            self._tune, outputs=self.sampling.components, **quiet
        )
        self.view.fork(self._fork, outputs=shown, **streams)
        self.view.undo(self._undo, outputs=shown, **streams)
        self.panel.instead(self._instead, inputs=held, outputs=shown, **streams)
        for halted in (self.stop.click, self.view.halt):
            halted(self._stop, queue=False, **quiet)
        # One after the other, so that no answer to an earlier choice comes last.
        looks: dict[str, Any] = {"outputs": self.panel, "trigger_mode": "multiple", "concurrency_id": "looks", **quiet}
        self.view.pick(self._pick, **looks)
        self.view.unpick(self._unpick, **looks)
        self.view.example(self._take, outputs=self.message, **quiet)
        self.sampling.wire(self._tuned, self.view.reseed, **quiet)

    # --- arriving and leaving -----------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """What can be talked to."""
        return [name for name, record in self._checkpoints().items() if not record.problem]

    def _arrive(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A page was loaded: whose it is, what can be talked to, and how the controls stand."""
        page, owner = str(request.session_hash), self._visitors.of(request)
        tab = self.tabs.arrive(page, owner, str(event.key), bool(event.left), words_of(request))
        if not tab.wanted and not (tab.talk is not None and tab.talk.busy):
            tab.wanted = str(event.conversation)
        name = tab.talk.name if tab.talk is not None else self._held_with(owner, tab.wanted)
        names = self.names()
        chosen = name if name in names else next(iter(suited(names, words_of(request))), None)
        tab.tuned = chosen
        wide = int(event.width) > 900
        return [page, gr.Dropdown(names, value=chosen), gr.Accordion(open=wide), *self.sampling.preferred(chosen)]

    def _leave(self, request: gr.Request) -> None:
        """The page is gone: nothing goes on working for it."""
        self.tabs.leave(str(request.session_hash))

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

    def _keyed(self, key: str) -> Tab:
        tab = self.tabs.keyed(key)
        if tab is None:
            raise PageError("chat.gone")
        return tab

    def _owner(self, key: str) -> str:
        return self._keyed(key).owner

    # --- talking ------------------------------------------------------------------------------------------------

    async def _send(self, request: gr.Request, name: str | None, message: str, *held: Any) -> AsyncIterator[Update]:
        if name is None:
            yield {self.notice: notice(words_of(request)("chat.no_model"))}
            return
        if not message:
            yield {self.notice: notice(words_of(request)("chat.empty"), "hint")}
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
        tab, verb = self._tab(request), str(event.verb)
        if tab is not None and tab.talk is not None and tab.talk.busy:
            return  # pressed twice

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

    async def _instead(
        self, request: gr.Request, event: gr.EventData, name: str | None, message: str, *held: Any
    ) -> AsyncIterator[Update]:
        """Go on from another token than the one that stands there."""
        index, token, other = int(event.message), int(event.token), int(event.other)

        def begin(talk: Talk) -> Reply | None:
            _, options = self.sampling.read(held)
            return talk.instead(index, token, other, options)

        async for update in self._respond(request, name, begin):
            yield update

    def _stop(self, request: gr.Request) -> None:
        """Stop the work itself; the reply then ends by itself on the page."""
        if (tab := self._tab(request)) is not None:
            tab.cancel()

    async def _undo(self, request: gr.Request) -> AsyncIterator[Update]:
        said: list[str] = []
        async for update in self._move(request, lambda talk: said.append(talk.undo()), lambda: {self.message: said[0]}):
            yield update

    async def _select(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Show another version of a message."""
        message, by = int(event.message), int(event.by)
        async for update in self._move(request, lambda talk: talk.select(message, by)):
            yield update

    async def _stand(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Stand at a node of the map."""
        node = int(event.node)
        async for update in self._move(request, lambda talk: talk.stand(node)):
            yield update

    async def _within(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Stand within a reply."""
        message, token = int(event.message), int(event.token)
        async for update in self._move(request, lambda talk: talk.stand_after(message, token)):
            yield update

    async def _fork(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Go on with a copy of the conversation up to a message."""
        tab = self._tab(request)
        if tab is None or tab.talk is None:
            yield self._gone(request)
            return
        try:
            made = await asyncio.to_thread(self._shelf.fork, tab.owner, tab.talk, int(event.message))
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: self._explained(error, tab.words)}
            return
        if tab.show(made, tab.turn()):
            yield self._scene(tab, made.name, notice(tab.words("chat.forked"), "hint"))

    async def _new(self, request: gr.Request, name: str | None) -> AsyncIterator[Update]:
        tab = self._tab(request)
        if tab is None:
            yield self._gone(request)
            return
        async for update in self._turn(tab, name):
            yield update

    async def _visit(self, request: gr.Request, name: str | None, event: gr.EventData) -> AsyncIterator[Update]:
        """Open a conversation of the list, and choose the checkpoint it was held with."""
        tab = self._tab(request)
        if tab is None:
            yield self._gone(request)
            return
        async for update in self._turn(tab, name, str(event.conversation)):
            yield update
        if tab.talk is not None and not tab.talk.trouble and tab.talk.name != name:
            yield {self.model: gr.Dropdown(self.names(), value=tab.talk.name)}

    def _take(self, event: gr.EventData) -> str:
        return str(event.text)

    # --- looking inside -----------------------------------------------------------------------------------------

    def _pick(self, event: gr.EventData, request: gr.Request) -> Any:
        tab = self._tab(request)
        if tab is None or not tab.newest(float(event.at)):
            return gr.skip()
        talk, place = tab.talk, (int(event.message), int(event.token))
        return token_view(talk.token(*place) if talk is not None else None, tab.words, place)

    def _unpick(self, request: gr.Request) -> Any:
        return token_view(None, words_of(request))
