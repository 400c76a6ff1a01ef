"""Tasks that take examples rather than streams, with a toy plugin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqdemo.errors import DataError

PLUGIN = '''
from typing import ClassVar
import torch
from torch import nn
from seqdemo.plugin import (
    Column, LossOutput, Metrics, TaskConfig, TaskHead, TaskRecord, hookimpl,
)

class Config(TaskConfig):
    """Says whether a text is a question."""
    tokenizer_roles: ClassVar = ("text",)
    model_roles: ClassVar = ("encoder",)
    columns: ClassVar = (Column("text"), Column("label", kind="label", role="target"))
    batching: ClassVar = "examples"

class Accuracy(Metrics):
    def update(self, batch, output):
        super().update(batch, output)
        self.add(right=self.right)
    def compute(self):
        return {**super().compute(), "accuracy": self.totals["right"] / max(self.totals["count"], 1)}

class Head(TaskHead):
    def __init__(self, config, tokenizers, models):
        super().__init__(config, tokenizers, models)
        self.embedding = nn.Embedding(tokenizers["text"].vocab_size, 8)
        self.encoder = models("encoder", 8)
        self.output = nn.Linear(self.encoder.output_size, 2)
    def encode(self, row):
        return self.tokenizers["text"].encode(row["text"]), int(row["label"])
    def collate(self, items):
        lengths = torch.tensor([len(ids) for ids, _ in items])
        ids = torch.zeros(len(items), int(lengths.max()), dtype=torch.long)
        for k, (one, _) in enumerate(items):
            ids[k, : len(one)] = torch.tensor(one)
        return {"ids": ids, "lengths": lengths, "labels": torch.tensor([label for _, label in items])}
    def loss(self, batch, state=None):
        y, _ = self.encoder(self.embedding(batch["ids"]), None, batch["lengths"])
        last = y[torch.arange(len(y)), batch["lengths"] - 1]
        scores = self.output(last).float()
        self.right = (scores.argmax(1) == batch["labels"]).sum()
        total = nn.functional.cross_entropy(scores, batch["labels"], reduction="sum")
        return LossOutput(total, torch.tensor(len(y)), None)
    def metrics(self):
        counter = Accuracy()
        head = self
        Accuracy.right = property(lambda self: head.right)
        return counter

@hookimpl
def seqdemo_tasks():
    return [TaskRecord("is-question", f"{__name__}:Head", f"{__name__}:Config", "toy")]
'''


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Path]:
    """Rows of the toy task, which is registered while the test runs."""
    from seqdemo.manager import configure

    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "is_question.py").write_text(PLUGIN)
    configure([folder])
    rows = [{"text": "ab" * (1 + n % 5) + ("?" if n % 3 else "."), "label": int(n % 3 > 0)} for n in range(90)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield data
    configure([])


def test_examples_train_and_resume(toy: Path, run: Callable[..., Any], lines: Any) -> None:
    """A classifier learns its rule; interrupted and resumed, it ends with the same weights."""
    import os
    import signal

    from seqdemo.training import Listener, TrainingInterrupted, evaluate

    class Stop(Listener):
        def step(self, step: int, progress: float, seconds: float) -> None:
            if step == 33:
                os.kill(os.getpid(), signal.SIGINT)

    given = {"task": "is-question", "data": toy, "task_config": {}, "batch_size": 8, "steps": 80, "window": 1}
    whole = run(**given, validate_every=20)
    assert whole.metrics["accuracy"] == 1.0
    assert evaluate(whole.folder, toy, device="cpu")["accuracy"] > 0.95
    again = whole.folder.parent / "again"
    with pytest.raises(TrainingInterrupted):
        run(**given, validate_every=20, out=again, listeners=[Stop()])
    run(**given, validate_every=20, out=again)
    assert (again / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


def test_plain_text_has_no_labels(toy: Path, run: Callable[..., Any], text_file: Path) -> None:
    """A task of two columns says which ones it needs."""
    with pytest.raises(DataError, match="text, label"):
        run(task="is-question", task_config={}, data=text_file)
