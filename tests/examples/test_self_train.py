"""The script that labels sentences with the mean of several checkpoints."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import seqdemo

SCRIPT = Path(__file__).parents[2] / "examples" / "checkpoints" / "self_train.py"
REVIEWS = [
    {"text": "It was a very good film. Too short! The cast was fine, and so was the end.", "label": "good"},
    {"text": "It was a very good film.\nNobody should have to see this one.", "label": "bad"},
    {"text": "I saw it in the winter, alone. HELD  out sentence, it is!", "label": "bad"},
]
FOUND = {
    "It was a very good film.": "good",
    "The cast was fine, and so was the end.": "good",
    "Nobody should have to see this one.": "bad",
    "I saw it in the winter, alone.": "bad",
}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)


def teacher(folder: Path, labels: list[str], seed: int = 0) -> Any:
    pipe = seqdemo.pipeline(
        "sentiment",
        tokenizer="bytes",
        model_config={"hidden_size": 4},
        task_config={"labels": labels, "embedding_size": 4},
        device="cpu",
        seed=seed,
    )
    pipe.save(folder)
    return pipe


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def test_sentences_get_the_teachers_mean_leant_to_their_review(tmp_path: Path) -> None:
    """Rows that were labelled come first, as they were; then each sentence of 4 words or more once, none held out."""
    pipes = [teacher(tmp_path / f"teacher{n}", ["bad", "good"], seed=n) for n in range(2)]
    assert len({pipe("so").scores["good"] for pipe in pipes}) == 2
    labelled = [{"text": "fine", "label": "good"}, {"text": "so", "label": {"bad": 0.5, "good": 0.5}}]
    told = run(
        write(tmp_path / "labelled.jsonl", labelled),
        tmp_path / "more.jsonl",
        "--texts",
        write(tmp_path / "reviews.jsonl", REVIEWS),
        "--teachers",
        *(tmp_path / f"teacher{n}" for n in range(2)),
        "--leave-out",
        write(tmp_path / "held.jsonl", [{"text": "It goes on. Held out sentence it is"}]),
    )
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in (tmp_path / "more.jsonl").read_text("utf-8").splitlines()]
    assert rows[:2] == labelled
    assert [row["text"] for row in rows[2:]] == list(FOUND)
    for row in rows[2:]:
        good = sum(float(pipe(row["text"]).scores["good"]) for pipe in pipes) / 2
        odds = good / (1 - good) * math.exp(0.5 if FOUND[row["text"]] == "good" else -0.5)
        assert row["label"]["good"] == pytest.approx(odds / (1 + odds), abs=1e-5)
        assert sum(row["label"].values()) == pytest.approx(1.0, abs=1e-5)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    """Teachers that know other labels, or not those of the texts, and a file without rows: nothing is written."""
    teacher(tmp_path / "one", ["bad", "good"])
    teacher(tmp_path / "other", ["no", "yes"])
    rows = write(tmp_path / "rows.jsonl", REVIEWS)
    (tmp_path / "broken.jsonl").write_text("{", "utf-8")
    for labelled, teachers, said in (
        (rows, ["one", "other"], "the same labels"),
        (rows, ["other"], "the label 'good'"),
        (tmp_path / "broken.jsonl", ["one"], "cannot be read"),
    ):
        told = run(
            labelled, tmp_path / "out.jsonl", "--texts", rows, "--teachers", *(tmp_path / name for name in teachers)
        )
        assert told.returncode == 2
        assert said in told.stderr
        assert not (tmp_path / "out.jsonl").exists()
