"""HTML that cannot be injected into: everything that is not ``Markup`` is escaped."""

from __future__ import annotations

from html import escape

__all__ = ["Markup", "element", "join", "visible"]

_SHOWN = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}


class Markup(str):
    """Text that is HTML already. Made by :func:`element` and :func:`join` only."""

    __slots__ = ()


def join(*children: str) -> Markup:
    """Children one after another, those that are plain text escaped."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def element(name: str, *children: str, **attributes: str | int | float | bool | None) -> Markup:
    """``element("p", "a < b", class_="x", aria_label="y")`` -> ``<p class="x" aria-label="y">a &lt; b</p>``.

    Attributes: a trailing underscore is dropped, others become ``-``; True is a bare attribute, False and None none.
    """
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        parts.append(f" {attribute}" if value is True else f' {attribute}="{escape(str(value))}"')
    return Markup(f"<{name}{''.join(parts)}>{join(*children)}</{name}>")


def visible(text: str) -> str:
    """A token's text with its white space and control characters made visible; ``∅`` for none."""
    shown = "".join(_SHOWN.get(char, char if char.isprintable() else f"\\u{ord(char):04x}") for char in text)
    return shown or "∅"
