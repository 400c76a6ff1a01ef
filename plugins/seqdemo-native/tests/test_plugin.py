"""The plugin within seqdemo: announced, chosen, asked for runs, and passed over where it cannot serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from seqdemo_native import library
from seqdemo_native.stepper import NativeStepper

from seqdemo.decoding import Engine, Request, stepping
from seqdemo.manager import manager
from seqdemo.plugin import Decoded, SamplingOptions, TokenHead
from seqdemo.plugin import state as verbs

Make = Callable[..., TokenHead]
CPU = torch.device("cpu")


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine("cpu")
    yield made
    made.close()


def ask(engine: Engine, head: TokenHead, **options: Any) -> tuple[Decoded, Any]:
    chosen = SamplingOptions(**{"max_tokens": 150, "seed": 4, "temperature": 1.0, "alternatives": 2, **options})
    stream = engine.submit(Request(head, head.prompt({"text": "The"}), chosen, {"text": "The"}, anchors_every=32))
    return stream.decoded(), stream


def test_it_is_announced_and_asked_before_the_built_in(make_head: Make) -> None:
    """Installed is enough; what was chosen is said."""
    assert "native" in [record.name for record in manager().available("steppers")]
    head = make_head()
    head.precision = "int8"
    found = stepping(head, CPU)
    assert (found.name, found.precision) == ("native", "int8")
    assert "kernels" in found.description
    head.precision = "bf16"
    assert stepping(head, CPU).name != "native"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_runs_write_the_text_that_steps_write(
    make_head: Make, engine: Engine, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, texts, what is reported, snapshots and anchors, with a stop string inside a run and a penalty."""
    head = make_head("gru")
    head.precision = precision
    made = []
    plain = NativeStepper.run
    for runs in (True, False):
        taken: list[int] = []

        def run(self: NativeStepper, count: int, *rest: Any, taken: list[int] = taken) -> Any:
            ran = plain(self, count, *rest)
            taken.append(len(ran.ids))
            return ran

        monkeypatch.setattr(NativeStepper, "runs", lambda self, options, runs=runs: runs)
        monkeypatch.setattr(NativeStepper, "run", run)
        whole, stream = ask(engine, head, repetition_penalty=1.2)
        stop = whole.text[40:43]
        stopped, other = ask(engine, head, repetition_penalty=1.2, stop=(stop,))
        made.append((whole, stream.snapshot, stream.anchors, stopped, other.snapshot))
        assert (max(taken, default=0) > 1) == runs
    for a, b in zip(made[0], made[1], strict=True):
        if isinstance(a, Decoded):
            assert [(one.id, one.text, one.position) for one in a.tokens] == [
                (one.id, one.text, one.position) for one in b.tokens
            ]
            assert (a.text, a.done.reason) == (b.text, b.done.reason)
            for one, two in zip(a.tokens, b.tokens, strict=True):
                assert one.logprob == pytest.approx(two.logprob, abs=1e-5)
                assert one.entropy == pytest.approx(two.entropy, abs=1e-5)
                assert [each.id for each in one.alternatives] == [each.id for each in two.alternatives]
        else:
            pairs = zip(a.values(), b.values(), strict=True) if isinstance(a, dict) else [(a, b)]
            for one, two in pairs:
                assert verbs.equal(one.state, two.state)
                assert (one.position, one.recent) == (two.position, two.recent)
    assert made[0][3].done.reason == "stop"


def test_streams_beside_each_other_write_what_each_writes_alone(make_head: Make, engine: Engine) -> None:
    """Six streams that begin and end at different tokens, in 32 bits."""
    head = make_head("lstm")
    lengths = [3, 20, 47, 90, 91, 130]
    alone = [ask(engine, head, max_tokens=count, seed=count)[0].text for count in lengths]
    options = [SamplingOptions(max_tokens=count, seed=count, temperature=1.0) for count in lengths]
    streams = [engine.submit(Request(head, head.prompt({"text": "The"}), one)) for one in options]
    assert [stream.decoded().text for stream in streams] == alone


def test_without_its_kernels_the_next_stepper_serves_and_the_problem_is_listed(
    make_head: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text is written all the same, by the stepper that would serve without the plugin."""
    monkeypatch.setattr(library, "_FILE", library._FILE.with_name("missing.so"))
    library.library.cache_clear()
    library.levels.cache_clear()
    try:
        head = make_head()
        assert stepping(head, CPU).name != "native"
        assert ask(engine, head, max_tokens=5)[0].done.usage.tokens == 5
        assert any(
            "no kernels for this machine" in problem.message
            for plugin in manager().plugins()
            for problem in plugin.problems
        )
    finally:
        library.library.cache_clear()
        library.levels.cache_clear()
