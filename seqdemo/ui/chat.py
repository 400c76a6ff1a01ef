"""The Chat tab."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.textbox import InputHTMLAttributes

from seqdemo.errors import SeqdemoError
from seqdemo.files import home
from seqdemo.plugin import SamplingOptions

from .controls import controls
from .conversation import Intro, Window, conversation, encode, whole
from .inspector import inspector, token_view
from .source import Checkpoint, Loader, Source
from .status import notice, status, status_view
from .talk import Reply, Talk, explain, pulses
from .visitors import Visitor, Visitors

__all__ = ["ChatTab"]

_LISTENERS = 64
_BEATS_PER_STATUS = 5
_log = logging.getLogger(__name__)

_TRAIN = "seqdemo train generation --model lstm --tokenizer char --data my-text.txt --out "

Update = dict[Any, Any]


class ChatTab:
    """Talk to any generator: the components, and what happens when they are used.

    Every handler is given the page's own key (:class:`seqdemo.ui.visitors.Visitors`) first. A reply runs in a thread of
    its own; the handler that shows it is a coroutine, so no worker thread waits with it.
    """

    def __init__(self, demo: gr.Blocks, source: Source) -> None:
        self._source = source
        self._loader = Loader(source)
        self._visitors = Visitors()
        self._build()
        self._wire(demo)

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.page = gr.State("", delete_callback=self._visitors.drop)
        with gr.Row(elem_classes=["sd-chat"]):
            with gr.Column(elem_classes=["sd-main"]):
                with gr.Row(elem_classes=["sd-top"]):
                    self.model = gr.Dropdown(
                        [], label="Model", container=False, elem_id="sd-model", scale=1, filterable=True
                    )
                    self.regenerate = gr.Button("Regenerate", size="sm", scale=0, elem_id="sd-regenerate")
                    self.undo = gr.Button("Undo", size="sm", scale=0, elem_id="sd-undo")
                    self.new = gr.Button("New chat", size="sm", scale=0, elem_id="sd-new")
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
                with gr.Accordion("Sampling", open=True, elem_id="sd-sampling") as self.sampling:
                    self.options = controls(SamplingOptions, exclude=("timeout", "exact"))

    def _wire(self, demo: gr.Blocks) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        # One queue for everything that streams, so that its limit counts listeners, whatever they clicked.
        streams: dict[str, Any] = {**quiet, "concurrency_id": "replies", "concurrency_limit": _LISTENERS}
        opened = [self.page, self.model, self.sampling, *self.options.components]
        # Few: the browser does work for each output of each update.
        shown = [self.view, self.status, self.notice, self.message]
        held = [self.page, self.model, self.message, *self.options.components]
        # The component says when it is there: what a load event sends before that is lost now and then.
        self.view.ready(self._arrive, outputs=opened, **quiet).then(
            self._open, inputs=[self.page, self.model], outputs=shown, **streams
        )
        demo.unload(self._leave)
        self.model.input(self._choose, inputs=[self.page, self.model], outputs=self.options.components, **quiet).then(
            self._open, inputs=[self.page, self.model], outputs=shown, **streams
        )
        gr.on([self.send.click, self.message.submit], self._send, inputs=held, outputs=shown, **streams)
        self.regenerate.click(self._regenerate, inputs=held, outputs=shown, **streams)
        for halted in (self.stop.click, self.view.halt):
            halted(self._stop, inputs=self.page, queue=False, **quiet)
        self.undo.click(self._undo, inputs=[self.page, self.model], outputs=shown, **quiet)
        self.new.click(self._new, inputs=[self.page, self.model], outputs=shown, **quiet)
        self.view.pick(self._pick, inputs=self.page, outputs=self.panel, trigger_mode="multiple", **quiet)
        self.view.unpick(self._unpick, outputs=self.panel, **quiet)
        self.view.example(self._take, outputs=self.message, **quiet)
        seed = next(option.component for option in self.options if option.name == "seed")
        self.view.reseed(self._reseed, outputs=seed, **quiet)

    # --- arriving and leaving -----------------------------------------------------------------------------------

    def _checkpoints(self) -> dict[str, Checkpoint]:
        return {record.name: record for record in self._source.checkpoints()}

    def _arrive(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A page was loaded: whose it is, what can be talked to, and how the controls stand."""
        page = str(request.session_hash)
        visitor = self._visitors.arrive(page, str(event.key), bool(event.left))
        found = self._checkpoints()
        names = [name for name, record in found.items() if not record.problem]
        chosen = (
            visitor.talk.name if visitor.talk is not None and visitor.talk.name in names else next(iter(names), None)
        )
        wide = int(event.width) > 900
        return [page, gr.Dropdown(names, value=chosen), gr.Accordion(open=wide), *self._preferred(chosen)]

    def _leave(self, request: gr.Request) -> None:
        """The page is gone: nothing goes on working for it."""
        self._visitors.leave(str(request.session_hash))

    def _preferred(self, name: str | None) -> list[Any]:
        try:
            return self.options.shown(self._source.preferences(name) if name else {})
        except SeqdemoError:
            return self.options.shown({})

    def _choose(self, page: str, name: str | None) -> list[Any]:
        self._visitors.at(page).cancel()
        return self._preferred(name)

    def _resync(self, key: str) -> str:
        visitor = self._visitors.keyed(str(key))
        return encode(whole(visitor.talk, visitor.key, None)) if visitor is not None else ""

    # --- looking at a conversation ------------------------------------------------------------------------------

    async def _talk(self, visitor: Visitor, name: str) -> Talk:
        """The visitor's conversation with a checkpoint, loaded first if need be."""

        def find() -> Talk:
            pipeline = self._loader.get(name)
            return visitor.begin(name, lambda: Talk(name, pipeline.session()))

        return await asyncio.to_thread(find)

    def _intro(self, name: str | None) -> Intro:
        found = self._checkpoints()
        record = found.get(name or "")
        if record is not None:
            examples = list(record.examples)[:6]
            return Intro(record.name, [record.summary] if record.summary else [], examples=examples)
        if any(not one.problem for one in found.values()):
            return Intro("Choose a model")
        broken = [f"{one.name}: {one.problem}" for one in found.values() if one.problem]
        lines = ["No generator was found. Train one on any text, then reload this page:", *broken]
        folder = str(home() / "checkpoints" / "my-model").replace(str(Path.home()), "~", 1)
        return Intro("Nothing to talk to yet", lines, command=_TRAIN + folder)

    def _scene(
        self, visitor: Visitor, name: str | None, talk: Talk | None, note: str = "", busy: bool = False
    ) -> Update:
        """Everything on show when no reply streams, or when one is about to."""
        return {
            self.view: encode(whole(talk, visitor.key, self._intro(name), busy)),
            self.status: status_view(talk, self._loader.loaded(name) if name else None),
            self.notice: note,
        }

    async def _open(self, page: str, name: str | None) -> AsyncIterator[Update]:
        """Show the conversation with a checkpoint, and load it."""
        visitor = self._visitors.at(page)
        talk = visitor.turn_to(name)
        if talk is not None and name is not None and talk.reply is not None and talk.busy:
            async for update in self._follow(visitor, name, talk, talk.reply):
                yield update
            return
        if name is None or talk is not None:
            yield self._scene(visitor, name, talk)
            return
        yield self._scene(visitor, name, None, notice(f"Loading {name} …", "progress"))
        try:
            talk = await self._talk(visitor, name)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: self._explained(error)}
            return
        if visitor.talk is talk and not talk.messages:
            yield self._scene(visitor, name, talk)

    def _explained(self, error: Exception) -> str:
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the page failed.", exc_info=error)
        return notice(explain(error))

    # --- talking ------------------------------------------------------------------------------------------------

    async def _send(self, page: str, name: str | None, message: str, *held: Any) -> AsyncIterator[Update]:
        if name is None:
            yield {self.notice: notice("There is no model to send this to. Train one first.")}
            return
        if not message:
            yield {self.notice: notice("The message is empty. Write something for the model to go on from.", "hint")}
            return
        async for update in self._respond(page, name, lambda talk: talk.say(message, self.options.values(held))):
            yield update

    async def _regenerate(self, page: str, name: str | None, message: str, *held: Any) -> AsyncIterator[Update]:
        if name is None:
            return
        async for update in self._respond(page, name, lambda talk: talk.again(self.options.values(held)), keep=True):
            yield update

    async def _respond(
        self, page: str, name: str, begin: Callable[[Talk], Reply], keep: bool = False
    ) -> AsyncIterator[Update]:
        """Begin a reply and show it while it grows. ``keep``: leave what is in the message box."""
        visitor = self._visitors.at(page)
        visitor.turn_to(name)
        try:
            if self._loader.loaded(name) is None:
                yield {self.notice: notice(f"Loading {name} …", "progress")}
            talk = await self._talk(visitor, name)
            reply = await asyncio.to_thread(begin, talk)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: self._explained(error)}
            return
        first = {} if keep else {self.message: ""}
        async for update in self._follow(visitor, name, talk, reply):
            yield {**update, **first}
            first = {}

    async def _follow(self, visitor: Visitor, name: str, talk: Talk, reply: Reply) -> AsyncIterator[Update]:
        """Show a reply while it grows. It goes on for a while when nobody looks any more."""
        with visitor.looking():
            window = Window(talk)
            yield self._scene(visitor, name, talk, busy=True)
            beats = 0
            async for _ in pulses(reply):
                finished = reply.finished
                if visitor.talk is not talk:
                    return
                update: Update = {self.view: encode(window.update(finished))}
                if finished or beats % _BEATS_PER_STATUS == 0:
                    update[self.status] = status_view(talk, self._loader.loaded(name))
                if finished:
                    update[self.notice] = self._explained(reply.error) if reply.error is not None else ""
                beats += 1
                yield update

    def _stop(self, page: str) -> None:
        """Stop the work itself; the reply then ends by itself on the page."""
        self._visitors.at(page).cancel()

    def _undo(self, page: str, name: str | None) -> Update:
        visitor = self._visitors.at(page)
        if visitor.talk is None:
            return {}
        try:
            said = visitor.talk.undo()
        except SeqdemoError as error:
            return {self.notice: notice(str(error))}
        return {**self._scene(visitor, name, visitor.talk), self.message: said}

    async def _new(self, page: str, name: str | None) -> Update:
        visitor = self._visitors.at(page)
        if name is None:
            return {}
        visitor.forget(name)
        return self._scene(visitor, name, await self._talk(visitor, name))

    def _take(self, event: gr.EventData) -> str:
        return str(event.text)

    def _reseed(self, event: gr.EventData) -> str:
        return str(event.seed)

    # --- looking inside -----------------------------------------------------------------------------------------

    def _pick(self, page: str, event: gr.EventData) -> Any:
        visitor = self._visitors.at(page)
        if not visitor.newest(float(event.at)):
            return gr.skip()
        talk = visitor.talk
        return token_view(talk.token(int(event.message), int(event.token)) if talk is not None else None)

    def _unpick(self) -> Any:
        return token_view(None)
