"""What every test shares: one CPU thread, a home of its own, and a small pipeline."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import asyncio
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seqdemo.pipeline import Pipeline

TEXT = "The time traveller was expounding a recondite matter to us. 我爱你。Ça va bien?\n"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A worker of xdist ignores Ctrl-C, and a process that it starts would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, one has all those in the browser, and a file is one process's."""
    for item in items:
        group = "browser" if item.get_closest_marker("browser") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def run_async() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """``asyncio.run`` in a thread of its own: in the main one the browser's loop may be running."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, coroutine).result()

    return run


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
