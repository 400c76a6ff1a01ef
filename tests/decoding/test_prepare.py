"""Which stepper serves a pipeline."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from seqdemo import manager
from seqdemo.decoding import Engine, GenericStepper, Request, open_stepper, stepping
from seqdemo.errors import ConfigError
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import SamplingOptions

Make = Callable[..., Pipeline]
CPU = torch.device("cpu")

PLUGIN = """
from seqdemo.plugin import Prepared, StepperConfig, StepperRecord, hookimpl

class Config(StepperConfig):
    def offers(self, head, device):
        {offers}

class Mine(Prepared):
    def __init__(self, head, device, precision):
        {build}
        self.precision, self.description = precision, "made by hand"

    def stepper(self, head, slots):
        from seqdemo.decoding import GenericStepper
        import torch
        return GenericStepper(head, slots, torch.device("cpu"))

@hookimpl
def seqdemo_steppers():
    return [StepperRecord("mine", "hand:Mine", "hand:Config", "By hand.")]
"""


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """A plugin folder with a stepper in it."""

    def write(offers: str, build: str = "pass") -> None:
        (tmp_path / "hand.py").write_text(PLUGIN.format(offers=offers, build=build))
        manager.configure([tmp_path])

    yield write
    manager.configure([])


def test_what_was_chosen_and_why_is_said(make_pipeline: Make) -> None:
    """A small model stays in full precision, one asked for in int8 gets it, and each says what computes it."""
    auto = make_pipeline().stepper
    assert (auto.name, auto.precision) == ("recurrent", "fp32")
    assert "advised" in auto.description
    asked = make_pipeline(precision="int8").stepper
    assert asked.precision == "int8"
    assert "asked for" in asked.description
    assert "folded into a table" in asked.description
    generic = make_pipeline(model="scratch-gru").stepper
    assert (generic.name, generic.precision) == ("generic", "fp32")
    assert "no stepper serves this model" in generic.description


def test_a_precision_that_is_not_to_be_had_is_refused(make_pipeline: Make) -> None:
    """At once, and naming what there is."""
    with pytest.raises(ConfigError, match=r"'fp8' is not accepted: use one of auto, fp32, bf16, int8\."):
        make_pipeline(precision="fp8")
    with pytest.raises(ConfigError, match=r"nothing steps its model in it. Available: auto, fp32\."):
        make_pipeline(model="scratch-gru", precision="int8")
    assert make_pipeline(model="scratch-gru", precision="fp32").stepper.precision == "fp32"


def test_weights_are_prepared_once_and_again_when_they_change(make_pipeline: Make) -> None:
    """Steppers of one head share what was prepared; after a change of weights the new ones speak."""
    head: Any = make_pipeline().head
    slots = [open_stepper(head, 2, CPU) for _ in range(2)]
    assert slots[0]._weights is slots[1]._weights  # type: ignore[attr-defined]
    with torch.no_grad():
        head.output.bias.add_(5.0)
    fresh = open_stepper(head, 2, CPU)
    fresh.put(0, head.initial_state(1), {})
    with torch.no_grad():
        wanted = head.next(torch.tensor([[1]]), head.initial_state(1), {}).logits
    torch.testing.assert_close(fresh.step([1], [0]), wanted, atol=1e-4, rtol=1e-4)


def test_what_was_prepared_goes_with_the_head(make_pipeline: Make) -> None:
    """Nothing keeps a head alive that nobody holds."""
    head: Any = make_pipeline().head
    made = weakref.ref(open_stepper(head, 2, CPU)._weights.pairs[0])  # type: ignore[attr-defined]
    assert made() is not None
    gone = weakref.ref(head)
    del head
    gc.collect()
    assert gone() is None
    assert made() is None


def test_a_plugins_stepper_comes_before_the_built_in_one(install: Any, make_pipeline: Make) -> None:
    """It serves what it offers; for the rest the built-in one is asked."""
    install('return ("bf16",)')
    pipe = make_pipeline()
    assert (pipe.stepper.name, pipe.stepper.precision) == ("mine", "bf16")
    assert pipe.stepper.description.endswith("made by hand")
    assert isinstance(open_stepper(pipe.head, 1, CPU), GenericStepper)  # type: ignore[arg-type]
    assert make_pipeline(precision="int8").stepper.name == "recurrent"
    assert make_pipeline(model="scratch-gru", precision="bf16").stepper.name == "mine"


@pytest.mark.parametrize(("offers", "build"), [("1 / 0", "pass"), ('return ("fp32",)', "1 / 0"), ("return ()", "pass")])
def test_a_plugins_stepper_that_fails_or_declines_is_passed_over(
    install: Any, make_pipeline: Make, offers: str, build: str
) -> None:
    """The next one serves, and what was raised is listed as the plugin's problem."""
    install(offers, build)
    assert make_pipeline().stepper.name == "recurrent"
    (info,) = [info for info in manager.manager().plugins() if info.name == "hand"]
    said = [problem.message for problem in info.problems if "division by zero" in problem.message]
    assert bool(said) == ("1 / 0" in (offers, build))


def test_the_engine_steps_in_the_precision_asked_for(make_pipeline: Make) -> None:
    """Two precisions of one model side by side give what a stepper of that precision gives by itself."""
    engine = Engine("cpu")
    options = SamplingOptions(max_tokens=12, temperature=0, alternatives=0)
    heads: dict[str, Any] = {precision: make_pipeline(precision=precision).head for precision in ("fp32", "int8")}
    try:
        streams = {name: engine.submit(Request(head, [1, 2, 3], options)) for name, head in heads.items()}
        found = {name: [token.id for token in stream.decoded().tokens] for name, stream in streams.items()}
    finally:
        engine.close()
    for name, head in heads.items():
        assert stepping(head, CPU).precision == name
        with torch.no_grad():
            begun = head.next(torch.tensor([[1, 2, 3]]), head.initial_state(1), {})
        alone, logits = open_stepper(head, 1, CPU), begun.logits
        alone.put(0, begun.state, {})
        for token in found[name]:
            assert token == int(logits[0].argmax())
            logits = alone.step([token], [0])
