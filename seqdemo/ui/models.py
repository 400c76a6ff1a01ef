"""The Models tab: what is installed and in memory, what it takes, and more of it from a folder or the hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from seqdemo.adding import Offer
from seqdemo.errors import SeqdemoError
from seqdemo.files import home

from . import events
from .assets import script
from .card import card_view
from .inventory import card_text, entries, process_bytes
from .language import heading, label, words_of
from .loader import Loader
from .markup import Markup
from .models_view import models_view, offer_view
from .settings import Settings
from .source import Source
from .status import bytes_text, notice
from .talk import explain
from .visitors import Visitors
from .words import PageError, Words

__all__ = ["ModelsTab"]

_WAITS = (5, 15, 60, 0)
"""Minutes to choose from; 0 is never."""

_log = logging.getLogger(__name__)

Update = dict[Any, Any]


class ModelsTab:
    """Built inside the ``gr.Tabs`` that are open.

    Args:
        source: what is installed, and what adds to it.
        visitors: says who may change anything.
        loader: what is in memory.
        model: the choice of the Chat tab, which offers what was added.
        names: what that one offers.
    """

    def __init__(
        self, source: Source, visitors: Visitors, loader: Loader, model: gr.Dropdown, names: Callable[[], list[str]]
    ) -> None:
        self._source = source
        self._visitors = visitors
        self._loader = loader
        self._model = model
        self._names = names
        self._settings = Settings.read(home())
        loader.patience = self._settings.unload_after * 60
        self._build()
        self._wire()

    # --- layout -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        with (
            gr.Tab(label("page.models"), id="models", elem_id="sd-tab-models") as self.tab,
            gr.Column(elem_classes=["sd-page"]),
        ):
            with gr.Row(elem_classes=["sd-page-head"]):
                gr.HTML(heading("h2", "models.title"), apply_default_css=False, js_on_load=None)
                self.wait = gr.Dropdown(
                    [],
                    label=label("models.unload_after"),
                    interactive=True,
                    filterable=False,
                    scale=0,
                    visible=False,
                    elem_id="sd-unload-after",
                )
            self.news = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="sd-models-news")
            self.listing = gr.HTML(
                "",
                html_template="${value}",
                js_on_load=script("models.js"),
                server_functions=[self._cards()],
                apply_default_css=False,
                elem_id="sd-models",
            )
            with gr.Column(elem_classes=["sd-card", "sd-adding"], visible=False) as self.adding:
                gr.HTML(heading("h3", "models.add_title"), apply_default_css=False, js_on_load=None)
                with gr.Row(elem_classes=["sd-adding-row"]):
                    self.place = gr.Textbox(
                        label=label("models.place"),
                        placeholder=label("models.place_example"),
                        max_lines=1,
                        elem_id="sd-place",
                        scale=1,
                    )
                    self.look = gr.Button(label("models.look"), scale=0, min_width=110, elem_id="sd-look")
                self.offered = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="sd-offer")
                with gr.Row(elem_classes=["sd-adding-row"], visible=False) as self.naming:
                    self.name = gr.Textbox(label=label("models.name"), max_lines=1, elem_id="sd-add-name", scale=1)
                    self.take = gr.Button(
                        label("models.add"), variant="primary", scale=0, min_width=110, elem_id="sd-add"
                    )
            self.offer: Any = gr.State(None)

    def _wire(self) -> None:
        quiet = events.quiet()
        self.tab.select(self._show, outputs=[self.listing, self.news, self.wait, self.adding], **quiet)
        self.listing.act(self._act, outputs=[self.listing, self.news], **quiet)
        self.wait.input(self._set, inputs=self.wait, outputs=self.news, **quiet)
        looked = [self.offered, self.offer, self.naming, self.name]
        gr.on([self.look.click, self.place.submit], self._look, inputs=self.place, outputs=looked, **quiet)
        gr.on(
            [self.take.click, self.name.submit],
            self._add,
            inputs=[self.offer, self.name],
            outputs=[*looked, self.place, self.listing, self.news, self._model],
            **quiet,
        )

    def _cards(self) -> Callable[[str], str]:
        def card(name: str) -> str:
            found = [record for record in self._source.installed() if record.name == name]
            return card_view(card_text(found[0])) if found else ""

        return card

    # --- what there is ------------------------------------------------------------------------------------------

    async def _view(self, request: gr.Request, loading: str = "") -> Markup:
        words, admin = words_of(request), self._visitors.admin(request)
        try:
            found = await asyncio.to_thread(entries, self._source, self._loader)
        except SeqdemoError as error:
            return notice(explain(error, words))
        return models_view(found, process_bytes(), admin, loading, words)

    async def _show(self, request: gr.Request) -> list[Any]:
        words, admin = words_of(request), self._visitors.admin(request)
        waits = sorted({*_WAITS, self._settings.unload_after}, key=lambda minutes: (minutes == 0, minutes))
        choices = [(words.count("models.minutes", round(one)) if one else words("models.never"), one) for one in waits]
        return [
            await self._view(request),
            "" if admin else notice(words("models.not_here"), "hint"),
            gr.Dropdown(choices, value=self._settings.unload_after, visible=admin),
            gr.Column(visible=admin),
        ]

    def _allowed(self, request: gr.Request) -> None:
        if not self._visitors.admin(request):
            raise PageError("models.not_here")

    def _problem(self, error: Exception, words: Words) -> Markup:
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the Models tab failed.", exc_info=error)
        return notice(explain(error, words))

    # --- what can be done ---------------------------------------------------------------------------------------

    async def _act(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[Update]:
        """Load or unload one."""
        words, name = words_of(request), str(event.name)
        news: str = ""
        try:
            self._allowed(request)
            if str(event.verb) == "unload":
                await asyncio.to_thread(self._loader.unload, name)
            else:
                yield {self.listing: await self._view(request, name), self.news: ""}
                await asyncio.to_thread(self._loader.get, name)
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            news = self._problem(error, words)
        yield {self.listing: await self._view(request), self.news: news}

    def _set(self, request: gr.Request, minutes: float) -> str:
        """How long an idle one stays in memory."""
        try:
            self._allowed(request)
            self._settings = Settings(unload_after=minutes)
            self._settings.write(home())
        except SeqdemoError as error:
            return self._problem(error, words_of(request))
        self._loader.patience = self._settings.unload_after * 60
        return ""

    async def _look(self, request: gr.Request, place: str) -> AsyncIterator[Update]:
        """See what there is to add, and how large it is."""
        words = words_of(request)
        nothing: Update = {self.offer: None, self.naming: gr.Row(visible=False)}
        try:
            self._allowed(request)
            if not place.strip():
                raise PageError("models.no_place")
            yield {self.offered: notice(words("models.looking"), "progress"), **nothing}
            found = await asyncio.to_thread(self._source.offer, place.strip())
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.offered: self._problem(error, words), **nothing}
            return
        yield {
            self.offered: offer_view(found, words),
            self.offer: found,
            self.naming: gr.Row(visible=True),
            self.name: found.name,
        }

    async def _add(self, request: gr.Request, chosen: Offer | None, name: str) -> AsyncIterator[Update]:
        """Copy or download what was looked at."""
        words = words_of(request)
        if chosen is None:
            return
        try:
            self._allowed(request)
            size = bytes_text(chosen.nbytes)
            doing = words("models.downloading" if chosen.revision else "models.copying", size=size)
            yield {self.offered: notice(doing, "progress"), self.naming: gr.Row(visible=False)}
            added = await asyncio.to_thread(self._source.add, chosen, name.strip())
        except Exception as error:  # noqa: BLE001 - shown to the user as a line
            yield {self.offered: self._problem(error, words), self.naming: gr.Row(visible=True)}
            return
        yield {
            self.offered: notice(words("models.added", name=added.name), "hint"),
            self.offer: None,
            self.place: "",
            self.listing: await self._view(request),
            self.news: "",
            self._model: gr.Dropdown(choices=self._names()),
        }
