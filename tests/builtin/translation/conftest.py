"""Small translation heads around a byte tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seqdemo.builtin.translation.head import TranslationHead
from seqdemo.parts import assemble, spec, train_tokenizer

ROWS = [
    {"source": "ein Hund", "target": "a dog"},
    {"source": "zwei kleine Katzen", "target": "two small cats"},
    {"source": "ja", "target": "yes"},
    {"source": "drei Männer gehen", "target": "three men are walking there"},
]


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    """Pairs of different lengths on both sides."""
    return ROWS


@pytest.fixture(scope="session")
def make() -> Callable[..., TranslationHead]:
    """A head in float64 and evaluation mode; keyword arguments are config values, ``model`` is a registered name."""

    def build(model: str = "lstm", seed: int = 0, **config: Any) -> TranslationHead:
        values = {"embedding_size": 10, "attention_size": 7, **config}
        task = spec("tasks", "translation", values)
        models = {
            role: spec("models", model, {"hidden_size": size})
            for role, size in (("encoder", 5), ("decoder", 6), ("refiner", 8))
        }
        roles = task.config.tokenizer_roles  # type: ignore[attr-defined]
        trained = {role: train_tokenizer(spec("tokenizers", "bytes", {"end_token": True}), ["a"]) for role in roles}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            head = assemble(task, models, trained).head
        assert isinstance(head, TranslationHead)
        return head.double().eval().requires_grad_(False)

    return build
