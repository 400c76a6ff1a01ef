"""A small text and a small run over it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL: dict[str, Any] = {
    "model": "lstm",
    "tokenizer": "char",
    "model_config": {"hidden_size": 12},
    "task_config": {"embedding_size": 6},
    "batch_size": 4,
    "window": 8,
    "steps": 24,
    "validate_every": 8,
    "warmup_steps": 4,
    "learning_rate": 1e-2,
    "precision": "fp32",
    "device": "cpu",
    "threads": 1,
    "sample_tokens": 6,
    "log_every": 4,
    "progress": False,
}


def some_text(characters: int = 3000, seed: int = 0) -> str:
    """Words in random order, so that there is something to learn."""
    chance = random.Random(seed)
    words = ["the", "time", "traveller", "smiled", "at", "us", "and", "said:", "no.\n"]
    text = ""
    while len(text) < characters:
        text += chance.choice(words) + " "
    return text[:characters]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text of 3,000 characters."""
    path = tmp_path / "text.txt"
    path.write_text(some_text(), "utf-8")
    return path


@pytest.fixture
def run(text_file: Path, tmp_path: Path) -> Callable[..., Any]:
    """Train something small; keyword arguments replace the defaults."""

    def start(**given: Any) -> Any:
        from seqdemo.training import train

        return train(**{**SMALL, "data": text_file, "out": tmp_path / "out", **given})

    return start


@pytest.fixture
def lines() -> Callable[..., list[dict[str, Any]]]:
    """The records of one kind in a run's metrics.jsonl."""

    def read(folder: Path, kind: str) -> list[dict[str, Any]]:
        text = (folder / "training" / "metrics.jsonl").read_text("utf-8")
        return [record for record in map(json.loads, text.splitlines()) if record["kind"] == kind]

    return read
