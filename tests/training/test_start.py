"""Runs that begin from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqdemo
from seqdemo.errors import ConfigError

ROWS = '{"text": "good film", "label": "yes"}\n{"text": "dull film", "label": "no"}\n'
OTHERS = '{"text": "good plot", "label": "a"}\n{"text": "dull", "label": "b"}\n{"text": "film", "label": "c"}\n'
SMALL: dict[str, Any] = {
    "task": "sentiment",
    "tokenizer": None,
    "task_config": {"embedding_size": 4},
    "model_config": {"hidden_size": 3},
    "validation_fraction": 0.0,
    "steps": 1,
}
STILL = 1e-30
"""A learning rate at which no weight moves."""


@pytest.fixture
def first(run: Callable[..., Any], tmp_path: Path) -> Path:
    """A classifier of two labels."""
    data = tmp_path / "first.jsonl"
    data.write_text(ROWS * 4)
    folder: Path = run(**{**SMALL, "data": data, "out": tmp_path / "first"}).folder
    return folder


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Rows with three labels and a word that the first classifier never saw."""
    path = tmp_path / "others.jsonl"
    path.write_text(OTHERS * 4)
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_weights_that_fit_are_taken_over(run: Callable[..., Any], first: Path, others: Path, tmp_path: Path) -> None:
    """Vocabulary and all weights but the output layer, whose labels are others, come from the checkpoint."""
    given = {**SMALL, "data": others, "learning_rate": STILL, "weight_decay": 0.0}
    begun = run(**given, init_from=first, out=tmp_path / "begun").folder
    fresh = run(**given, tokenizer_config={"vocab_size": 8}, out=tmp_path / "fresh").folder
    old, new = weights(first), weights(begun)
    fits = {name for name in old if not name.startswith("output.")}
    assert {name for name in old if old[name].shape == new[name].shape} == fits
    assert all(torch.equal(old[name], new[name]) for name in fits)
    assert not torch.equal(old["embedding.weight"], weights(fresh)["embedding.weight"])
    mine, theirs = (seqdemo.load(folder, device="cpu").tokenizers["text"] for folder in (begun, first))
    assert mine.encode("good dull plot") == theirs.encode("good dull plot")
    card = (begun / "README.md").read_text("utf-8")
    assert f"Begun from {first}: {len(fits)} of {len(old)} tensors were taken over" in card
    assert "Fresh ones: output.weight, output.bias." in card


def test_going_on_with_the_same_labels(run: Callable[..., Any], first: Path, tmp_path: Path) -> None:
    """With labels as before the whole checkpoint is taken over: without a change nothing is lost."""
    given = {**SMALL, "data": tmp_path / "first.jsonl", "learning_rate": STILL, "weight_decay": 0.0}
    again = run(**given, init_from=first, out=tmp_path / "again").folder
    old, new = weights(first), weights(again)
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_stopped_and_resumed(run: Callable[..., Any], first: Path, others: Path, tmp_path: Path) -> None:
    """A stopped run goes on where it was, not from the checkpoint again; another checkpoint is another run."""
    import os
    import signal

    from seqdemo.training import Listener, TrainingInterrupted

    class Stop(Listener):
        def step(self, step: int, progress: float, seconds: float) -> None:
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    given = {**SMALL, "data": others, "steps": 6}
    whole = run(**given, init_from=first, out=tmp_path / "whole").folder
    with pytest.raises(TrainingInterrupted):
        run(**given, init_from=first, out=tmp_path / "parts", listeners=[Stop()])
    with pytest.raises(ConfigError, match="init_from was"):
        run(**given, init_from=whole, out=tmp_path / "parts")
    parts = run(**given, init_from=first, out=tmp_path / "parts").folder
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_what_cannot_be_begun_from(run: Callable[..., Any], first: Path, others: Path) -> None:
    """Other sizes, a tokenizer of one's own and a task with other roles are refused, and the reason is named."""
    sizes = {"task_config": {"embedding_size": 5}, "model_config": {"hidden_size": 4}, "data": others}
    with pytest.raises(ConfigError, match="no weight has the same name and shape"):
        run(**{**SMALL, **sizes}, init_from=first)
    with pytest.raises(ConfigError, match="leave those of --tokenizer out"):
        run(**{**SMALL, "tokenizer": "words", "data": others}, init_from=first)
    apart = {"task": "translation", "task_config": {"shared_vocabulary": False}, "model_config": {}}
    with pytest.raises(ConfigError, match="tokenizers for text, the task takes source, target"):
        run(**{**SMALL, **apart, "data": others}, init_from=first)
