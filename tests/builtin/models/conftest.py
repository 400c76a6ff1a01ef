"""The six built-in models by name, and how to build them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch

from seqdemo.builtin import seqdemo_models
from seqdemo.plugin import RecurrentModel, State, build_model

RECORDS = {record.name: record for record in seqdemo_models()}


def _resolve(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", params=sorted(RECORDS))
def name(request) -> str:
    """Each model's registered name in turn."""
    return request.param


@pytest.fixture(scope="session")
def make():
    """``make(name, input_size, **config)`` -> the model in float64 and evaluation mode, the same each time."""

    def make(name: str, input_size: int = 3, *, dtype: torch.dtype = torch.float64, **config: Any) -> RecurrentModel:
        record = RECORDS[name]
        values = {"hidden_size": 4, "num_layers": 2} | config
        torch.manual_seed(11)
        model = build_model(_resolve(record.implementation), _resolve(record.config)(**values), input_size)
        return model.to(dtype).eval()

    return make


@pytest.fixture(scope="session")
def random_state():
    """``random_state(model, rows)`` -> a state of that layout with no zeros in it, the same each time."""

    def random_state(model: RecurrentModel, rows: int) -> State:
        generator = torch.Generator().manual_seed(7)
        zeros = model.initial_state(rows)
        return {name: torch.randn(z.shape, generator=generator, dtype=torch.float64).to(z) for name, z in zeros.items()}

    return random_state
