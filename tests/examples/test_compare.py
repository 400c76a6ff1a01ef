"""The comparison: equal sizes, one rule for all, results that survive any interruption, and a table that says so."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import seqdemo
from seqdemo import manager as registry
from seqdemo.errors import ConfigError, DivergedError, UnknownNameError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXT = (EXAMPLES / "data" / "time_machine.txt").read_text("utf-8")[:20_000]
ALPHABET = "".join(map(chr, range(32, 97)))
"""65 characters, as tinyshakespeare has."""

Run = Callable[..., Result]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The script and its parts, as it imports them itself."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import compare_models
    from compare import plot, progress, rule, runs, speed, table

    for name in ("WARM_TOKENS", "TIMED_TOKENS"):
        monkeypatch.setattr(speed, name, 5)
    monkeypatch.setitem(compare_models.SHARED, "learning_rates", [1e-3, 1e-2])
    for name, value in (("batch_size", 4), ("window", 16)):
        monkeypatch.setitem(compare_models.SHARED["training"], name, value)
    return SimpleNamespace(
        main=compare_models, plot=plot, progress=progress, rule=rule, runs=runs, speed=speed, table=table
    )


@pytest.fixture
def run(scripts: SimpleNamespace, tmp_path: Path) -> Run:
    """Runs the command on a small text with small models."""
    data = tmp_path / "text.txt"
    data.write_text(TEXT, "utf-8")

    def start(*arguments: str, out: str = "out") -> Result:
        given = ["--data", str(data), "--out", str(tmp_path / out), "--steps", "4", "--budget", "20000"]
        return CliRunner().invoke(scripts.main.main, [*given, "--threads", "1", *arguments])

    return start


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with a model that reads the future and one that raises when it is built."""
    source = """
        from seqdemo.plugin import Bidirectional, Cell, ModelConfig, ModelRecord, hookimpl

        @hookimpl
        def seqdemo_models():
            return [
                ModelRecord("both", "strange:both", "strange:Config"),
                ModelRecord("crash", "strange:crash", "strange:Config"),
            ]

        class Config(ModelConfig):
            pass

        def both(config, input_size):
            return Bidirectional(Cell(input_size, config.hidden_size), Cell(input_size, config.hidden_size))

        def crash(config, input_size):
            raise RuntimeError("no such luck")
    """
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "strange.py").write_text(textwrap.dedent(source), "utf-8")
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", (str(tmp_path / "strange"),))


def make_rule(scripts: SimpleNamespace, **given: Any) -> Any:
    """The script's rule with some values replaced."""
    values = {"budget": 2_000_000, "steps": 600, "search_steps": 40, "pairs": 2.5, "data": {"name": "t.txt"}}
    values |= scripts.main.SHARED
    return scripts.rule.Rule(**{**values, **given})


def make_result(scripts: SimpleNamespace, model: str, loss: float, **given: Any) -> Any:
    """A finished model."""
    values: dict[str, Any] = {
        "model": model,
        "source": "seqdemo 1",
        "hidden_size": 384,
        "parameters": 2_001_234,
        "learning_rate": 0.0025,
        "search": {"0.0025": loss + 1},
        "search_steps": 40,
        "loss": loss,
        "state_bytes": 4608,
        "steps": 600,
        "seconds": 300.0,
        "curve": [[300, loss + 0.5], [600, loss]],
    }
    return scripts.runs.Result(**{**values, **given})


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_sizes_meet_the_budget(scripts: SimpleNamespace, model: str) -> None:
    """Within 3 % of two million, and as many as the layers' own weights have."""
    hidden, parameters = scripts.rule.size(make_rule(scripts), model, ALPHABET)
    assert abs(parameters - 2_000_000) < 60_000
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[model]
    layers = gates * (128 * hidden + hidden * hidden + 2 * hidden) + gates * (2 * hidden * hidden + 2 * hidden)
    assert parameters == 65 * 128 + layers + hidden * 65 + 65


@given(
    st.integers(0, 20), st.integers(1, 50), st.integers(1, 3_000_000), st.sampled_from([8, 24, 64]), st.integers(8, 200)
)
def test_the_nearest_size_is_found(square: int, line: int, budget: int, divides: int, least: int) -> None:
    """The same size as trying every one gives, whatever sizes a config refuses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        from compare.rule import LARGEST, nearest

    def count(hidden: int) -> int:
        if hidden % divides or hidden < least:
            raise ConfigError(f"{hidden} is not accepted")
        return square * hidden * hidden + line * hidden

    every = [(hidden, count(hidden)) for hidden in range(8, LARGEST, 8) if hidden % divides == 0 and hidden >= least]
    if every[-1][1] < 2 * budget:
        return
    distance = min(abs(parameters - budget) for _, parameters in every)
    found = nearest(count, budget)
    assert found in every
    assert abs(found[1] - budget) == distance


def test_a_size_that_does_not_reach_the_budget_is_refused(scripts: SimpleNamespace) -> None:
    """A model that ignores hidden_size has no place in a comparison of equal sizes."""
    with pytest.raises(ConfigError, match="5,000 parameters"):
        scripts.rule.nearest(lambda hidden: 100, 5_000)


def test_scratch_models_are_left_out(scripts: SimpleNamespace) -> None:
    """All registered models but these take part; one that is asked for by name must exist."""
    names = scripts.rule.choose()
    assert {"rnn", "lstm", "gru"} <= set(names)
    assert not [name for name in names if "scratch" in name]
    assert scripts.rule.choose(["gru"]) == ["gru"]
    with pytest.raises(UnknownNameError, match="'gru'"):
        scripts.rule.choose(["gruu"])


def test_the_lowest_short_run_wins(scripts: SimpleNamespace) -> None:
    """Divergence loses, the smaller rate wins a tie, and nothing is chosen where all diverged."""
    best = scripts.runs.best
    assert best({"0.001": 2.5, "0.003": 2.25, "0.01": None}) == 0.003
    assert best({"0.001": float("nan"), "0.01": 3.0}) == 0.01
    assert best({"0.01": 2.0, "0.001": 2.0}) == 0.001
    with pytest.raises(DivergedError, match=r"0\.001, 0\.01"):
        best({"0.001": None, "0.01": None})


def test_short_runs_that_show_nothing_are_done_again(scripts: SimpleNamespace, tmp_path: Path) -> None:
    """Twice as long, until one is better than pairs of characters are, or they would be longer than half the run."""
    asked: list[tuple[float, int]] = []

    def run_with(losses: Any, steps: int) -> tuple[dict[str, float], int]:
        rule = make_rule(scripts, steps=steps, learning_rates=[0.001, 0.01])
        one = scripts.runs.Comparison(rule, Path("t.txt"), "", tmp_path, 1, scripts.progress.Remaining({}), None, None)

        def short(name: str, hidden: int, rate: float, steps: int, place: Path) -> Any:
            asked.append((rate, steps))
            return losses(rate, steps)

        one._short = short
        found: tuple[dict[str, float], int] = one._search("rnn", 8, tmp_path)
        return found

    assert run_with(lambda rate, steps: 2.6 if steps < 80 else 2.4 - rate, 600) == ({"0.001": 2.399, "0.01": 2.39}, 80)
    assert asked == [(0.001, 40), (0.01, 40), (0.001, 80), (0.01, 80)]
    assert run_with(lambda rate, steps: 3.0, 600)[1] == 160
    assert run_with(lambda rate, steps: 3.0, 320)[1] == 80
    assert run_with(lambda rate, steps: 3.0, 160)[1] == 40
    assert run_with(lambda rate, steps: None, 600)[1] == 40, "what diverged is not tried for longer"


def test_pairs_of_characters(scripts: SimpleNamespace) -> None:
    """Counts of the first part, add-one, judge the last: by hand."""
    # Seen: "abab" has ab twice and ba once, a and b twice each; held out: "ab", and there are two characters.
    assert scripts.rule.pairs("ababab", 1 / 3) == pytest.approx(math.log(4 / 3), abs=1e-4)


def test_a_failing_model_takes_nothing_else_down(
    run: Run, plugin: None, scripts: SimpleNamespace, tmp_path: Path
) -> None:
    """One that is not causal and one that raises are listed with the reason, and the others finish."""
    done = run("--models", "both,crash,rnn", "--train-only")
    assert done.exit_code == 0, done.output
    found = scripts.table.gather(tmp_path / "out", ())
    assert [result.model for result in found.results] == ["rnn"]
    assert "causal" in found.failed["both"]
    assert found.failed["crash"] == "RuntimeError: no such luck"
    assert "crash failed: RuntimeError: no such luck" in (tmp_path / "out" / "table.md").read_text("utf-8")


def test_goes_on_after_an_interruption(
    run: Run, scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after the first result, then in the middle of a run: what was done stays, and the end is the same."""
    assert run("--models", "rnn", "--train-only", out="whole").exit_code == 0

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scripts.main, "report", stop)
        assert run("--models", "gru,rnn", "--train-only").exit_code == 130
    place = tmp_path / "out" / "results"
    first = place / "gru" / "result.json"
    written = first.stat().st_mtime_ns
    assert not (place / "rnn").exists()

    def stop_late(watch: Any, step: int, progress: float, seconds: float) -> None:
        if watch._steps == 4 and step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scripts.progress.Watch, "step", stop_late)
        assert run("--models", "gru,rnn", "--train-only").exit_code == 130
    assert len(list((place / "rnn").glob("lr-*.json"))) == 2
    tried: list[tuple[str, int]] = []
    train = seqdemo.train

    def spy(**given: Any) -> Any:
        tried.append((given["model"], given["steps"]))
        return train(**given)

    monkeypatch.setattr(seqdemo, "train", spy)
    assert run("--models", "gru,rnn", "--train-only").exit_code == 0
    assert tried == [("rnn", 4)], "only the run that was stopped is gone on with"
    assert first.stat().st_mtime_ns == written
    ((one,), (other,)) = (scripts.runs.results(tmp_path / out, ["rnn"]) for out in ("whole", "out"))
    assert {**asdict(one), "seconds": 0} == {**asdict(other), "seconds": 0}
    assert one.learning_rate == scripts.runs.best(one.search)


def test_another_rule_needs_another_folder(run: Run, scripts: SimpleNamespace, tmp_path: Path) -> None:
    """Runs of different rules are not mixed; without --steps and --budget those it was begun with hold."""
    rule = make_rule(scripts)
    scripts.rule.settle(tmp_path / "out", rule)
    scripts.rule.settle(tmp_path / "out", rule)
    refused = run("--train-only")
    assert refused.exit_code == 2
    assert "steps was 600, is 4" in refused.output
    text = "some text"
    assert scripts.main.rule_for(tmp_path / "out", Path("t.txt"), text, None, None).steps == 600
    with pytest.raises(ConfigError, match="Name another --out"):
        scripts.rule.settle(tmp_path / "out", make_rule(scripts, learning_rates=[1.0]))


def test_speeds_are_taken_in_turn_and_gone_on_with(
    scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every model once in each round, another one first each time; a stopped round is taken again, whole."""
    order: list[str] = []

    def training(rule: Any, result: Any, *_: Any) -> float:
        order.append(result.model)
        if len(order) == 3:
            raise KeyboardInterrupt
        return float(len(order))

    monkeypatch.setattr(scripts.speed, "training_speed", training)
    monkeypatch.setattr(scripts.speed, "decoding_speed", lambda *_: 100.0)
    monkeypatch.setattr(seqdemo, "load", lambda *_, **__: None)
    found = [make_result(scripts, "one", 1.5), make_result(scripts, "two", 1.6)]

    def measure(**given: Any) -> None:
        quiet = Console(file=StringIO())
        scripts.speed.measure(make_rule(scripts), found, Path(), TEXT, tmp_path, 1, 3, quiet, **given)

    with pytest.raises(KeyboardInterrupt):
        measure()
    measure()
    assert order == ["one", "two", "two", "two", "one", "one", "two"]
    measure()
    assert len(order) == 7, "three rounds are enough"
    measure(again=True)
    assert len(order) == 13
    stored = json.loads((tmp_path / "speed.json").read_text("utf-8"))
    assert scripts.speed.medians(stored["rounds"])["one"] == {"training": 11.0, "decoding": 100.0}
    assert scripts.speed.spreads(stored["rounds"])["two"]["training"] == pytest.approx((13 - 9) / 10)


def test_real_speeds_are_measured(run: Run, scripts: SimpleNamespace, tmp_path: Path) -> None:
    """From the command to the table: trained, measured in three rounds through train and stream, and taken again."""
    assert run("--models", "rnn").exit_code == 0
    before = json.loads((tmp_path / "out" / "speed.json").read_text("utf-8"))
    assert len(before["rounds"]) == 3
    assert all(value > 0 for one in before["rounds"] for value in one["rnn"].values())
    again = run("--speed-only")
    assert again.exit_code == 0, again.output
    after = json.loads((tmp_path / "out" / "speed.json").read_text("utf-8"))
    assert after["machine"] == before["machine"]
    assert after["rounds"] != before["rounds"]
    (result,) = scripts.runs.results(tmp_path / "out")
    pipe = seqdemo.load(tmp_path / "out" / "models" / "rnn")
    assert (result.parameters, result.state_bytes) == (pipe.parameters, pipe.state_bytes)
    assert result.loss == pytest.approx(pipe.evaluate(tmp_path / "text.txt", part="validation")["loss"])
    assert not list((tmp_path / "out" / "models").glob(".*")), "short runs are cleared away"


def test_the_table_says_what_was_found(scripts: SimpleNamespace, tmp_path: Path) -> None:
    """Fabricated results, in the order of their losses, with medians, gaps and failures, and the published figures."""
    scripts.rule.settle(tmp_path, make_rule(scripts, data={"name": "t.txt"}))
    for result in (make_result(scripts, "slow", 1.6), make_result(scripts, "a:quick", 1.552)):
        file = tmp_path / "results" / scripts.runs.folder_name(result.model) / "result.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(asdict(result)), "utf-8")
    (tmp_path / "results" / "odd").mkdir()
    (tmp_path / "results" / "odd" / "failed.json").write_text('{"model": "odd", "reason": "It\\nbroke."}', "utf-8")
    rounds = [{"slow": {"training": speed, "decoding": 10 * speed}} for speed in (100.0, 300.0, 250.0)]
    stored = {"machine": scripts.speed.machine(1), "models": ["a:quick", "slow"], "rounds": rounds}
    (tmp_path / "speed.json").write_text(json.dumps(stored), "utf-8")

    done = CliRunner().invoke(scripts.main.main, ["--report-only", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "table.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    names = [row[0] for row in cells[2:]]
    assert names == ["(nanoGPT)", "(Transformer)", "(minGRU)", "a:quick", "(minLSTM)", "(Mamba)", "slow"]
    assert cells[5] == ["a:quick", "384", "2,001,234", "0.0025", "1.552", "–", "–", "4,608"]
    assert cells[8][4:] == ["1.600", "250", "2,500", "4,608"]
    assert "- odd failed: It broke." in lines
    assert any("80% apart" in line and "3 rounds" in line and "38,400" not in line for line in lines)
    assert any("600 steps of 4 × 16 characters (38,400 in all)" in line for line in lines)
    assert "a:quick" in done.stdout
    found = json.loads((tmp_path / "table.json").read_text("utf-8"))
    assert found["failed"] == {"odd": "It\nbroke."}
    assert found["published"][0]["loss"] == 1.47
    picture = (tmp_path / "plot.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


@given(st.lists(st.floats(1, 2), min_size=1, max_size=15), st.floats(0.001, 0.1))
def test_labels_keep_their_distance(values: list[float], gap: float) -> None:
    """Labels lie a gap apart in the order of their values, and never below them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        from compare.plot import spread

    heights = spread(values, gap)
    ordered = sorted(zip(values, heights, strict=True))
    assert all(height >= value for value, height in ordered)
    placed = sorted(heights)
    assert all(above - below > gap * 0.999 for below, above in pairwise(placed))


def test_the_time_left_is_guessed(scripts: SimpleNamespace) -> None:
    """Known models by their own pace, unknown ones by the mean; what failed counts no more."""
    left = scripts.progress.Remaining({"one": 100, "two": 50, "three": 10})
    assert left.seconds() is None
    left.advance("one", 20, 0.5)
    left.advance("two", 10, 1.5)
    assert left.seconds() == 80 * 0.5 + 40 * 1.5 + 10 * 1.0
    left.drop("two")
    assert left.seconds() == 80 * 0.5 + 10 * 1.0
    assert scripts.progress.clock(3_671.0) == "1:01:11"
    assert scripts.progress.clock(None) == "?"
