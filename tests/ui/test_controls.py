"""Page controls come from the schema, and give back what the schema accepts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import gradio as gr
import pytest
from pydantic import Field

from seqdemo.errors import SeqdemoError
from seqdemo.plugin import Options, SamplingOptions
from seqdemo.ui.controls import Controls, controls


class Everything(Options):
    switch: Annotated[bool, Field(description="On or off.")] = True
    kind: Annotated[Literal["a", "b"], Field(description="Which.")] = "b"
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    open_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    few: Annotated[int, Field(ge=1, le=64)] = 3
    many: Annotated[int, Field(ge=0)] = 10
    maybe: Annotated[float | None, Field(ge=0)] = None
    huge: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    text: str = "x"
    texts: tuple[str, ...] = ("a", "\n")
    odd: dict[str, int] = Field(default_factory=lambda: {"a": 1})


def made(schema: type[Options]) -> Controls:
    with gr.Blocks(analytics_enabled=False):
        return controls(schema)


def test_every_field_becomes_the_control_that_fits_it() -> None:
    """The kind of control follows from the annotation and its bounds."""
    kinds = {control.name: type(control.component).__name__ for control in made(Everything)}
    assert kinds == {
        "switch": "Checkbox",
        "kind": "Dropdown",
        "share": "Slider",
        "open_share": "Slider",
        "few": "Slider",
        "many": "Number",
        "maybe": "Textbox",
        "huge": "Textbox",
        "text": "Textbox",
        "texts": "Textbox",
        "odd": "Textbox",
    }


def test_bounds_and_descriptions_reach_the_controls() -> None:
    """A slider spans the bounds, an open bound excluded; the description stands beside it."""
    found = {control.name: control.component for control in made(Everything)}
    assert (found["share"].minimum, found["share"].maximum) == (0, 1)
    assert 0 < found["open_share"].minimum < found["open_share"].maximum < 1
    assert (found["few"].minimum, found["few"].maximum, found["few"].step) == (1, 64, 1)
    assert found["switch"].info == "On or off."


@pytest.mark.parametrize("schema", [Everything, SamplingOptions])
def test_what_controls_show_at_first_are_the_defaults(schema: type[Options]) -> None:
    """Reading untouched controls gives the schema's defaults."""
    panel = made(schema)
    assert panel.values(panel.shown({})) == schema().model_dump()
    assert panel.values([control.component.value for control in panel]) == schema().model_dump()


def test_preferences_are_shown_and_unknown_ones_ignored() -> None:
    """A checkpoint's preferred options take the place of the defaults."""
    panel = made(SamplingOptions)
    values = panel.values(panel.shown({"temperature": 0.25, "stop": ["\n\n", "\\"], "seed": 2**62 + 1, "other": 1}))
    assert (values["temperature"], values["stop"], values["seed"]) == (0.25, ("\n\n", "\\"), 2**62 + 1)


def test_the_usual_range_is_the_sliders() -> None:
    """A field may name the part of its range worth a slider."""
    slider = next(control.component for control in made(SamplingOptions) if control.name == "temperature")
    assert (slider.minimum, slider.maximum) == (0, 2)


@pytest.mark.parametrize(
    ("name", "held", "said"),
    [
        ("huge", "12a", "not a whole number"),
        ("maybe", "x", "not a number"),
        ("few", 65, "few = 65"),
        ("many", 1.5, "many = 1.5"),
        ("odd", "{", "not JSON"),
        ("maybe", "nan", "maybe = nan"),
    ],
)
def test_what_is_not_accepted_is_said_in_one_line(name: str, held: Any, said: str) -> None:
    """A wrong value names its field and what is accepted."""
    panel = made(Everything)
    values = panel.shown({})
    values[[control.name for control in panel].index(name)] = held
    with pytest.raises(SeqdemoError, match=said) as caught:
        panel.values(values)
    assert "\n" not in str(caught.value)


def test_a_browsers_whole_float_is_an_integer() -> None:
    """JavaScript has one kind of number: 5.0 is accepted where an integer is wanted."""
    panel = made(Everything)
    values = panel.shown({})
    values[[control.name for control in panel].index("few")] = 5.0
    assert panel.values(values)["few"] == 5
