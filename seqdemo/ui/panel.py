"""The options of the tasks that share a tab: those of the chosen checkpoint's task are on show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from seqdemo.plugin import Options, SamplingOptions

from .controls import Controls, controls
from .language import label

__all__ = ["Panel", "attempts", "plain"]

_HIDDEN = ("timeout", "exact", "alternatives")
"""Options of sampling that mean nothing for a single result."""


class Panel:
    """The panel, built inside the block that is open.

    Args:
        schemas: of the options, each once.
        prefix: the element ids of everything in it begin with.

    Attributes:
        components: what holds the options, of all schemas.
        outputs: what :meth:`show` changes.
    """

    def __init__(self, schemas: Sequence[type[Options]], prefix: str) -> None:
        self._found: dict[type[Options], Controls] = {}
        self._boxes: list[Any] = []
        with gr.Accordion(
            label("results.options"), open=True, elem_id=f"{prefix}-options", elem_classes=["sd-sampling"]
        ) as self._all:
            for place, schema in enumerate(schemas):
                with gr.Column(visible=not place, elem_classes=["sd-schema"]) as box:
                    self._found[schema] = _controls(schema, f"{prefix}-{place}")
                self._boxes.append(box)
        self.components = [component for found in self._found.values() for component in found.components]
        self.outputs = [self._all, *self._boxes, *self.components]

    def values(self, schema: type[Options], held: Sequence[Any]) -> dict[str, Any]:
        """Options of a schema, from what :attr:`components` hold; its defaults where it is none of this panel's.

        Raises:
            ConfigError: naming the first option that is not accepted.
        """
        start = 0
        for one, found in self._found.items():
            if one is schema:
                return found.values(held[start : start + len(found)])
            start += len(found)
        return schema().model_dump()

    def begin(self, schema: type[Options] | None, preferred: Mapping[str, Any]) -> list[Any]:
        """As :meth:`show`, for a page that was just loaded: only what differs from how the panel was built, because
        each update costs the browser time."""
        built = next(iter(self._found), None)
        shown = self.show(schema, preferred)
        if schema is not built:
            return shown
        boxes = len(self.outputs) - len(self.components)
        values = zip(self.components, shown[boxes:], strict=True)
        return [gr.skip()] * boxes + [gr.skip() if component.value == value else value for component, value in values]

    def show(self, schema: type[Options] | None, preferred: Mapping[str, Any]) -> list[Any]:
        """What :attr:`outputs` become for a checkpoint.

        Args:
            schema: of its task's options.
            preferred: options it prefers to the defaults.
        """
        own = self._found.get(schema) if schema is not None else None
        updates: list[Any] = [gr.Accordion(visible=bool(own))]
        updates += [gr.Column(visible=one is schema) for one in self._found]
        for one, found in self._found.items():
            if one is schema:
                updates += found.shown({**_begun(one), **preferred})
            else:
                updates += [gr.skip()] * len(found)
        return updates


def _controls(schema: type[Options], prefix: str) -> Controls:
    """What every head that emits tokens has is folded away; what this one adds stands above it."""
    if not issubclass(schema, SamplingOptions):
        return controls(schema, prefix=prefix)
    common = [*SamplingOptions.model_fields]
    own = controls(schema, common, prefix=prefix)
    rest = [name for name in schema.model_fields if name not in common]
    with gr.Accordion(label("results.drawing"), open=not own):
        drawn = controls(schema, [*rest, *_HIDDEN], prefix=prefix)
    return Controls(schema, [*own, *drawn])


def _hint(field: FieldInfo) -> Any:
    """What the page begins with in place of the default; None where it does not."""
    extra = field.json_schema_extra
    return extra.get("page") if isinstance(extra, dict) else None


def _begun(schema: type[Options]) -> dict[str, Any]:
    hints = {name: _hint(field) for name, field in schema.model_fields.items()}
    return {name: hint for name, hint in hints.items() if hint is not None}


def plain(schema: type[Options], values: Mapping[str, Any]) -> dict[str, Any]:
    """Options for work on many inputs: what only serves to look at a single result is at its default."""
    defaults = {name: schema.model_fields[name].get_default(call_default_factory=True) for name in _begun(schema)}
    return {**values, **defaults}


def attempts(schema: type[Options], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Options for a single input, then others that ask for less, should the input be too long for them."""
    found = [dict(values)]
    for name in _begun(schema):
        annotation = schema.model_fields[name].annotation
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        if values.get(name) in choices:
            less = choices[: choices.index(values[name])]
            found += [{**values, name: choice} for choice in reversed(less)]
    return found
