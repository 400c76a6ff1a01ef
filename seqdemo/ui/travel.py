"""The map of a conversation: its tree, where one stands in it, and two of its lines beside each other."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from seqdemo.errors import SeqdemoError

from .assets import script
from .conversation import encode
from .inspector import percent
from .markup import visible
from .tabs import Tab
from .talk import explain
from .words import ENGLISH, Words

if TYPE_CHECKING:
    from seqdemo.decoding.lines import Branch
    from seqdemo.decoding.tree import Node, Point, Tree
    from seqdemo.plugin import Token

__all__ = ["beside", "chart", "travel"]

_SHOWN = 120
_log = logging.getLogger(__name__)

_TEMPLATE = """
<button type="button" class="sd-tool sd-map-open" data-do="open" aria-expanded="false" data-say="travel.open"
  data-say-title="travel.about"></button>
<aside class="sd-map" data-say-aria-label="travel.name" hidden>
  <header>
    <h2 data-say="travel.title"></h2>
    <button type="button" class="sd-tool" data-do="close" data-say-aria-label="travel.close">×</button>
  </header>
  <p class="sd-hint" data-say="travel.hint"></p>
  <div class="sd-tree" role="tree" data-say-aria-label="travel.title"></div>
  <p class="sd-map-news" role="status"></p>
</aside>
<dialog class="sd-beside" data-say-aria-label="travel.beside">
  <header>
    <h2 data-say="travel.beside"></h2>
    <button type="button" class="sd-tool" data-do="leave" data-say-aria-label="travel.close">×</button>
  </header>
  <div class="sd-common"></div>
  <div class="sd-branches"></div>
</dialog>
"""


def travel(tab: Callable[[str], Tab]) -> gr.HTML:
    """The component: a button, the panel it opens, and what compares. It triggers ``stand`` (node).

    Args:
        tab: by its key.
    """

    def look(question: str) -> str:
        return encode(_answer(tab, question, lambda tree, here, asked, words: chart(tree, here)))

    def compare(question: str) -> str:
        return encode(_answer(tab, question, _compare))

    return gr.HTML(
        value="",
        html_template=_TEMPLATE,
        js_on_load=script("make.js", "tree.js", "travel.js"),
        apply_default_css=False,
        server_functions=[look, compare],
        elem_id="sd-travel",
    )


def _answer(
    tab: Callable[[str], Tab],
    question: str,
    answer: Callable[[Tree, Point, dict[str, Any], Words], dict[str, Any]],
) -> dict[str, Any]:
    """What the script asks about the conversation on show in its tab."""
    asked, words = json.loads(question), ENGLISH
    try:
        found = tab(str(asked["key"]))
        talk, words = found.talk, found.words
        if talk is None or talk.tree is None or talk.here is None:
            return {"nodes": [], "path": [], "here": [0, 0], "problem": ""}
        return {**answer(talk.tree, talk.here, asked, words), "problem": ""}
    except Exception as error:  # noqa: BLE001 - shown to the user as a line
        if not isinstance(error, SeqdemoError):
            _log.error("A request of the page failed.", exc_info=error)
        return {"problem": explain(error, words)}


def _compare(tree: Tree, here: Point, asked: dict[str, Any], words: Words) -> dict[str, Any]:
    return beside(tree, int(asked["left"]), int(asked["right"]), words)


def chart(tree: Tree, here: Point) -> dict[str, Any]:
    """All messages of a tree, oldest first, and the line one stands on.

    Parts of a reply that only go on from one another's ends are one message, named by its last part.

    Returns:
        ``nodes`` as id, parent, tokens of the parent before it, role, a piece of its text and its tokens; ``path``, ids
        on the line; ``here``, id and tokens.
    """
    nodes = list(tree.nodes.values())
    last = {node.id: node.id for node in nodes}
    before = {0: 0}  # tokens of its message before a part
    for node in nodes:
        before[node.id] = before[node.parent.node] + node.parent.tokens if _part(tree, node) else 0
    for node in reversed(nodes):
        if _part(tree, node):
            last[node.parent.node] = last[node.id]
    rows: dict[int, list[Any]] = {}
    for node in nodes:
        row = rows.get(last[node.id])
        if row is None:
            above = node.parent.node
            row = [last[node.id], last.get(above, 0), before[above] + node.parent.tokens, node.role, "", 0]
            rows[last[node.id]] = row
        row[4] = (row[4] + node.text[: 4 * _SHOWN])[: 4 * _SHOWN]
        row[5] += len(node.ids)
    for row in rows.values():
        row[4] = " ".join(row[4].split())[:_SHOWN]
    path = sorted({last[node.id] for node, _ in tree.upward(here)})
    at = [last.get(here.node, 0), before[here.node] + here.tokens]
    return {"nodes": list(rows.values()), "path": path, "here": at}


def _part(tree: Tree, node: Node) -> bool:
    """Whether a node is one more part of the reply before it, and nothing else goes on from there."""
    above = tree.nodes.get(node.parent.node)
    if above is None or not node.role == above.role == "reply":
        return False
    return node.parent == above.end and len(tree.children(above.end)) == 1


def beside(tree: Tree, left: int, right: int, words: Words) -> dict[str, Any]:
    """The ends of two nodes: what was said on the way to each since the ways parted, and what the model gave for it.

    Raises:
        SessionError: there is no such node.
    """
    from seqdemo.decoding.lines import parting

    found = parting(tree, tree.point(left), tree.point(right))
    position = tree.position(found.common)
    common = position + len(found.shared)
    before = tree.messages(found.common)[-1].text if position else ""
    branches = [
        {"said": list(branch.said), "facts": _facts(branch, token, words)}
        for branch, token in zip(found.branches, found.tokens, strict=True)
    ]
    return {
        "common": words.count("travel.common", common) if common else words("travel.nothing_common"),
        "before": before,
        "shared": "".join(token.text for token in found.shared),
        "branches": branches,
    }


def _facts(branch: Branch, first: Token | None, words: Words) -> list[tuple[str, str]]:
    facts = [(words("travel.tokens"), f"{len(branch.tokens):,}")]
    if branch.perplexity is not None:
        bits = -branch.logprob / math.log(2) / len(branch.tokens)
        facts += [
            (words("travel.logprob"), f"{branch.logprob:,.2f}".replace("-", "−")),
            (words("travel.perplexity"), f"{branch.perplexity:,.2f}"),
            (words("travel.bits"), f"{bits:.2f}"),
        ]
    if first is not None:
        own = next((one.text for one in first.alternatives if one.id == first.id), first.text)
        facts.append((words("travel.first"), f"{visible(own)}  {percent(math.exp(first.logprob))}"))
    return facts
