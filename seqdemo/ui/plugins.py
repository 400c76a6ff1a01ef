"""The Plugins tab: what was found, what failed and why, and a button that looks again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError

from . import events
from .language import heading, label, words_of
from .markup import Markup, element
from .source import Source
from .status import notice
from .visitors import Visitors
from .words import ENGLISH, Words

__all__ = ["plugins_tab", "plugins_view"]


_HEALTH = {
    "ok": "plugins.ok",
    "slow": "plugins.slow",
    "warning": "plugins.warning",
    "failed": "plugins.failed",
}
_KINDS = {
    "models": "plugins.kind.models",
    "tokenizers": "plugins.kind.tokenizers",
    "tasks": "plugins.kind.tasks",
    "loaders": "plugins.kind.loaders",
    "steppers": "plugins.kind.steppers",
}


def _records(plugin: Any, words: Words) -> Markup:
    found = [(kind, names) for kind, names in plugin.records.items() if names]
    if not found:
        return element("p", words("plugins.nothing"), class_="sd-hint")
    rows = [
        element("div", element("dt", words(_KINDS[kind]) if kind in _KINDS else kind), element("dd", ", ".join(names)))
        for kind, names in found
    ]
    return element("dl", *rows, class_="sd-records")


def _problem(problem: Any, inside: bool, words: Words) -> Markup:
    head = element("p", element("b", f"{problem.phase}: "), problem.message)
    if not (problem.traceback and inside):
        return element("li", head)
    traceback = element("details", element("summary", words("plugins.traceback")), element("pre", problem.traceback))
    return element("li", head, traceback)


def plugins_view(plugins: Sequence[Any], inside: bool = True, words: Words = ENGLISH) -> Markup:
    """One card for each plugin, those that failed first.

    Args:
        inside: show tracebacks and folders; only to those who may see the inside of the server.
        words: the texts of the reader's language.
    """
    cards = []
    for plugin in sorted(plugins, key=lambda plugin: plugin.health != "failed"):
        title = element("h3", plugin.name, element("span", f"{plugin.distribution} {plugin.version}".strip()))
        state = words(_HEALTH[plugin.health])
        parts = [element("header", title, element("span", state, class_=f"sd-health sd-{plugin.health}"))]
        if inside:
            parts.append(element("p", plugin.source, class_="sd-hint"))
        parts.append(_records(plugin, words))
        if plugin.slow:
            parts.append(element("p", words("plugins.imports", names=", ".join(plugin.slow)), class_="sd-hint"))
        if plugin.problems:
            problems = (_problem(one, inside, words) for one in plugin.problems)
            parts.append(element("ul", *problems, class_="sd-problems"))
        cards.append(element("article", *parts, class_="sd-card"))
    failed = sum(plugin.health == "failed" for plugin in plugins)
    line = words.count("plugins.some_failed" if failed else "plugins.all_work", len(plugins), failed=failed)
    return element("div", element("p", line, class_="sd-hint", role="status"), *cards, class_="sd-plugins")


def plugins_tab(demo: gr.Blocks, source: Source, visitors: Visitors) -> None:
    """Build the tab inside the block that is open."""

    async def show(request: gr.Request, reload: bool = False) -> Markup:
        words, admin = words_of(request), visitors.admin(request)
        if reload and not admin:
            return notice(words("plugins.not_here"))
        try:
            return plugins_view(await asyncio.to_thread(source.plugins, reload), admin, words)
        except SeqdemoError as error:
            return notice(str(error))

    async def arrive(request: gr.Request) -> tuple[Markup, Any]:
        return await show(request), gr.Button(interactive=visitors.admin(request))

    async def rescan(request: gr.Request) -> Markup:
        return await show(request, True)

    with gr.Column(elem_classes=["sd-page"]):
        with gr.Row(elem_classes=["sd-page-head"]):
            gr.HTML(heading("h2", "plugins.title"), apply_default_css=False, js_on_load=None)
            again = gr.Button(label("plugins.again"), elem_id="sd-rescan", size="sm", scale=0)
        listing = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="sd-plugins")
    private = events.quiet()
    demo.load(arrive, outputs=[listing, again], **private)
    again.click(rescan, outputs=listing, **private)
