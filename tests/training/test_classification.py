"""A classifier from files to predictions: trained, resumed, measured, loaded and called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import seqdemo
from seqdemo.errors import ConfigError, DataError

GOOD, BAD = ("good", "lovely", "superb"), ("bad", "awful", "dull")
SMALL: dict[str, Any] = {
    "task": "sentiment",
    "tokenizer": "words",
    "model_config": {"hidden_size": 8},
    "task_config": {"embedding_size": 8},
    "batch_size": 16,
    "steps": 60,
    "validate_every": 30,
    "learning_rate": 3e-2,
}


def write(path: Path, count: int, labels: tuple[Any, Any] = ("negative", "positive")) -> Path:
    """Rows of one telling word among others, of different lengths."""
    rows = []
    for n in range(count):
        told = n % 3 == 0
        text = ["the film"] * (n % 7) + [(GOOD if told else BAD)[n % 5 % 3], "it was"]
        rows.append({"text": " ".join(text), "label": labels[told]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """120 rows, a third of them positive."""
    return write(tmp_path / "rows.jsonl", 120)


def test_learns_and_is_loaded(data: Path, run: Callable[..., Any], lines: Any, tmp_path: Path) -> None:
    """It learns its rule; labels and weights are in the checkpoint; ``load`` gives what it learned, in any shape."""
    task_config = {**SMALL["task_config"], "balance": True}
    done = run(**{**SMALL, "data": data, "task_config": task_config})
    assert done.metrics["accuracy"] == 1.0
    assert set(done.metrics) == {"loss", "accuracy", "macro_f1", "calibration_error"}
    saved = json.loads((done.folder / "seqdemo.json").read_text("utf-8"))
    assert saved["task"]["config"]["labels"] == ["negative", "positive"]
    assert saved["task"]["config"]["class_weights"] == pytest.approx([0.75, 1.5], rel=0.05)
    assert seqdemo.evaluate(done.folder, write(tmp_path / "other.jsonl", 50))["accuracy"] == 1.0
    pipe = seqdemo.load(done.folder, device="cpu")
    one = pipe("the film the film lovely it was")
    assert isinstance(one, seqdemo.Classification)
    assert (one.label, str(one), list(one.scores)) == ("positive", "positive", ["positive", "negative"])
    two = pipe(["the film dull it was", {"text": "the film superb it was"}])
    assert [str(result) for result in two] == ["negative", "positive"]
    assert pipe([]) == []
    explained = pipe("the film the film lovely it was", explain="all")
    assert explained.tokens[explained.contributions.index(max(explained.contributions))] == " lovely"
    assert explained.running["positive"][-1] == pytest.approx(one.scores["positive"])


def test_an_iterator_is_read_as_results_are_taken(make_pipeline: Callable[..., Any]) -> None:
    """Calling with an iterator gives one, which reads no further than it must."""
    pipe = make_pipeline(task="sentiment", tokenizer="bytes", task_config={"labels": ["a", "b"], "embedding_size": 4})
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield "word " * (n % 9)

    results = pipe(texts())
    assert taken == 0
    first = [next(results) for _ in range(3)]
    assert taken < 100
    assert [result.text for result in first] == ["", "word ", "word word "]
    assert len(list(results)) == 997
    assert [r.label for r in pipe(iter(["x", "y"]))] == [r.label for r in pipe(("x", "y"))]


def test_stopped_and_resumed_is_the_same_run(data: Path, run: Callable[..., Any]) -> None:
    """Batches of like length and labels from the data do not keep a run from going on where it was."""
    import os
    import signal

    from seqdemo.training import Listener, TrainingInterrupted

    class Stop(Listener):
        def step(self, step: int, progress: float, seconds: float) -> None:
            if step == 13:
                os.kill(os.getpid(), signal.SIGINT)

    given = {**SMALL, "data": data, "steps": 30, "validate_every": 10}
    whole = run(**given)
    again = whole.folder.parent / "again"
    with pytest.raises(TrainingInterrupted):
        run(**given, out=again, listeners=[Stop()])
    run(**given, out=again)
    assert (again / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("best", [None, "lowest:loss", "highest:calibration_error"])
def test_the_checkpoint_is_the_best_by_its_metric(
    data: Path, run: Callable[..., Any], lines: Any, best: str | None
) -> None:
    """The task's metric, or the one asked for, chooses; of equals the one with the lowest loss."""
    done = run(**{**SMALL, "data": data, "steps": 60, "validate_every": 6, "best": best})
    way, name = (best or "highest:accuracy").split(":")
    found = [(one["metrics"][name], one["metrics"]["loss"], one["step"]) for one in lines(done.folder, "validation")]
    wanted = (max if way == "highest" else min)(value for value, _, _ in found)
    assert done.metrics[name] == wanted
    assert done.best_step == min((loss, step) for value, loss, step in found if value == wanted)[1]


def test_a_metric_that_is_not_there(data: Path, run: Callable[..., Any]) -> None:
    """The error lists the metrics that are."""
    with pytest.raises(ConfigError, match=r"'bleu' is no metric of this task\. It has: loss, accuracy"):
        run(**{**SMALL, "data": data, "steps": 2, "validate_every": 1, "best": "highest:bleu"})


def test_labels_the_training_data_lacks(data: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    """A label in other data that training never saw is one line with its row; a missing column says what to do."""
    other = write(tmp_path / "other.jsonl", 10, ("negative", "mixed"))
    with pytest.raises(DataError, match=r"Row 1 of the data: The label 'mixed' is not one .* negative, positive"):
        run(**{**SMALL, "data": data, "validation": other, "steps": 2})
    table = tmp_path / "table.csv"
    table.write_text("text,stars\nfine,5\ndull,1\n", "utf-8")
    with pytest.raises(DataError, match=r"no column 'label'\. It has: text, stars\. .*--column label=NAME"):
        run(**{**SMALL, "data": table, "steps": 2})


def test_a_table_with_numbers_as_labels(run: Callable[..., Any], tmp_path: Path) -> None:
    """Stars in a CSV file are labels, sorted by size, in a column of any name."""
    table = tmp_path / "table.csv"
    table.write_text("stars,text\n" + "".join(f"{n % 3 + 9},text {n % 3}\n" for n in range(40)), "utf-8")
    done = run(**{**SMALL, "data": table, "columns": {"label": "stars"}, "steps": 2, "validation_fraction": 0.25})
    assert set(seqdemo.load(done.folder)("text 1").scores) == {"9", "10", "11"}
    saved = json.loads((done.folder / "seqdemo.json").read_text("utf-8"))
    assert saved["task"]["config"]["labels"] == ["9", "10", "11"]
