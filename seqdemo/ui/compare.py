"""The Compare tab: one message, several models or settings, side by side."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.components.textbox import InputHTMLAttributes

from seqdemo.errors import SeqdemoError

from . import events
from .assets import script
from .columns import Feed, everything, notice, scored
from .comparison import Comparison
from .conversation import encode
from .language import label, suited, words_of
from .loader import Loader
from .reply import pulses
from .sampling import Sampling
from .source import Source
from .tabs import Tab, Tabs
from .talk import explain
from .visitors import Visitors
from .words import PageError, Words

__all__ = ["CompareTab"]

_UPDATES_PER_SECOND = 25
_log = logging.getLogger(__name__)

_TEMPLATE = """
<div class="sd-turns" role="region" data-say-aria-label="compare.view" tabindex="-1"></div>
<p class="sd-notice" role="status" hidden></p>
<div class="sd-announcer sd-hidden" role="status"></div>
"""

Update = dict[Any, Any]


class CompareTab:
    """Columns with a model and settings each, and below them what all were told and each has said.

    One generator follows all replies of a comparison. They run on the engine's turns like any others.
    """

    def __init__(self, source: Source, visitors: Visitors, loader: Loader, tabs: Tabs) -> None:
        self._source = source
        self._visitors = visitors
        self._loader = loader
        self._tabs = tabs
        self._shown: WeakKeyDictionary[Tab, Comparison] = WeakKeyDictionary()
        loader.leaving.append(self._release)
        self._build()
        self._wire()

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        with gr.Column(elem_classes=["sd-compare"]):
            with gr.Row(elem_classes=["sd-compare-heads"]):
                names = (label("compare.first"), label("compare.second"), label("compare.third"))
                made = [self._head(number, name) for number, name in enumerate(names, 1)]
            self.heads = [head for head, _, _ in made]
            self.models = [model for _, model, _ in made]
            self.sampling = [sampling for _, _, sampling in made]
            self.view = gr.HTML(
                value="",
                html_template=_TEMPLATE,
                js_on_load=script("make.js", "compare.js"),
                apply_default_css=False,
                server_functions=self._asked(),
                elem_id="sd-compare",
            )
            with gr.Column(elem_classes=["sd-compare-foot"]):
                with gr.Row(elem_classes=["sd-compare-settings"]):
                    self.count = gr.Radio(
                        [2, 3], value=2, label=label("compare.columns"), elem_id="sd-compare-count", scale=0
                    )
                    self.raw = gr.Checkbox(False, label=label("compare.raw"), elem_id="sd-compare-raw", scale=0)
                with gr.Row(elem_classes=["sd-composer"]):
                    self.message = gr.Textbox(
                        label=label("compare.message"),
                        show_label=False,
                        container=False,
                        placeholder=label("compare.placeholder"),
                        lines=1,
                        max_lines=8,
                        elem_id="sd-compare-input",
                        scale=1,
                        html_attributes=InputHTMLAttributes(enterkeyhint="send", spellcheck=False),
                    )
                    self.send = gr.Button(label("compare.send"), variant="primary", scale=0, elem_id="sd-compare-send")
                    self.stop = gr.Button(label("compare.stop"), variant="stop", scale=0, elem_id="sd-compare-stop")
                    self.fresh = gr.Button(label("compare.fresh"), scale=0, elem_id="sd-compare-new")

    def _head(self, number: int, name: Any) -> tuple[gr.Column, gr.Dropdown, Sampling]:
        """What a column is made with."""
        with gr.Column(visible=number < 3, elem_classes=["sd-compare-head"]) as head:
            model = gr.Dropdown([], label=name, elem_id=f"sd-compare-model-{number}", filterable=True)
            sampling = Sampling(self._source, f"sd-compare-{number}", opened=False, opening=False)
        return head, model, sampling

    def _asked(self) -> list[Callable[[str], str]]:
        def comparison(question: str) -> str:
            """All of it, for a script that missed something."""
            tab = self._tabs.keyed(str(json.loads(question)["key"]))
            return encode(everything(self._shown.get(tab), tab.words)) if tab is not None else encode({})

        return [comparison]

    def _wire(self) -> None:
        quiet, streams = events.quiet(), events.streaming("comparisons")
        controls = [component for sampling in self.sampling for component in sampling.components]
        given = [component for sampling in self.sampling for component in sampling.inputs]
        shown = [self.view, self.message]
        self.view.ready(self._arrive, outputs=[self.count, *self.heads, *self.models, *controls], **quiet).then(
            self._open, outputs=shown, **streams
        )
        self.count.input(self._widen, inputs=self.count, outputs=self.heads, **quiet)
        for model, sampling in zip(self.models, self.sampling, strict=True):
            model.input(sampling.preferred, inputs=model, outputs=sampling.components, **quiet)
            sampling.wire(model, **quiet)
        held = [self.count, self.raw, self.message, *self.models, *given]
        # Gradio ends an event a little after its last update: what is done next must not be passed over.
        sends = [self.send.click, self.message.submit]
        gr.on(sends, self._send, inputs=held, outputs=shown, trigger_mode="multiple", **streams)
        for halted in (self.stop.click, self.view.halt):
            halted(self._halt, queue=False, **quiet)
        self.fresh.click(self._new, outputs=shown, **quiet)
        self.view.keep(self._keep, outputs=self.view, **streams)

    # --- arriving -----------------------------------------------------------------------------------------------

    def _tab(self, request: gr.Request) -> Tab | None:
        return self._tabs.at(str(request.session_hash), self._visitors.of(request))

    def _arrive(self, request: gr.Request) -> list[Any]:
        """What can be compared; after a reload, what was compared and how."""
        names = [record.name for record in self._source.checkpoints() if not record.problem]
        tab = self._tab(request)
        comparison = self._shown.get(tab) if tab is not None else None
        fitting = suited(names, words_of(request))
        wanted = comparison.names if comparison is not None else fitting[:2]
        chosen = [*wanted, *fitting[len(wanted) :], *fitting, None, None, None][: len(self.models)]
        count = len(comparison.names) if comparison is not None else 2
        options = [
            sampling.shown(comparison.options[at])
            if comparison is not None and at < len(comparison.options)
            else sampling.preferred(chosen[at])
            for at, sampling in enumerate(self.sampling)
        ]
        return [
            gr.Radio(value=count),
            *self._widen(count),
            *(gr.Dropdown(names, value=name) for name in chosen),
            *(value for shown in options for value in shown),
        ]

    def _widen(self, count: int) -> list[Any]:
        return [gr.Column(visible=at < int(count)) for at in range(len(self.heads))]

    async def _open(self, request: gr.Request) -> AsyncIterator[Update]:
        """Show the tab's comparison; what still runs is followed."""
        tab = self._tab(request)
        if tab is None:
            yield {self.view: encode(notice(words_of(request)("chat.gone")))}
            return
        comparison = self._shown.get(tab)
        yield {self.view: encode(everything(comparison, tab.words))}
        if comparison is not None and comparison.busy:
            async for update in self._follow(tab, comparison):
                yield update

    def _release(self, checkpoint: str) -> None:
        for comparison in list(self._shown.values()):
            comparison.release(checkpoint)

    # --- asking -------------------------------------------------------------------------------------------------

    async def _send(
        self, request: gr.Request, count: int, raw: bool, message: str, *held: Any
    ) -> AsyncIterator[Update]:
        tab = self._tab(request)
        if tab is None:
            yield {self.view: encode(notice(words_of(request)("chat.gone")))}
            return
        comparison = self._shown.get(tab)
        if comparison is not None and comparison.busy:
            return  # pressed twice
        try:
            names, options = self._chosen(int(count), held)
            if not message:
                raise PageError("compare.empty")
            if comparison is None or comparison.names != names:
                comparison = self._shown[tab] = tab.beside["compare"] = Comparison(names)
                yield {self.view: encode(everything(comparison, tab.words))}
            pipes: dict[str, Any] = {}
            for name in names:
                if self._loader.loaded(name) is None and name not in pipes:
                    yield {self.view: encode(notice(tab.words("compare.loading", name=name), "hint"))}
                if name not in pipes:
                    pipes[name] = await asyncio.to_thread(self._pipe, name)
            await asyncio.to_thread(comparison.say, message, options, [pipes[name] for name in names], bool(raw))
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.view: encode(notice(self._explained(error, tab.words)))}
            return
        yield {self.view: encode(everything(comparison, tab.words)), self.message: ""}
        async for update in self._follow(tab, comparison):
            yield update

    def _chosen(self, count: int, held: Sequence[Any]) -> tuple[list[str], list[dict[str, Any]]]:
        """Models and options of the columns on show.

        Raises:
            PageError: a column has no model.
            ConfigError: an option is not accepted.
        """
        names = list(held[: len(self.models)])[:count]
        if not all(names):
            raise PageError("compare.no_models")
        at, options = len(self.models), []
        for sampling in self.sampling[:count]:
            after = at + len(sampling.inputs)
            options.append(sampling.read(tuple(held[at:after]))[1])
            at = after
        return [str(name) for name in names], options

    def _pipe(self, name: str) -> Any:
        """The pipeline, or why there is none: that ends its columns and no others."""
        try:
            return self._loader.get(name)
        except Exception as error:  # noqa: BLE001 - as above
            return error

    async def _follow(self, tab: Tab, comparison: Comparison) -> AsyncIterator[Update]:
        """Show replies while they grow, then what the models make of them."""
        with tab.looking():
            feed = Feed(comparison)
            async for _ in pulses(comparison, _UPDATES_PER_SECOND):
                if self._shown.get(tab) is not comparison:
                    return
                yield {self.view: encode(feed.update(tab.words))}
            yield {self.view: encode(notice(tab.words("compare.judging"), "hint"))}
            trouble = ""
            try:
                await asyncio.to_thread(comparison.judge)
            except Exception as error:  # noqa: BLE001 - shown to the user as a line
                trouble = self._explained(error, tab.words)
            if self._shown.get(tab) is comparison:
                yield {self.view: encode(scored(comparison, tab.words, trouble))}

    def _halt(self, request: gr.Request) -> None:
        """Stop the work itself; the replies then end by themselves on the page."""
        tab = self._tab(request)
        if tab is not None and (comparison := self._shown.get(tab)) is not None:
            comparison.cancel()

    def _new(self, request: gr.Request) -> Update:
        """Begin again, with nothing said."""
        tab = self._tab(request)
        if tab is None:
            return {self.view: encode(notice(words_of(request)("chat.gone")))}
        if (comparison := self._shown.pop(tab, None)) is not None:
            comparison.cancel()
        return {self.view: encode(everything(None, tab.words))}

    async def _keep(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[str]:
        """Turn a column into a conversation of the chat."""
        tab = self._tab(request)
        if tab is None:
            yield encode(notice(words_of(request)("chat.gone")))
            return
        column, comparison = int(event.column), self._shown.get(tab)
        try:
            if comparison is None or not 0 <= column < len(comparison.names):
                raise PageError("compare.not_kept")
            pipe = await asyncio.to_thread(self._loader.get, comparison.names[column])
            made = await asyncio.to_thread(comparison.keep, column, pipe, self._source.database(), tab.owner)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield encode(notice(self._explained(error, tab.words)))
            return
        yield encode(notice(tab.words("compare.kept"), "hint") | {"column": column, "conversation": made})

    def _explained(self, error: Exception, words: Words) -> str:
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the page failed.", exc_info=error)
        return explain(error, words)
