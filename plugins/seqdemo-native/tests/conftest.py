"""What every test here shares: one CPU thread, a home of its own, small pipelines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from seqdemo.plugin import TokenHead

TEXT = "The time traveller was expounding a recondite matter to us. 我爱你。Ça va bien?\n"

VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", "model_config": {"hidden_size": 70, "num_layers": 3}},
    "lstm-no-bias": {"model": "lstm", "model_config": {"hidden_size": 20, "bias": False}},
    "lstm-one-hot": {"model": "lstm", "task_config": {"input": "one-hot"}},
    "lstm-tied": {"model": "lstm", "task_config": {"tie_weights": True, "embedding_size": 9}},
    "gru": {"model": "gru", "model_config": {"hidden_size": 21, "num_layers": 2}},
    "rnn": {"model": "rnn", "model_config": {"hidden_size": 19, "num_layers": 2}},
    "rnn-relu": {"model": "rnn", "model_config": {"hidden_size": 19, "nonlinearity": "relu"}},
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or touches the user's own data."""
    monkeypatch.setenv("SEQDEMO_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def make_head() -> Callable[..., TokenHead]:
    """Small untrained heads, seeded, their weights twice as large as they start out: no flat distributions."""

    def make(variant: str = "lstm", **given: Any) -> TokenHead:
        from seqdemo.pipeline import pipeline

        chosen = {
            "tokenizer": "char",
            "texts": [TEXT],
            "model_config": {"hidden_size": 12},
            "task_config": {"embedding_size": 8},
            "device": "cpu",
        }
        made = pipeline(**{**chosen, **VARIANTS[variant], **given}).head  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.mul_(2.0)
        assert isinstance(made, TokenHead)
        return made

    return make


@pytest.fixture(params=sorted(VARIANTS))
def head(request: pytest.FixtureRequest, make_head: Callable[..., TokenHead]) -> TokenHead:
    """Each kind of head."""
    return make_head(request.param)
