"""Small untrained classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from seqdemo.builtin.classification.head import ClassificationHead

TEXTS = ["a fine film, truly", "dull", "the plot goes nowhere and the actors look lost in it", "good. bad. good?", ""]


@pytest.fixture
def texts() -> list[str]:
    """Of different lengths, one of them empty."""
    return list(TEXTS)


@pytest.fixture
def make_head() -> Callable[..., ClassificationHead]:
    """``make(model, bidirectional=…, task_config) -> head``, in float64, its parameters drawn widely."""

    def make(
        model: str = "lstm",
        bidirectional: bool = False,
        tokenizer: str = "words",
        num_layers: int = 2,
        tokenizer_config: Mapping[str, Any] | None = None,
        **task_config: Any,
    ) -> ClassificationHead:
        from seqdemo.pipeline import pipeline

        head = pipeline(
            "sentiment",
            model=model,
            tokenizer=tokenizer,
            texts=TEXTS,
            model_config={"hidden_size": 5, "num_layers": num_layers, "bidirectional": bidirectional},
            tokenizer_config=tokenizer_config,
            task_config={"labels": ["bad", "good", "odd"], "embedding_size": 4, **task_config},
            device="cpu",
        ).head.double()
        assert isinstance(head, ClassificationHead)
        draw = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.copy_(0.7 * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
        return head

    return make
