"""The list of a visitor's conversations. Its script asks for it when it needs it, so no event carries it along."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError, SessionError

from .assets import asset
from .conversation import encode
from .shelf import Shelf
from .talk import explain

__all__ = ["answer", "sidebar"]

_log = logging.getLogger(__name__)

_TEMPLATE = """
<div class="sd-handles">
  <button type="button" class="sd-handle" data-do="drawer" aria-label="Conversations" aria-expanded="false">☰</button>
  <button type="button" class="sd-handle" data-do="fresh" aria-label="New chat">＋</button>
</div>
<div class="sd-scrim"></div>
<nav class="sd-shelf" aria-label="Conversations">
  <button type="button" class="sd-new" data-do="fresh">New chat</button>
  <input class="sd-search" type="search" placeholder="Search" aria-label="Search conversations" maxlength="200">
  <div class="sd-list"></div>
  <div class="sd-toast" role="status"></div>
  <button type="button" class="sd-deleted" data-do="deleted" aria-pressed="false">Deleted</button>
</nav>
"""


def sidebar(owner: Callable[[str], str], shelf: Shelf) -> gr.HTML:
    """The component. It triggers ``open`` (conversation) and ``fresh``.

    Args:
        owner: a tab's key -> the visitor.
        shelf: where conversations are kept.
    """

    def ask(question: str) -> str:
        return encode(answer(owner, shelf, json.loads(question)))

    ask.__name__ = "ask"
    return gr.HTML(
        value="",
        html_template=_TEMPLATE,
        js_on_load=asset("sidebar.js"),
        apply_default_css=False,
        server_functions=[ask],
        elem_id="sd-sidebar",
    )


def answer(owner: Callable[[str], str], shelf: Shelf, question: dict[str, Any]) -> dict[str, Any]:
    """Do what the script asks for, and list what there is then.

    Args:
        question: ``key`` of the tab, ``query``, ``hidden`` to list what was deleted; ``verb`` with ``conversation``
            and ``value`` to change something first.
    """
    problem = ""
    try:
        visitor = owner(str(question["key"]))
        try:
            if question.get("verb"):
                _change(shelf, visitor, question)
        except SessionError as error:
            problem = str(error)
        found = shelf.list(visitor, str(question.get("query", "")), bool(question.get("hidden")))
    except Exception as error:  # noqa: BLE001 - shown to the user as a line
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the page failed.", exc_info=error)
        return {"items": [], "problem": explain(error)}
    items = [
        {
            "id": one.id,
            "title": one.title,
            "checkpoint": one.checkpoint,
            "pinned": one.pinned,
            "changed": one.changed,
            "found": one.found,
        }
        for one in found
    ]
    return {"items": items, "problem": problem}


def _change(shelf: Shelf, visitor: str, question: dict[str, Any]) -> None:
    conversation, value = str(question["conversation"]), question.get("value")
    verbs: dict[str, Callable[[], None]] = {
        "rename": lambda: shelf.conversations.rename(visitor, conversation, str(value)),
        "pin": lambda: shelf.conversations.pin(visitor, conversation, bool(value)),
        "delete": lambda: shelf.conversations.delete(visitor, conversation),
        "restore": lambda: shelf.conversations.restore(visitor, conversation),
        "purge": lambda: shelf.purge(visitor, conversation),
    }
    verbs[str(question["verb"])]()
