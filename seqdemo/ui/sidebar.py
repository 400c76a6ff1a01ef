"""The list of a visitor's conversations. Its script asks for it when it needs it, so no event carries it along."""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError, SessionError

from .assets import script
from .conversation import encode
from .shelf import Shelf
from .talk import explain
from .words import Words, spoken

__all__ = ["answer", "sidebar"]

_log = logging.getLogger(__name__)

_TEMPLATE = """
<div class="sd-handles">
  <button type="button" class="sd-handle" data-do="drawer" data-say-aria-label="sidebar.conversations"
    aria-expanded="false">☰</button>
  <button type="button" class="sd-handle" data-do="fresh" data-say-aria-label="sidebar.fresh">＋</button>
</div>
<div class="sd-scrim"></div>
<nav class="sd-shelf" data-say-aria-label="sidebar.conversations">
  <button type="button" class="sd-new" data-do="fresh" data-say="sidebar.fresh"></button>
  <input class="sd-search" type="search" maxlength="200" data-say-placeholder="sidebar.search"
    data-say-aria-label="sidebar.search_name">
  <div class="sd-list"></div>
  <div class="sd-toast" role="status"></div>
  <div class="sd-foot">
    <button type="button" class="sd-deleted" data-do="deleted" aria-pressed="false" data-say="sidebar.deleted"></button>
    <button type="button" data-do="import" data-say="sidebar.import"
      data-say-aria-label="sidebar.import_name"></button>
    <input type="file" class="sd-file" accept=".safetensors" hidden>
  </div>
</nav>
"""


def sidebar(owner: Callable[[str], str], shelf: Shelf, checkpoints: Callable[[], Iterable[str]]) -> gr.HTML:
    """The component. It triggers ``open`` (conversation) and ``fresh``.

    Args:
        owner: a tab's key -> the visitor.
        shelf: where conversations are kept.
        checkpoints: names of those that can be talked to.
    """

    def ask(question: str) -> str:
        return encode(answer(owner, shelf, json.loads(question)))

    def pack(question: str) -> str:
        asked = json.loads(question)
        return encode(_packed(owner, shelf, asked))

    def unpack(question: str) -> str:
        asked = json.loads(question)
        return encode(_unpacked(owner, shelf, asked, checkpoints()))

    return gr.HTML(
        value="",
        html_template=_TEMPLATE,
        js_on_load=script("make.js", "sidebar.js"),
        apply_default_css=False,
        server_functions=[ask, pack, unpack],
        elem_id="sd-sidebar",
    )


def answer(owner: Callable[[str], str], shelf: Shelf, question: dict[str, Any]) -> dict[str, Any]:
    """Do what the script asks for, and list what there is then.

    Args:
        question: ``key`` of the tab and ``language`` of the page, ``query``, ``hidden`` to list what was deleted;
            ``verb`` with ``conversation`` and ``value`` to change something first.
    """
    problem, words = "", spoken(str(question["language"]))
    try:
        visitor = owner(str(question["key"]))
        try:
            if question.get("verb"):
                _change(shelf, visitor, question)
        except SessionError as error:
            problem = explain(error, words)
        found = shelf.list(visitor, str(question.get("query", "")), bool(question.get("hidden")))
    except Exception as error:  # noqa: BLE001 - shown to the user as a line
        return {"items": [], "problem": _problem(error, words)}
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


def _packed(owner: Callable[[str], str], shelf: Shelf, question: dict[str, Any]) -> dict[str, Any]:
    """A conversation as a file."""
    words = spoken(str(question["language"]))
    try:
        data = shelf.export(owner(str(question["key"])), str(question["conversation"]))
    except Exception as error:  # noqa: BLE001 - shown to the user as a line
        return {"problem": _problem(error, words)}
    return {"data": b64encode(data).decode(), "problem": ""}


def _unpacked(
    owner: Callable[[str], str], shelf: Shelf, question: dict[str, Any], checkpoints: Iterable[str]
) -> dict[str, Any]:
    """A file as a conversation."""
    words = spoken(str(question["language"]))
    try:
        visitor, data = owner(str(question["key"])), b64decode(str(question["data"]))
        return {"conversation": shelf.bring(visitor, data, checkpoints), "problem": ""}
    except Exception as error:  # noqa: BLE001 - shown to the user as a line
        return {"problem": _problem(error, words)}


def _problem(error: Exception, words: Words) -> str:
    if not isinstance(error, SeqdemoError):
        _log.error("A request of the page failed.", exc_info=error)
    return explain(error, words)
