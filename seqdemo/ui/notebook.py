"""The Notebook tab: raw text, gone on with at its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from seqdemo.errors import SeqdemoError, StaleError

from . import events
from .assets import script
from .conversation import encode
from .desk import Desk, Desks
from .language import label, suited, words_of
from .loader import Loader
from .reply import Reply, pulses
from .sampling import Sampling
from .source import Source
from .status import bytes_text
from .tabs import Tab, Tabs
from .talk import explain
from .visitors import Visitors
from .words import PageError, Words

__all__ = ["NotebookTab"]

_OVERLAP = 8
_LONGEST = 4_000_000
_log = logging.getLogger(__name__)
_serial = count(1)

_TEMPLATE = """
<textarea class="sd-paper" data-say-aria-label="notebook.text" data-say-placeholder="notebook.placeholder"
  spellcheck="false" autocomplete="off"></textarea>
<p class="sd-notice" role="status" hidden></p>
<div class="sd-pad-foot">
  <div class="sd-pad-tools">
    <button type="button" class="sd-pad-go" data-do="write" data-say="notebook.generate"
      data-say-aria-label="notebook.generate_name" data-say-title="notebook.generate_name"></button>
    <button type="button" class="sd-pad-stop" data-do="halt" data-say="notebook.stop"
      data-say-aria-label="notebook.stop_name" data-say-title="notebook.stop_name"></button>
    <button type="button" class="sd-tool" data-do="back" data-say="notebook.undo"
      data-say-aria-label="notebook.undo_name" data-say-title="notebook.undo_name" disabled></button>
    <button type="button" class="sd-tool" data-do="forth" data-say="notebook.redo"
      data-say-aria-label="notebook.redo_name" data-say-title="notebook.redo_name" disabled></button>
  </div>
  <div class="sd-pad-facts"></div>
</div>
<div class="sd-announcer sd-hidden" role="status"></div>
"""


class NotebookTab:
    """A text area whose end a model writes. The text is the visitor's, in every tab and after every reload.

    What streams is sent in overlapping windows of tokens, as a conversation's is; the text itself goes to the browser
    when the page is opened or missed something, and comes from it when it was changed.
    """

    def __init__(self, source: Source, visitors: Visitors, loader: Loader, tabs: Tabs) -> None:
        self._source = source
        self._visitors = visitors
        self._loader = loader
        self._tabs = tabs
        self._desks = Desks(source.database)
        self._held: WeakKeyDictionary[Tab, Desk] = WeakKeyDictionary()
        loader.leaving.append(self._desks.release)
        self._build()
        self._wire()

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        with gr.Row(elem_classes=["sd-notebook"]):
            with gr.Column(elem_classes=["sd-pad"]):
                self.model = gr.Dropdown(
                    [], label=label("notebook.model"), container=False, elem_id="sd-pad-model", filterable=True
                )
                self.view = gr.HTML(
                    value="",
                    html_template=_TEMPLATE,
                    js_on_load=script("notebook.js"),
                    apply_default_css=False,
                    server_functions=self._asked(),
                    elem_id="sd-pad",
                )
            with gr.Column(elem_classes=["sd-side"]):
                self.sampling = Sampling(self._source, "sd-pad", opening=False)

    def _wire(self) -> None:
        quiet, streams = events.quiet(), events.streaming("notebooks")
        tuned = [self.sampling.panel, *self.sampling.components]
        self.view.ready(self._arrive, outputs=[self.model, *tuned], **quiet).then(
            self._open, inputs=self.model, outputs=self.view, **streams
        )
        self.model.select(self._choose, inputs=self.model, outputs=self.sampling.components, **quiet).then(
            self._open, inputs=self.model, outputs=self.view, **streams
        )
        held = [self.model, *self.sampling.inputs]
        # Gradio ends an event a little after its last update: what is done next must not be passed over.
        self.view.write(self._write, inputs=held, outputs=self.view, trigger_mode="multiple", **streams)
        self.view.halt(self._halt, queue=False, **quiet)
        self.sampling.wire(self.model, self.view.reseed, **quiet)

    # --- what the script asks for ---------------------------------------------------------------------------------

    def _asked(self) -> list[Callable[[str], str]]:
        def save(question: str) -> str:
            return self._save(question)

        def turn(question: str) -> str:
            return self._turn(question)

        def sheet(question: str) -> str:
            return self._sheet(question)

        return [save, turn, sheet]

    def _save(self, question: str) -> str:
        """Keep a text. The question: ``key`` of the tab, ``revision``, ``text``, ``model``."""
        asked = json.loads(question)
        tab = self._tabs.keyed(str(asked["key"]))
        if tab is None:
            return encode({"gone": True})
        try:
            text = _sound(str(asked["text"]))
            desk = self._desk(tab)
            revision = desk.save(int(asked["revision"]), text)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            return encode(_problem(error, tab.words))
        return encode({"revision": revision, "tokens": _tokens(desk, str(asked["model"]), text, tab.words)})

    def _turn(self, question: str) -> str:
        """Go back or forth, ``verb``, among the texts that were; then the whole notebook."""
        asked = json.loads(question)
        tab = self._tabs.keyed(str(asked["key"]))
        if tab is None:
            return encode({"gone": True})
        desk = self._desk(tab)
        try:
            (desk.back if asked["verb"] == "back" else desk.forth)(int(asked["revision"]))
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            return encode(_problem(error, tab.words))
        return encode(_whole(desk, str(asked["model"]), tab.words))

    def _sheet(self, question: str) -> str:
        """The whole notebook, for a script that missed something."""
        asked = json.loads(question)
        tab = self._tabs.keyed(str(asked["key"]))
        return encode({"gone": True} if tab is None else _whole(self._desk(tab), str(asked["model"]), tab.words))

    # --- arriving -----------------------------------------------------------------------------------------------

    def _tab(self, request: gr.Request) -> Tab | None:
        return self._tabs.at(str(request.session_hash), self._visitors.of(request))

    def _desk(self, tab: Tab) -> Desk:
        """The visitor's, held as long as the tab is."""
        desk = self._held[tab] = self._desks.of(tab.owner)
        return desk

    def _arrive(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        tab = self._tab(request)
        names = [record.name for record in self._source.checkpoints() if not record.problem]
        try:
            held = self._desk(tab).sheet.checkpoint if tab is not None else ""
        except SeqdemoError:
            held = ""  # said when the text itself is shown
        # Raw text is for those that do not answer in turns, and of a dialogue the name tells the language.
        chosen = held if held in names else next(iter(suited(names, None)), None)
        panel = gr.Accordion(open=int(event.width) > 900)
        return [gr.Dropdown(names, value=chosen), panel, *self.sampling.preferred(chosen)]

    def _choose(self, request: gr.Request, name: str | None) -> list[Any]:
        return self.sampling.preferred(name)

    async def _open(self, request: gr.Request, name: str | None) -> AsyncIterator[str]:
        """Show the text at once, and how many tokens it is when the checkpoint is there."""
        tab = self._tab(request)
        if tab is None:
            yield encode(_gone(words_of(request)))
            return
        desk, words = self._desk(tab), tab.words
        try:
            if name and self._loader.loaded(name) is None:
                loading = {"kind": "hint", "text": words("notebook.loading", name=name)}
                yield encode(await asyncio.to_thread(_whole, desk, name, words) | {"notice": loading})
            if name:
                desk.use(name, await asyncio.to_thread(self._loader.get, name))
            yield encode(await asyncio.to_thread(_whole, desk, name or "", words))
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield encode(_problem(error, words))
        if desk.busy and desk.reply is not None:
            async for update in self._follow(tab, desk, desk.reply):
                yield update

    # --- writing ------------------------------------------------------------------------------------------------

    async def _write(
        self, request: gr.Request, event: gr.EventData, name: str | None, *held: Any
    ) -> AsyncIterator[str]:
        """Go on at the end of the text."""
        tab = self._tab(request)
        if tab is None:
            yield encode(_gone(words_of(request)))
            return
        desk, words = self._desk(tab), tab.words
        if (before := tab.beside.get("notebook")) is not None and before.busy:
            return  # pressed twice
        try:
            if name is None:
                raise PageError("chat.no_model")
            _, options = self.sampling.read(held)
            text, revision = _sound(str(event.text)), int(event.revision)
            if self._loader.loaded(name) is None:
                yield encode({"notice": {"kind": "hint", "text": words("notebook.loading", name=name)}})
            pipe = await asyncio.to_thread(self._loader.get, name)
            reply = await asyncio.to_thread(desk.write, name, pipe, revision, text, options)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield encode(_problem(error, words))
            return
        tab.beside["notebook"] = reply
        async for update in self._follow(tab, desk, reply):
            yield update

    async def _follow(self, tab: Tab, desk: Desk, reply: Reply) -> AsyncIterator[str]:
        """Show what is written while it grows."""
        passage, before, tokens = desk.passage, _units(desk.before), reply.message.tokens
        sent: deque[int] = deque([0], maxlen=_OVERLAP)
        with tab.looking():
            async for _ in pulses(reply):
                finished = reply.finished
                start = sent[0]
                texts = [token.text for token in tokens[start:]]
                sent.append(start + len(texts))
                update = {
                    "kind": "more",
                    "serial": next(_serial),
                    "passage": passage,
                    "before": before,
                    "start": start,
                    "tokens": texts,
                    "busy": not finished,
                    "facts": _facts(reply, tab.words),
                }
                if finished:
                    update |= await asyncio.to_thread(_end, desk, reply, tab.words)
                yield encode(update)

    def _halt(self, request: gr.Request) -> None:
        """Stop the work itself; what is written then ends by itself on the page."""
        if (tab := self._tab(request)) is not None:
            self._desk(tab).cancel()


def _sound(text: str) -> str:
    """A text from a browser, whose half characters are none.

    Raises:
        PageError: it is too long.
    """
    if len(text) > _LONGEST:
        raise PageError("notebook.too_long", number=f"{len(text):,}", most=f"{_LONGEST:,}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _units(text: str) -> int:
    """How long a browser says a text is."""
    return len(text.encode("utf-16-le")) // 2


def _tokens(desk: Desk, name: str, text: str, words: Words) -> str:
    number = desk.tokens(name, text)
    return "" if number is None else words.count("notebook.tokens", number)


def _gone(words: Words) -> dict[str, Any]:
    return {"notice": {"kind": "error", "text": words("chat.gone"), "reload": words("chat.reload")}}


def _problem(error: Exception, words: Words) -> dict[str, Any]:
    """What went wrong, as a line."""
    if not isinstance(error, SeqdemoError):
        _log.error("A request of the page failed.", exc_info=error)
    if isinstance(error, StaleError):
        return {"notice": {"kind": "error", "text": words("notebook.stale"), "reload": words("chat.reload")}}
    return {"notice": {"kind": "error", "text": explain(error, words)}}


def _whole(desk: Desk, name: str, words: Words) -> dict[str, Any]:
    """The whole notebook; what is being written has as much as there is of it."""
    reply, sheet = desk.reply, desk.sheet
    running = reply is not None and not reply.finished
    tokens = list(reply.message.tokens) if reply is not None and running else []
    text = desk.before + "".join(token.text for token in tokens) if running else sheet.text
    return {
        "kind": "all",
        "serial": next(_serial),
        "text": text,
        "revision": sheet.revision,
        "passage": desk.passage,
        "written": len(tokens),
        "busy": running,
        "undo": sheet.earlier > 0,
        "redo": sheet.undone > 0,
        "tokens": "" if running else _tokens(desk, name, text, words),
        "facts": [],
        "notice": None,
    }


def _facts(reply: Reply, words: Words) -> list[str]:
    """What is known of a passage, running or not."""
    done, tokens = reply.message.done, len(reply.message.tokens)
    if done is None and not tokens and reply.prefill is not None:
        read, total = f"{reply.prefill.read:,}", f"{reply.prefill.total:,}"
        return [words("notebook.reading", read=read, total=total)]
    facts = [words.count("notebook.generated", tokens)]
    if reply.tokens_per_second:
        facts.append(words("chat.per_second", speed=f"{reply.tokens_per_second:,.0f}"))
    if done is not None:
        facts.insert(0, words.count("notebook.read", done.usage.prompt_tokens))
        if done.usage.state_bytes:
            facts.append(f"{words('chat.state')} {words('chat.constant', size=bytes_text(done.usage.state_bytes))}")
    return facts


def _end(desk: Desk, reply: Reply, words: Words) -> dict[str, Any]:
    """What a page needs to know when nothing more is written."""
    error = reply.error or desk.trouble
    found: dict[str, Any] = {"notice": None}
    if error is not None:
        found |= _problem(error, words)
    done = reply.message.done
    if done is not None:
        found["seed"] = str(done.seed)
        if error is None and done.reason == "end" and not reply.message.content:
            found["notice"] = {"kind": "hint", "text": words("notebook.ended")}
    try:
        sheet = desk.sheet
    except SeqdemoError as trouble:
        return found | _problem(trouble, words)
    return found | {
        "tail": done.text if done is not None else "",
        "units": _units(sheet.text),
        "revision": sheet.revision,
        "undo": sheet.earlier > 0,
        "redo": sheet.undone > 0,
        "count": _tokens(desk, desk.name, sheet.text, words),
    }
