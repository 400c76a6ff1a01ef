"""Interrupted runs reach the weights that uninterrupted ones reach, bit for bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqdemo import checkpoint, files
from seqdemo.errors import CheckpointError, ConfigError, SeqdemoError
from seqdemo.training import Listener, TrainingInterrupted
from seqdemo.training.resume import differences

Run = Callable[..., Any]
OPTIONS: dict[str, Any] = {
    "model_config": {"hidden_size": 10, "num_layers": 2, "dropout": 0.3},
    "average": 0.9,
    "batch_size": 8,
    "steps": 60,
    "validate_every": 12,
}
"""Everything that has a state: two layers, dropout, an average, several epochs of 42 steps or less."""


class InterruptAt(Listener):
    """Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, step: int, progress: float, seconds: float) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k not in ("seconds", "tokens_per_second")} for record in records]


@pytest.fixture
def whole(run: Run, tmp_path: Path) -> Path:
    """A run that nobody interrupted."""
    folder: Path = run(out=tmp_path / "whole", **OPTIONS).folder
    return folder


def test_ctrl_c_at_any_step(run: Run, whole: Path, tmp_path: Path, lines: Any) -> None:
    """Interrupted at random steps again and again, the run ends with the same weights, metrics and lines."""
    chance = random.Random(1)
    out, step = tmp_path / "out", 0
    while (step := step + chance.randint(1, 25)) < 60:
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(TrainingInterrupted, match=f"step {step}; saved in .*same command") as caught:
            run(listeners=[InterruptAt(step)], **OPTIONS)
        assert caught.value.step == step
        assert signal.getsignal(signal.SIGINT) is before
    done = run(**OPTIONS)
    assert done.steps == 60
    assert weights(out) == weights(whole)
    for kind in ("train", "validation"):
        assert without_times(lines(out, kind)) == without_times(lines(whole, kind))
    assert checkpoint.load(out).manifest.metrics == checkpoint.load(whole).manifest.metrics


def _train_and_exit(run: Run, given: dict[str, Any], kill_at: int) -> None:
    """In a child process: train, and at the given file operation be killed as by kill -9."""
    left = kill_at

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    if kill_at:
        os.replace = counted(os.replace)
        os.fsync = counted(os.fsync)
        files._exchange = counted(files._exchange)
    run(**given)
    os._exit(0)


def _in_child(run: Run, given: dict[str, Any], kill_at: int = 0, kill_after: float = 0.0) -> int:
    """Exit code of a forked process that trains; negative when it was killed."""
    child = multiprocessing.get_context("fork").Process(target=_train_and_exit, args=(run, given, kill_at))
    child.start()
    if kill_after:
        time.sleep(kill_after)
        child.kill()
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


@pytest.mark.parametrize("exchange", [True, False])
def test_killed_at_file_operations(
    run: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """Killed before any single rename or sync, what is there still loads, and the run ends with the same weights."""
    if not exchange:  # as on systems that cannot swap two folders in one step
        monkeypatch.setattr(files, "_exchange", lambda a, b: False)
    out = tmp_path / "out"
    given = {**OPTIONS, "save_every_seconds": 0.0}
    chance = random.Random(2)
    kills = 0
    for kill_at in [1, 2, 3, 5, 8, *(chance.randint(10, 300) for _ in range(6))]:
        code = _in_child(run, given, kill_at=kill_at)
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            break
        kills += 1
        files.recover_folder(out)
        if (out / "seqdemo.json").exists():
            checkpoint.load(out)
    assert kills > 4
    if code:
        assert _in_child(run, given) == 0
    assert weights(out) == weights(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text.txt", "whole"]
    assert sorted(path.name for path in (out / "training").iterdir()) == ["metrics.jsonl", "run.json"]


def test_killed_at_random_moments(run: Run, whole: Path, tmp_path: Path) -> None:
    """kill -9 from outside, at whatever moment: the same."""
    given = {**OPTIONS, "save_every_seconds": 0.0}
    chance = random.Random(3)
    for _ in range(4):
        if _in_child(run, given, kill_after=chance.uniform(0.1, 1.2)) == 0:
            break
    else:
        assert _in_child(run, given) == 0
    assert weights(tmp_path / "out") == weights(whole)


def test_other_choices_are_refused_by_name(run: Run, tmp_path: Path) -> None:
    """A run goes on only with what it was begun with; the message names the first differences."""
    with pytest.raises(TrainingInterrupted):
        run(listeners=[InterruptAt(3)])
    for given, said in (
        ({"batch_size": 2}, "training.batch_size was 4, is 2"),
        ({"model": "gru"}, 'models.decoder.name was "lstm", is "gru"'),
        ({"model_config": {"hidden_size": 13}}, "models.decoder.config.hidden_size was 12, is 13"),
        ({"join": " "}, "data.join"),
    ):
        with pytest.raises(ConfigError, match=said):
            run(**given)
    text = tmp_path / "text.txt"
    original = text.read_text()
    text.write_text(original + "more")
    with pytest.raises(ConfigError, match=r"data.files.text.txt was"):
        run()
    text.write_text(original)
    assert run(log_every=3, save_every_seconds=1.0, sample_tokens=0).steps == 24


def test_finished_runs_are_left_alone(run: Run, tmp_path: Path) -> None:
    """A finished run says so; --overwrite starts afresh; a folder that is no run is never touched."""
    first = weights(run().folder)
    with pytest.raises(ConfigError, match=r"finished run of 24 steps.*--overwrite"):
        run()
    assert weights(tmp_path / "out") == first
    assert weights(run(overwrite=True, seed=1).folder) != first
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="holds no run"):
            run(out=other, overwrite=overwrite)
    assert (other / "thesis.txt").read_text() == "mine"


def test_overwriting_takes_effect_only_when_all_is_well(run: Run, tmp_path: Path) -> None:
    """A run that is refused does not cost the one that it was to replace."""
    first = weights(run().folder)
    for given in ({"batch_size": 100_000}, {"sample_prompt": "日"}, {"tokenizer": "nope"}):
        with pytest.raises(SeqdemoError):
            run(overwrite=True, **given)
        assert weights(tmp_path / "out") == first
    (tmp_path / "out" / "training" / "run.json").write_text("{")
    assert run(overwrite=True, seed=1).steps == 24


def test_one_process_at_a_time(run: Run, tmp_path: Path) -> None:
    """While a process trains into a folder, another is refused, whatever it asks for."""
    codes = []

    class Intrude(Listener):
        def step(self, step: int, progress: float, seconds: float) -> None:
            if step in (5, 12):  # before the first save, and after the folder was replaced by one
                child = multiprocessing.get_context("fork").Process(target=intrude, args=(step == 12,))
                child.start()
                child.join(60)
                codes.append(child.exitcode)

    def intrude(overwrite: bool) -> None:
        try:
            run(overwrite=overwrite, seed=3)
        except ConfigError as error:
            os._exit(7 if "Another process" in str(error) else 8)
        os._exit(9)

    assert run(listeners=[Intrude()]).steps == 24
    assert codes == [7, 7]
    checkpoint.load(tmp_path / "out")


def test_what_else_lies_in_the_folder_stays(run: Run, tmp_path: Path) -> None:
    """A note that the user puts beside the checkpoint while training survives every save."""

    class Note(Listener):
        def validated(self, record: Any) -> None:
            (tmp_path / "out" / f"note-{record['step']}.txt").write_text("mine")

    run(listeners=[Note()])
    assert len(list((tmp_path / "out").glob("note-*.txt"))) == 3


def test_bad_input_writes_nothing(run: Run, tmp_path: Path) -> None:
    """Whatever is refused before the first step leaves no folder behind."""
    short = tmp_path / "short.txt"
    short.write_text("a")
    for given in (
        {"data": short},
        {"data": tmp_path / "none.txt"},
        {"model": "nope"},
        {"batch_size": 100_000, "validation_fraction": 0.0},
        {"batch_size": 3000},
        {"sample_prompt": "日"},
        {"device": "cuda:77"},
        {"validation": [short]},
        {"preset": "nope"},
        {"learning_rate": float("nan")},
        {"no_such_option": 1},
    ):
        with pytest.raises(SeqdemoError) as caught:
            run(**given)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("operation", ["fsync", "write"])
def test_full_disk(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """When the disk fills up while training, one line says so, the last checkpoint is whole, and the run can go on."""
    out = tmp_path / "out"

    class Fill(Listener):
        def validated(self, record: Any) -> None:
            if record["step"] == 8:
                patch.setattr(os, operation, full)

    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SeqdemoError, match="the disk is full"):
        run(listeners=[Fill()])
    checkpoint.load(out)
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert run().steps == 24


def test_damaged_states_are_named(run: Run, tmp_path: Path) -> None:
    """A state or run file that was altered is said to be damaged."""
    with pytest.raises(TrainingInterrupted):
        run(listeners=[InterruptAt(3)])
    (state,) = (tmp_path / "out" / "training").glob("state-*")
    data = (state / "tensors.safetensors").read_bytes()
    (state / "tensors.safetensors").write_bytes(data[:-5])
    with pytest.raises(CheckpointError, match=r"damaged.*--overwrite"):
        run()
    (tmp_path / "out" / "training" / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run.json is damaged"):
        run()


def test_differences_are_nested_paths() -> None:
    """Only what differs is named, whichever side lacks it."""
    before = {"a": 1, "b": {"c": 2, "d": 3}, "e": [1]}
    now = {"a": 1, "b": {"c": 4, "x": 5}, "e": [1]}
    assert differences(before, now, frozenset({"b.x"})) == ["b.c was 2, is 4", "b.d was 3, is null"]
