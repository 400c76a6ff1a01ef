"""The Plugins tab: what was found, what failed and why, and a button that looks again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError

from .markup import Markup, element
from .source import Source
from .status import notice

__all__ = ["plugins_tab", "plugins_view"]

_HEALTH = {"ok": "works", "slow": "works, slow to list", "warning": "works, with a warning", "failed": "failed"}


def _records(plugin: Any) -> Markup:
    found = [(kind, names) for kind, names in plugin.records.items() if names]
    if not found:
        return element("p", "It announces nothing.", class_="sd-hint")
    rows = [element("div", element("dt", kind), element("dd", ", ".join(names))) for kind, names in found]
    return element("dl", *rows, class_="sd-records")


def _problem(problem: Any, tracebacks: bool) -> Markup:
    head = element("p", element("b", f"{problem.phase}: "), problem.message)
    if not (problem.traceback and tracebacks):
        return element("li", head)
    return element("li", head, element("details", element("summary", "Traceback"), element("pre", problem.traceback)))


def plugins_view(plugins: Sequence[Any], tracebacks: bool = True) -> Markup:
    """One card for each plugin, those that failed first.

    Args:
        tracebacks: show them; only where nobody but the owner of the machine sees the page.
    """
    cards = []
    for plugin in sorted(plugins, key=lambda plugin: plugin.health != "failed"):
        title = element("h3", plugin.name, element("span", f"{plugin.distribution} {plugin.version}".strip()))
        health = element("span", _HEALTH.get(plugin.health, plugin.health), class_=f"sd-health sd-{plugin.health}")
        parts = [element("header", title, health), element("p", plugin.source, class_="sd-hint"), _records(plugin)]
        if plugin.problems:
            parts.append(element("ul", *(_problem(one, tracebacks) for one in plugin.problems), class_="sd-problems"))
        cards.append(element("article", *parts, class_="sd-card"))
    failed = sum(plugin.health == "failed" for plugin in plugins)
    count = f"{len(plugins)} plugin{'s' * (len(plugins) != 1)}"
    line = f"{count}, {failed} failed." if failed else f"{count}, all work."
    return element("div", element("p", line, class_="sd-hint", role="status"), *cards, class_="sd-plugins")


def plugins_tab(demo: gr.Blocks, source: Source, tracebacks: bool = True) -> gr.Button:
    """Build the tab inside the block that is open; the button that scans again."""

    async def show(reload: bool = False) -> Markup:
        try:
            return plugins_view(await asyncio.to_thread(source.plugins, reload), tracebacks)
        except SeqdemoError as error:
            return notice(str(error))

    async def rescan() -> Markup:
        return await show(True)

    with gr.Column(elem_classes=["sd-page"]):
        with gr.Row(elem_classes=["sd-page-head"]):
            gr.HTML(element("h2", "Plugins"), apply_default_css=False, js_on_load=None)
            again = gr.Button("Scan again", elem_id="sd-rescan", size="sm", scale=0)
        listing = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="sd-plugins")
    private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    demo.load(show, outputs=listing, **private)
    again.click(rescan, outputs=listing, **private)
    return again
