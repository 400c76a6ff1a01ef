"""Model cards: Markdown of strangers as HTML that can do nothing.

Only what is named here becomes an element, everything else is text: markup in a card stays text, images are their
descriptions, and links lead to the web or nowhere. So nothing of a card runs, and nothing is asked of another server.
"""

from __future__ import annotations

import re
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from .markup import Markup, element, join

__all__ = ["card_view"]

_LARGEST = 200_000
"""Characters of a card that are shown."""

_FRONT = re.compile(r"\A---[ \t]*\n.*?\n---[ \t]*(\n|\Z)", re.DOTALL)
_WEB = re.compile(r"(https?://|mailto:)", re.IGNORECASE)
_PLAIN = {
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "em": "em",
    "list_item": "li",
    "strong": "strong",
    "table": "table",
    "tbody": "tbody",
    "td": "td",
    "th": "th",
    "thead": "thead",
    "tr": "tr",
}


def card_view(text: str) -> Markup:
    """A card as an element. The front matter and a title at its beginning are left out."""
    body = _FRONT.sub("", text[:_LARGEST], count=1)
    nodes = SyntaxTreeNode(_parser().parse(body)).children
    if nodes and nodes[0].type == "heading" and nodes[0].tag == "h1":
        nodes = nodes[1:]
    return element("div", *map(_block, nodes), class_="sd-card-text")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _inside(node: SyntaxTreeNode) -> Markup:
    return join(*map(_block, node.children))


def _block(node: SyntaxTreeNode) -> str:
    kind = node.type
    if kind in _PLAIN:
        return element(_PLAIN[kind], _inside(node))
    if kind == "paragraph":
        return _inside(node) if node.hidden else element("p", _inside(node))
    if kind == "heading":
        # A card stands below the name of its checkpoint, which is an h3.
        return element(f"h{min(int(node.tag[1]) + 2, 6)}", _inside(node))
    if kind == "ordered_list":
        return element("ol", _inside(node), start=node.attrs.get("start"))
    if kind in ("fence", "code_block"):
        return element("pre", element("code", node.content))
    if kind == "code_inline":
        return element("code", node.content)
    if kind == "link":
        return _link(node)
    if kind == "image":
        return element("span", node.content, class_="sd-hint")
    if kind in ("softbreak", "hardbreak"):
        return "\n" if kind == "softbreak" else Markup("<br>")
    if kind == "hr":
        return Markup("<hr>")
    return _inside(node) if node.children else node.content


def _link(node: SyntaxTreeNode) -> Markup:
    href = str(node.attrs.get("href", ""))
    if not _WEB.match(href):
        return _inside(node)
    return element("a", _inside(node), href=href, rel="noopener noreferrer nofollow", target="_blank")
