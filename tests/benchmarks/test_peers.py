"""Models that stand in for the benchmark's networks have as many weights."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from .conftest import script


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    return script("peers")


@pytest.mark.parametrize("size", ["small", "medium"])
def test_the_model_of_equal_bytes_has_as_many_weights(peers: ModuleType, size: str) -> None:
    """To a twentieth, in whole heads and a likely shape."""
    layers, hidden, vocabulary = script("decode").SIZES[size]
    count = 2 * vocabulary * hidden + vocabulary + layers * 8 * (hidden * hidden + hidden)
    network: Any = SimpleNamespace(
        parameters=lambda: [SimpleNamespace(numel=lambda: count)], output=SimpleNamespace(out_features=vocabulary)
    )
    deep, width = peers.shape(network)
    assert width % peers.HEAD == 0
    assert 32 <= width / deep <= 160
    weights = peers.rwkv_weights(deep, width, vocabulary)
    assert abs(sum(tensor.numel() for tensor in weights.values()) / count - 1) < 0.05
    assert weights["emb.weight"].shape == weights["head.weight"].shape == (vocabulary, width)
    assert f"blocks.{deep - 1}.att.r_k" in weights
    assert f"blocks.{deep}.att.r_k" not in weights
