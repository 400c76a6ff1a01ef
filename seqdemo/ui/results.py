"""How results look: a renderer for each result type, and a field-by-field view of any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from seqdemo.plugin import Classification, Generation, Translation

from .classified import classified
from .markup import Markup, element, join
from .translated import translated
from .words import ENGLISH, Words

__all__ = ["render"]

_SHOWN = 50
_DEEP = 4


def render(result: Any, words: Words = ENGLISH) -> Markup:
    """A result as HTML, by the renderer of its nearest type; never fails on an unknown one."""
    for kind in type(result).__mro__:
        if kind in _RENDERERS:
            return _RENDERERS[kind](result, words)
    return element("div", _value(result, words, 0), class_="sd-result")


def _generation(result: Generation, words: Words) -> Markup:
    usage = result.usage
    facts = [
        words("results.seed", seed=result.seed),
        words.count("results.tokens", usage.tokens),
        words("results.speed", speed=f"{usage.tokens_per_second:,.0f}"),
    ]
    return element(
        "div",
        element("p", element("span", result.prompt, class_="sd-prompt"), result.text, class_="sd-text"),
        element("p", " · ".join(facts), class_="sd-hint"),
        class_="sd-result",
    )


_RENDERERS: Mapping[type, Callable[[Any, Words], Markup]] = {
    Classification: classified,
    Generation: _generation,
    Translation: translated,
}


def _value(value: Any, words: Words, depth: int) -> Markup:
    if depth > _DEEP:
        return join("…")
    if is_dataclass(value) and not isinstance(value, type):
        return _pairs({field.name: getattr(value, field.name) for field in fields(value)}, words, depth)
    if isinstance(value, Mapping):
        return _pairs({str(name): one for name, one in value.items()}, words, depth)
    if isinstance(value, list | tuple):
        shown = [element("li", _value(one, words, depth + 1)) for one in value[:_SHOWN]]
        if len(value) > _SHOWN:
            more = words.count("results.more", len(value) - _SHOWN)
            shown.append(element("li", more, class_="sd-hint"))
        return element("ol", *shown) if shown else join(words("results.none"))
    if isinstance(value, float):
        return join(f"{value:.4g}")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        shape = " × ".join(map(str, value.shape)) or "1"
        return join(f"{shape} {str(value.dtype).removeprefix('torch.')}")
    return join(words("results.none") if value is None else str(value))


def _pairs(values: Mapping[str, Any], words: Words, depth: int) -> Markup:
    rows = []
    for name, value in list(values.items())[:_SHOWN]:
        rows += [element("dt", name.replace("_", " ")), element("dd", _value(value, words, depth + 1))]
    return element("dl", *rows) if rows else join(words("results.none"))
