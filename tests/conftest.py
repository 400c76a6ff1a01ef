"""What every test shares: one CPU thread, a home of its own, and a small pipeline."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seqdemo.pipeline import Pipeline

TEXT = "The time traveller was expounding a recondite matter to us. 我爱你。Ça va bien?\n"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or touches the user's own data."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SEQDEMO_HOME", str(folder))
    return folder


@pytest.fixture
def make_pipeline() -> Callable[..., Pipeline]:
    """Small untrained pipelines, seeded."""

    def make(**given: Any) -> Pipeline:
        from seqdemo.pipeline import pipeline

        chosen: dict[str, Any] = {
            "model": "lstm",
            "tokenizer": "char",
            "texts": [TEXT],
            "model_config": {"hidden_size": 12},
            "task_config": {"embedding_size": 8},
            "device": "cpu",
        }
        return pipeline(**{**chosen, **given})

    return make
