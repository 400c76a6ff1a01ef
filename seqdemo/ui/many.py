"""Many inputs at once: pasted or from a file, with progress, a table and a download."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from seqdemo.plugin import Result

from .assets import script
from .batch import Batch, Desk
from .language import label, words_of
from .markup import Markup, element, join
from .sheet import ENDINGS, Sheet, cells, columns_of, lines, read
from .status import notice
from .talk import explain
from .visitors import Visitors
from .words import PageError, Words

__all__ = ["Many"]

_UPDATES_PER_SECOND = 3
_ROWS = 20
"""Rows of a page of the table."""
_LONG = 300
"""Characters of a text that the table shows."""
_HEADS = {
    "label": "batch.label",
    "probability": "batch.probability",
    "translation": "batch.translation",
    "score": "batch.score",
    "result": "batch.result",
}

Update = dict[Any, Any]
Prepared = tuple[str, Any, str | None, dict[str, Any]]


class Many:
    """The part of a tab for many inputs, built inside the block that is open.

    Args:
        prefix: the element ids of everything in it begin with.
        visitors: tells whose work it is.
        prepared: what the components given to :meth:`wire` hold -> the checkpoint's name, what opens it, the column of
            its texts (None where an input is more than a text), and validated options.
    """

    def __init__(self, prefix: str, visitors: Visitors, prepared: Callable[[tuple[Any, ...]], Prepared]) -> None:
        self._visitors = visitors
        self._prepared = prepared
        self._desk = Desk()
        self.paste = gr.Textbox(
            label=label("batch.paste"),
            info=label("batch.paste_info"),
            lines=6,
            max_lines=6,
            elem_id=f"{prefix}-paste",
            elem_classes=["sd-paste"],
        )
        self.file = gr.File(
            label=label("batch.file"),
            file_types=list(ENDINGS),
            type="filepath",
            height=140,
            elem_id=f"{prefix}-file",
            elem_classes=["sd-file"],
        )
        self.column = gr.Dropdown(
            [], label=label("batch.column"), visible=False, elem_id=f"{prefix}-column", elem_classes=["sd-column"]
        )
        with gr.Row(elem_classes=["sd-batch-row"]):
            self.start = gr.Button(label("batch.start"), variant="primary", scale=0, elem_id=f"{prefix}-start")
            self.stop = gr.Button(label("batch.stop"), variant="stop", scale=0, visible=False, elem_id=f"{prefix}-stop")
            csv: Any = label("batch.csv")
            jsonl: Any = label("batch.jsonl")
            self.csv = gr.DownloadButton(csv, scale=0, visible=False, elem_id=f"{prefix}-csv")
            self.jsonl = gr.DownloadButton(jsonl, scale=0, visible=False, elem_id=f"{prefix}-jsonl")
        self.news = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id=f"{prefix}-news")
        self.table = gr.HTML(
            "",
            html_template="${value}",
            js_on_load=script("pager.js"),
            apply_default_css=False,
            elem_id=f"{prefix}-table",
        )

    def wire(self, demo: gr.Blocks, held: Sequence[Any], quiet: dict[str, Any], streams: dict[str, Any]) -> None:
        """Make it work.

        Args:
            held: components that say what to work with.
            quiet, streams: arguments of events that answer at once, and of those that go on.
        """
        shown = [self.news, self.table, self.start, self.stop, self.csv, self.jsonl]
        gr.on(
            [self.file.upload, self.file.clear],
            self._look,
            inputs=[self.file, *held],
            outputs=[self.paste, self.column, self.news],
            **quiet,
        )
        # Gradio ends an event a little after its last update: a start that follows at once must not be passed over.
        given = [self.paste, self.file, self.column, *held]
        self.start.click(self._start, inputs=given, outputs=shown, trigger_mode="multiple", **streams)
        self.stop.click(self._stop, queue=False, **quiet)
        self.table.turn(self._page, outputs=self.table, **quiet)
        demo.load(self._resume, outputs=shown, **streams)

    # --- what comes in ------------------------------------------------------------------------------------------

    async def _look(self, request: gr.Request, file: str | None, *held: Any) -> Update:
        """A file was chosen or taken away: its columns."""
        words = words_of(request)
        if file is None:
            return {self.paste: gr.Textbox(visible=True), self.column: gr.Dropdown(visible=False), self.news: ""}
        try:
            wanted = self._prepared(held)[2]
            sheet = await asyncio.to_thread(read, Path(file))
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            return {
                self.paste: gr.Textbox(visible=True),
                self.column: gr.Dropdown(visible=False),
                self.news: notice(explain(error, words)),
            }
        names = list(sheet.columns)
        chosen = wanted if wanted in names else names[0] if len(names) == 1 else None
        said = words.count("batch.rows", len(sheet.rows), name=Path(file).name)
        if names and chosen is None and wanted is not None:
            said += " " + words("batch.no_column", column=wanted)
        return {
            self.paste: gr.Textbox(visible=False),
            self.column: gr.Dropdown(names, value=chosen, visible=bool(names) and wanted is not None),
            self.news: notice(said, "hint"),
        }

    def _sheet(self, paste: str, file: str | None) -> Sheet:
        return read(Path(file)) if file else lines(paste or "")

    # --- work ---------------------------------------------------------------------------------------------------

    async def _start(
        self, request: gr.Request, paste: str, file: str | None, column: str | None, *held: Any
    ) -> AsyncIterator[Update]:
        words, owner = words_of(request), self._visitors.of(request)

        def begin() -> Batch:
            name, opened, wanted, options = self._prepared(held)
            sheet = self._sheet(paste, file)
            if wanted is None and not sheet.columns:
                raise PageError("batch.needs_columns")
            chosen = sheet.chosen(column) if wanted is not None else None
            return self._desk.begin(owner, name, opened, sheet, chosen, options)

        try:
            batch = await asyncio.to_thread(begin)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.news: notice(explain(error, words))}
            return
        async for update in self._follow(batch, words):
            yield update

    async def _resume(self, request: gr.Request) -> AsyncIterator[Update]:
        """A page was loaded: its visitor's work is still there."""
        batch, words = self._desk.at(self._visitors.of(request)), words_of(request)
        if batch is None:
            # A label that gradio translates is lost in a tab that is not on show when the page is loaded.
            yield {self.start: gr.Button(words("batch.start"))}
            return
        async for update in self._follow(batch, words):
            yield update

    async def _follow(self, batch: Batch, words: Words) -> AsyncIterator[Update]:
        """Show work while it goes on. It goes on for a while when nobody looks any more."""
        # A label that gradio translates is lost when its button comes back: these are said in the reader's language.
        hidden = gr.DownloadButton(visible=False)
        yield {
            self.start: gr.Button(words("batch.start"), visible=False),
            self.stop: gr.Button(words("batch.stop"), visible=True),
            self.csv: hidden,
            self.jsonl: hidden,
        }
        with batch.looking():
            while True:
                finished = batch.finished
                yield {self.news: _progress(batch, words), self.table: _table(batch, words)}
                if finished:
                    break
                await asyncio.sleep(1 / _UPDATES_PER_SECOND)
        yield {
            self.start: gr.Button(words("batch.start"), visible=True),
            self.stop: gr.Button(words("batch.stop"), visible=False),
            self.csv: _download(words("batch.csv"), batch.files.get("csv")),
            self.jsonl: _download(words("batch.jsonl"), batch.files.get("jsonl")),
        }

    def _stop(self, request: gr.Request) -> None:
        if (batch := self._desk.at(self._visitors.of(request))) is not None:
            batch.stop()

    def _page(self, request: gr.Request, event: gr.EventData) -> Any:
        batch = self._desk.at(self._visitors.of(request))
        if batch is None:
            return gr.skip()
        batch.page = max(0, int(event.page))
        return _table(batch, words_of(request))


def _download(name: str, path: Path | None) -> Any:
    return gr.DownloadButton(name, value=path, visible=path is not None)


def _progress(batch: Batch, words: Words) -> Markup:
    done, total = len(batch.results), batch.total
    facts = [words("batch.done", done=f"{done:,}", total=f"{total:,}")]
    if done and batch.seconds > 0:
        facts.append(words("batch.speed", speed=f"{done / batch.seconds:,.0f}"))
    if batch.wrong:
        facts.append(words.count("batch.wrong", batch.wrong))
    parts: list[str] = []
    if batch.finished and batch.error is not None:
        parts.append(notice(explain(batch.error, words)))
    elif batch.finished and done < total:
        facts.append(words("batch.stopped"))
    bar = element("span", class_="sd-bar sd-ruled", style=f"width:{100 * done / max(total, 1):.1f}%")
    track = element(
        "span",
        bar,
        class_="sd-track",
        role="progressbar",
        aria_label=words("batch.progress"),
        aria_valuemin=0,
        aria_valuemax=total,
        aria_valuenow=done,
    )
    parts += [track, element("p", " · ".join(facts), class_="sd-hint", role="status" if batch.finished else None)]
    return element("div", *parts, class_="sd-batch-progress")


def _table(batch: Batch, words: Words) -> Markup:
    """One page of what is done."""
    results = batch.results
    if not results:
        return join()
    last = (len(results) - 1) // _ROWS
    page = min(batch.page, last)
    start = page * _ROWS
    names = columns_of(results)
    heads = [words("batch.number"), words("batch.text"), *(words(_HEADS[name]) for name in names)]
    rows = []
    for place, result in enumerate(results[start : start + _ROWS], start):
        text = batch.text(place)
        shown = [element("td", f"{place + 1:,}", class_="sd-number"), element("td", _short(text))]
        if isinstance(result, Result):
            shown += [_cell(cell) for cell in cells(result)]
        else:
            why = result if result is not None else words("batch.blank")
            shown.append(element("td", why, colspan=len(names), class_="sd-wrong" if result else "sd-hint"))
        rows.append(element("tr", *shown))
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in heads)))
    caption = element("caption", words("batch.results"), class_="sd-hidden")
    table = element("div", element("table", caption, head, element("tbody", *rows)), class_="sd-batch-frame")
    return join(table, _pager(page, last, start, len(results), words)) if last else table


def _pager(page: int, last: int, start: int, done: int, words: Words) -> Markup:
    steps = (
        ("«", 0, words("batch.first")),
        ("‹", page - 1, words("batch.before")),
        ("›", page + 1, words("batch.after")),
        ("»", last, words("batch.last")),
    )
    buttons = [
        element(
            "button",
            sign,
            type="button",
            data_page=to,
            aria_label=name,
            disabled=not 0 <= to <= last or to == page,
        )
        for sign, to, name in steps
    ]
    said = words("batch.range", start=f"{start + 1:,}", end=f"{min(start + _ROWS, done):,}", total=f"{done:,}")
    return element(
        "nav", *buttons[:2], element("span", said), *buttons[2:], class_="sd-pager", aria_label=words("batch.pages")
    )


def _cell(value: str | float) -> Markup:
    if isinstance(value, str):
        return element("td", _short(value))
    return element("td", f"{value:.4g}", class_="sd-number")


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
