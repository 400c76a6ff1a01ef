"""The toy pipeline, as a fixture: test folders are no packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from seqdemo.decoding import Engine, Session
from seqdemo.plugin import SamplingOptions


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy() -> Any:
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def head(toy: Any) -> Any:
    return toy.ToyHead()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine("cpu")
    yield made
    made.close()


@pytest.fixture
def session(head: Any, engine: Engine) -> Session:
    return Session(head, SamplingOptions(max_tokens=70, seed=1), "abc", on=engine)
