"""A tab for results of one type: one text and what comes of it, or many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError
from seqdemo.plugin import Options, TaskConfig

from . import events
from .asking import Answer, Asking
from .assets import script
from .kinds import Kind, kind_of, talks, text_column
from .language import label, words_of
from .loader import Loader
from .many import Many
from .markup import Markup, element, join
from .panel import Panel, attempts, plain
from .results import render
from .source import Checkpoint, Source
from .status import notice
from .talk import explain
from .translated import translating
from .visitors import Visitors
from .words import PageError, Words

__all__ = ["AnswerTab"]

_UPDATES_PER_SECOND = 25
_STRANGE = 0.5
"""Share of unknown tokens above which a result is said to mean little."""

Update = dict[Any, Any]


class AnswerTab:
    """Built inside the ``gr.Tabs`` that are open: for every checkpoint whose results are of one kind."""

    def __init__(self, demo: gr.Blocks, source: Source, visitors: Visitors, loader: Loader, kind: Kind) -> None:
        self._source = source
        self._loader = loader
        self._kind = kind
        self._asked: dict[str, Asking] = {}
        configs = [config for config in source.tasks().values() if not talks(config) and kind_of(config) == kind]
        schemas = list(dict.fromkeys(config.options for config in configs))
        self._build(visitors, schemas)
        self._wire(demo)

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self, visitors: Visitors, schemas: list[type[Options]]) -> None:
        prefix = f"sd-{self._kind.id}"
        names = self._built = self._names()
        with (
            gr.Tab(
                self._kind.title, id=self._kind.id, elem_id=f"sd-tab-{self._kind.id}", visible=bool(names)
            ) as self.tab,
            gr.Row(elem_classes=["sd-ask"]),
        ):
            with gr.Column(elem_classes=["sd-ask-main"]):
                self.model = gr.Dropdown(
                    names,
                    label=label("results.model"),
                    container=False,
                    elem_id=f"{prefix}-model",
                    elem_classes=["sd-ask-model"],
                    filterable=True,
                )
                with gr.Tabs(elem_classes=["sd-modes"]):
                    with gr.Tab(label("results.one"), elem_id=f"{prefix}-one"):
                        self._build_one(prefix)
                    with gr.Tab(label("results.many"), elem_id=f"{prefix}-many"):
                        self._many = Many(prefix, visitors, self._prepared)
            with gr.Column(elem_classes=["sd-side", "sd-ask-side"]):
                self.panel = Panel(schemas, prefix)

    def _build_one(self, prefix: str) -> None:
        with gr.Row(elem_classes=["sd-ask-row"]):
            self.text = gr.Textbox(
                label=label("results.text"),
                show_label=False,
                container=False,
                placeholder=label("results.placeholder"),
                lines=2,
                max_lines=12,
                elem_id=f"{prefix}-text",
                elem_classes=["sd-ask-text"],
                scale=1,
            )
            self.go = gr.Button(self._kind.verb, variant="primary", scale=0, min_width=96, elem_id=f"{prefix}-go")
        self.tries = gr.HTML(
            "",
            html_template="${value}",
            js_on_load=script("tries.js"),
            apply_default_css=False,
            elem_id=f"{prefix}-tries",
        )
        self.notice = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id=f"{prefix}-notice")
        self.view = gr.HTML(
            "",
            html_template="${value}",
            js_on_load=script("result.js"),
            apply_default_css=False,
            elem_id=f"{prefix}-view",
            elem_classes=["sd-view"],
        )

    def _wire(self, demo: gr.Blocks) -> None:
        quiet, streams = events.quiet(), events.streaming("answers")
        held = [self.model, self.text, *self.panel.components]
        shown = [self.view, self.notice]
        demo.load(self._arrive, outputs=[self.tab, self.model, self.tries, *self.panel.outputs], **quiet)
        self.model.select(self._choose, inputs=self.model, outputs=[self.tries, *shown, *self.panel.outputs], **quiet)
        # Enter in a text of several lines is a new line; Shift+Enter, like the button, asks.
        # Gradio ends an event a little after its last update; who asks at once again must not be passed over.
        asks = [self.go.click, self.text.submit]
        gr.on(asks, self._ask, inputs=held, outputs=shown, trigger_mode="multiple", **streams)
        self.tries.example(self._take, outputs=self.text, **quiet).then(
            self._ask, inputs=held, outputs=shown, **streams
        )
        self._many.wire(demo, [self.model, *self.panel.components], quiet, streams)

    # --- what there is ------------------------------------------------------------------------------------------

    def _checkpoints(self) -> dict[str, Checkpoint]:
        """Those whose results are of this kind."""
        tasks = self._source.tasks()
        return {
            record.name: record
            for record in self._source.predictors()
            if record.task in tasks and kind_of(tasks[record.task]) == self._kind
        }

    def _names(self) -> list[str]:
        return list(self._checkpoints())

    def _config(self, name: str | None) -> type[TaskConfig] | None:
        return self._config_of(self._checkpoints().get(name or ""))

    def _config_of(self, record: Checkpoint | None) -> type[TaskConfig] | None:
        return self._source.tasks()[record.task] if record is not None else None

    def _arrive(self, request: gr.Request) -> list[Any]:
        """A page was loaded: whether there is a tab, and how it begins."""
        found = self._checkpoints()
        names = list(found)
        chosen = next(iter(names), None)
        same = names == self._built
        tab, model = (gr.skip(), gr.skip()) if same else (gr.Tab(visible=bool(names)), gr.Dropdown(names, value=chosen))
        return [tab, model, *self._begun(found.get(chosen or ""), words_of(request), self.panel.begin)]

    def _choose(self, request: gr.Request, name: str | None) -> list[Any]:
        if (asking := self._asked.get(str(request.session_hash))) is not None:
            asking.cancel()
        tries, *panel = self._begun(self._checkpoints().get(name or ""), words_of(request), self.panel.show)
        return [tries, "", "", *panel]

    def _begun(self, record: Checkpoint | None, words: Words, show: Callable[..., list[Any]]) -> list[Any]:
        """Examples and options of a checkpoint."""
        config = self._config_of(record)
        try:
            preferred = self._source.preferences(record.name) if record is not None else {}
        except SeqdemoError:
            preferred = {}
        return [_tries(record, words), *show(config.options if config else None, preferred)]

    def _take(self, event: gr.EventData) -> str:
        return str(event.text)

    # --- one text -----------------------------------------------------------------------------------------------

    async def _ask(self, request: gr.Request, name: str | None, text: str, *held: Any) -> AsyncIterator[Update]:
        words = words_of(request)
        if not (text or "").strip():
            yield {self.notice: notice(words("results.empty"), "hint")}
            return
        try:
            asking = await asyncio.to_thread(self._begin, name, text, held)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.notice: notice(explain(error, words))}
            return
        page = str(request.session_hash)
        if (before := self._asked.get(page)) is not None:
            before.cancel()
        self._asked[page] = asking
        waits = "results.working" if self._loader.loaded(str(name)) is not None else "results.loading"
        yield {self.view: "", self.notice: notice(words(waits, name=name), "progress")}
        try:
            async for update in self._follow(asking, words, str(name)):
                yield update
        finally:
            asking.cancel()
            if self._asked.get(page) is asking:
                del self._asked[page]

    def _begin(self, name: str | None, text: str, held: tuple[Any, ...]) -> Asking:
        config = self._config(name)
        if config is None or name is None:
            raise PageError("results.no_model")
        values = self.panel.values(config.options, held)
        return Asking(lambda: self._loader.using(name), _row(config, text), attempts(config.options, values))

    async def _follow(self, asking: Asking, words: Words, name: str) -> AsyncIterator[Update]:
        shown = ""
        while not asking.finished and not asking.cancelled:
            if (written := asking.text) != shown:
                shown = written
                yield {self.view: translating(written), self.notice: ""}
            await asyncio.sleep(1 / _UPDATES_PER_SECOND)
        if asking.cancelled:
            return
        if asking.answer is None:
            said = explain(asking.error, words) if asking.error is not None else ""
            yield {self.view: "", self.notice: notice(said)}
        else:
            view = render(asking.answer.result, words)
            yield {self.view: view, self.notice: _remarks(asking.answer, words, name)}

    # --- many ---------------------------------------------------------------------------------------------------

    def _prepared(self, held: tuple[Any, ...]) -> tuple[str, Any, str | None, dict[str, Any]]:
        """For work on many inputs: the checkpoint, what opens it, the column of its texts, and the options."""
        name, *options = held
        config = self._config(name)
        if config is None:
            raise PageError("results.no_model")
        values = plain(config.options, self.panel.values(config.options, options))
        return name, lambda: self._loader.using(name), text_column(config), values


def _tries(record: Checkpoint | None, words: Words) -> Markup:
    """Examples to click, below what the checkpoint is."""
    if record is None:
        return join()
    summary = element("p", record.summary, class_="sd-hint") if record.summary else join()
    buttons = [element("button", text, type="button", class_="sd-example") for text in list(record.examples)[:6]]
    if not buttons:
        return summary
    tries = element("div", *buttons, class_="sd-tries", role="group", aria_label=words("results.examples"))
    return join(summary, tries)


def _remarks(answer: Answer, words: Words, name: str) -> Markup:
    """What is to be known about a result."""
    remarks = []
    if answer.strange > _STRANGE:
        share = f"{answer.strange:.0%}"
        remarks.append(notice(words("results.strange", share=share, name=name), "hint"))
    if answer.without:
        remarks.append(notice(words("results.without", why=answer.without), "hint"))
    return join(*remarks)


def _row(config: type[TaskConfig], text: str) -> Mapping[str, Any]:
    """An input: a text, or a JSON object for a task whose inputs are more than that.

    Raises:
        PageError: it is no JSON object.
    """
    column = text_column(config)
    if column is not None:
        return {column: text}
    names = ", ".join(one.name for one in config.columns if one.role == "input")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PageError("results.json", columns=names)
    return found
