"""How long the pieces are that a prompt is read in, and where they end."""

from __future__ import annotations

from typing import Any

import pytest

from seqdemo.decoding import CHUNK, Engine, Request, chunk_size
from seqdemo.plugin import SamplingOptions
from seqdemo.plugin import state as verbs


def test_chunks_are_smaller_where_models_are_larger(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tokens as read so many weights, as a power of two between 16 and 256."""
    weights = sum(parameter.numel() for parameter in head.decoder.parameters())
    sizes = []
    for fitting in (1, 15, 16, 33, 127, 128, 300, 10_000):
        monkeypatch.setattr("seqdemo.decoding.generation._READS", fitting * weights)
        sizes.append(chunk_size(head))
    assert sizes == [16, 16, 16, 32, 64, 128, CHUNK, CHUNK]


def test_chunks_end_at_multiples_of_the_size(toy: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any position on, and so at the same places whether or not what came before was read just now."""
    monkeypatch.setattr("seqdemo.decoding.lane.chunk_size", lambda head: 32)
    head, prompt = toy.ToyHead(), [65 + k % 7 for k in range(150)]
    nothing = SamplingOptions(max_tokens=0, seed=0)
    whole = engine.submit(Request(head, prompt, nothing))
    whole.decoded()
    assert [time for _, time in head.calls] == [32, 32, 32, 32, 22]
    part = engine.submit(Request(head, prompt[:64], nothing))
    part.decoded()
    head.calls.clear()
    rest = engine.submit(Request(head, prompt[64:], nothing, start=part.snapshot))
    rest.decoded()
    assert [time for _, time in head.calls] == [32, 32, 22]
    assert verbs.equal(whole.snapshot.state, rest.snapshot.state)
