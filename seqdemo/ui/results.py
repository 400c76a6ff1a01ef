"""How results look: a renderer for each result type, and a field-by-field view of any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from seqdemo.plugin import Generation

from .markup import Markup, element, join

__all__ = ["render", "renders"]

R = TypeVar("R", bound=Callable[[Any], Markup])

_RENDERERS: dict[type, Callable[[Any], Markup]] = {}
_SHOWN = 50
_DEEP = 4


def renders(kind: type) -> Callable[[R], R]:
    """Decorate a function that turns results of a type, and of its subclasses, into HTML."""

    def register(function: R) -> R:
        _RENDERERS[kind] = function
        return function

    return register


def render(result: Any) -> Markup:
    """A result as HTML, by the renderer of its nearest type; never fails on an unknown one."""
    for kind in type(result).__mro__:
        if kind in _RENDERERS:
            return _RENDERERS[kind](result)
    return element("div", _value(result, 0), class_="sd-result")


@renders(Generation)
def _generation(result: Generation) -> Markup:
    usage = result.usage
    note = f"seed {result.seed} · {usage.tokens:,} tokens · {usage.tokens_per_second:,.0f} tokens/s"
    return element(
        "div",
        element("p", element("span", result.prompt, class_="sd-prompt"), result.text, class_="sd-text"),
        element("p", note, class_="sd-hint"),
        class_="sd-result",
    )


def _value(value: Any, depth: int) -> Markup:
    if depth > _DEEP:
        return join("…")
    if is_dataclass(value) and not isinstance(value, type):
        return _pairs({field.name: getattr(value, field.name) for field in fields(value)}, depth)
    if isinstance(value, Mapping):
        return _pairs({str(name): one for name, one in value.items()}, depth)
    if isinstance(value, list | tuple):
        shown = [element("li", _value(one, depth + 1)) for one in value[:_SHOWN]]
        if len(value) > _SHOWN:
            shown.append(element("li", f"… and {len(value) - _SHOWN:,} more", class_="sd-hint"))
        return element("ol", *shown) if shown else join("none")
    if isinstance(value, float):
        return join(f"{value:.4g}")
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        shape = " × ".join(map(str, value.shape)) or "scalar"
        return join(f"{shape} {str(value.dtype).removeprefix('torch.')}")
    return join("none" if value is None else str(value))


def _pairs(values: Mapping[str, Any], depth: int) -> Markup:
    rows = []
    for name, value in list(values.items())[:_SHOWN]:
        rows += [element("dt", name.replace("_", " ")), element("dd", _value(value, depth + 1))]
    return element("dl", *rows) if rows else join("none")
