"""Page controls from a schema: one for each field, with its bounds and its description.

| field | control |
| --- | --- |
| ``bool`` | checkbox |
| ``Literal[...]`` | dropdown |
| ``int``, ``float`` between narrow bounds | slider |
| other ``int``, ``float`` | number |
| ``int \\| None``, ``float \\| None``, and integers a JavaScript number cannot hold | text, empty for none |
| ``str`` | text |
| ``tuple[str, ...]`` | text, one to a line, with ``\\\\n`` and ``\\\\t`` for new line and tab |
| anything else | text, as JSON |

A field may say which part of its range is usual, ``json_schema_extra={"usual": [0, 2]}``: that is the slider's range
where it is narrower than the bounds.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types as limits
import gradio as gr
from pydantic.fields import FieldInfo

from seqdemo.plugin.config import Options, build

from .language import described, label
from .words import PageError

__all__ = ["Control", "Controls", "controls"]

O = TypeVar("O", bound=Options)  # noqa: E741

_EXACT = 2**53
_SLIDER_STEPS = 2000
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The accepted range of a number; None where it is open."""

    low: float | None
    high: float | None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """One field as a control.

    Attributes:
        name: the field.
        component: the gradio component.
        read: what the component holds -> the field's value.
        show: the field's value -> what the component holds.
    """

    name: str
    component: Any
    read: Callable[[Any], Any]
    show: Callable[[Any], Any]


class Controls(list[Control]):
    """The controls of a schema, in its order."""

    def __init__(self, schema: type[Options], found: Sequence[Control]) -> None:
        super().__init__(found)
        self.schema = schema

    @property
    def components(self) -> list[Any]:
        """Inputs of an event."""
        return [control.component for control in self]

    def values(self, held: Sequence[Any]) -> dict[str, Any]:
        """What the components hold -> validated values by field.

        Raises:
            ConfigError, PageError: naming the first field that is not accepted.
        """
        read = {control.name: control.read(value) for control, value in zip(self, held, strict=True)}
        return build(self.schema, read, "the options on this page").model_dump()

    def shown(self, preferred: Mapping[str, Any]) -> list[Any]:
        """What the components hold for a schema's defaults and some other values."""
        defaults = {
            name: field.get_default(call_default_factory=True) for name, field in self.schema.model_fields.items()
        }
        chosen = {**defaults, **{name: preferred[name] for name in preferred if name in defaults}}
        return [control.show(chosen[control.name]) for control in self]


def controls(
    schema: type[Options],
    exclude: Sequence[str] = (),
    below: Mapping[str, Callable[[], Any]] | None = None,
    prefix: str = "sd-option",
) -> Controls:
    """Make the controls of a schema, inside the block that is open.

    Args:
        schema: of the options.
        exclude: fields that get none.
        below: by field, what makes something else right below its control.
        prefix: their element ids begin with, and end with the field's name.
    """
    found = []
    for name, field in schema.model_fields.items():
        if name not in exclude:
            found.append(_control(name, field, prefix))
            if below and name in below:
                below[name]()
    return Controls(schema, found)


def _plain(annotation: Any) -> tuple[Any, list[Any]]:
    """An annotation without ``Annotated``, and what it was annotated with."""
    if get_origin(annotation) is Annotated:
        first, *rest = get_args(annotation)
        found = [item for one in rest for item in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return first, found
    return annotation, []


def _optional(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = [member for member in get_args(annotation) if member is not type(None)]
    return (members[0], True) if len(members) == 1 else (annotation, True)


def _bounds(metadata: Sequence[Any]) -> Bounds:
    low = high = None
    low_open = high_open = False
    for one in metadata:
        if isinstance(one, limits.Ge):
            low = float(one.ge)  # type: ignore[arg-type]
        elif isinstance(one, limits.Gt):
            low, low_open = float(one.gt), True  # type: ignore[arg-type]
        elif isinstance(one, limits.Le):
            high = float(one.le)  # type: ignore[arg-type]
        elif isinstance(one, limits.Lt):
            high, high_open = float(one.lt), True  # type: ignore[arg-type]
    return Bounds(low, high, low_open, high_open)


def _identity(value: Any) -> Any:
    return value


def _control(name: str, field: FieldInfo, prefix: str) -> Control:
    annotation, inner = _plain(field.annotation)
    annotation, nullable = _optional(annotation)
    annotation, more = _plain(annotation)
    bounds = _bounds([*field.metadata, *inner, *more])
    default = field.get_default(call_default_factory=True)
    about: dict[str, Any] = {
        "label": described(name.replace("_", " ").capitalize()),
        "info": described(field.description or ""),
        "interactive": True,
        "elem_id": f"{prefix}-{name.replace('_', '-')}",
    }
    if annotation is bool and not nullable:
        return Control(name, gr.Checkbox(bool(default), **about), bool, _identity)
    if get_origin(annotation) is Literal and not nullable:
        return Control(name, gr.Dropdown([*get_args(annotation)], value=default, **about), _identity, _identity)
    if annotation in (int, float):
        if nullable or max(abs(bounds.low or 0), abs(bounds.high or 0)) > _EXACT:
            return _number_text(name, annotation, nullable, default, about)
        return _number(name, annotation, bounds, _usual(field), default, about)
    if annotation is str and not nullable:
        return Control(name, gr.Textbox(default or "", **about), _identity, _identity)
    if get_origin(annotation) in (tuple, list) and _plain(get_args(annotation)[0])[0] is str:
        about["info"] = described(f"{field.description or ''} One to a line; \\n is a new line.".strip())
        box = gr.Textbox(_show_lines(default or ()), lines=1, max_lines=4, **about)
        return Control(name, box, _read_lines, _show_lines)
    about["info"] = f"{field.description or ''} As JSON.".strip()
    return Control(name, gr.Textbox(json.dumps(default), **about), _json_reader(name), json.dumps)


def _usual(field: FieldInfo) -> tuple[float, float] | None:
    extra = field.json_schema_extra
    usual = extra.get("usual") if isinstance(extra, dict) else None
    return (float(usual[0]), float(usual[1])) if isinstance(usual, list | tuple) and len(usual) == 2 else None  # type: ignore[arg-type]


def _number(
    name: str, kind: type, bounds: Bounds, usual: tuple[float, float] | None, default: Any, about: dict[str, Any]
) -> Control:
    low, high = usual if usual is not None else (bounds.low, bounds.high)
    whole = kind is int
    read: Callable[[Any], Any] = _whole if whole else _identity
    if low is None or high is None or high - low > (_SLIDER_STEPS if whole else 20):
        step = 1 if whole else 0.05
        box = gr.Number(
            default, minimum=bounds.low, maximum=bounds.high, step=step, precision=0 if whole else None, **about
        )
        return Control(name, box, read, _identity)
    step = 1 if whole else 10.0 ** math.floor(math.log10((high - low) / 50)) if high > low else 1
    if bounds.low_open and low == bounds.low:
        low += step
    if bounds.high_open and high == bounds.high:
        high -= step
    slider = gr.Slider(_tidy(low, whole), _tidy(high, whole), default, step=step, buttons=[], **about)
    return Control(name, slider, read, _identity)


def _tidy(value: float, whole: bool) -> float:
    return int(value) if whole else round(value, 6)


def _whole(value: Any) -> Any:
    """2.0 -> 2: a browser has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number_text(name: str, kind: type, nullable: bool, default: Any, about: dict[str, Any]) -> Control:
    def read(text: Any) -> Any:
        cleaned = str(text if text is not None else "").strip().replace(",", "").replace("_", "")
        if not cleaned and nullable:
            return None
        try:
            return kind(cleaned)
        except ValueError as error:
            key = "option.not_whole" if kind is int else "option.not_number"
            raise PageError(key, name=name, text=repr(text)) from error

    def show(value: Any) -> str:
        return "" if value is None else str(value)

    box = gr.Textbox(show(default), placeholder=label("option.empty") if nullable else "", max_lines=1, **about)
    return Control(name, box, read, show)


def _read_lines(text: Any) -> tuple[str, ...]:
    lines = [line for line in str(text or "").split("\n") if line]
    return tuple(re.sub(r"\\([ntr\\])", lambda found: _ESCAPES[found[1]], line) for line in lines)


def _show_lines(values: Sequence[str]) -> str:
    back = {value: f"\\{key}" for key, value in _ESCAPES.items()}
    return "\n".join("".join(back.get(char, char) for char in value) for value in values)


def _json_reader(name: str) -> Callable[[Any], Any]:
    def read(text: Any) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError) as error:
            raise PageError("option.not_json", name=name, text=repr(text), reason=error) from error

    return read
