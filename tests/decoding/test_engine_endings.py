"""Streams that end early, and what their ends leave alone."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest
import torch

from seqdemo.decoding import Engine
from seqdemo.errors import PluginError, SeqdemoError, SessionError, StateError
from seqdemo.plugin import Done, Token

LONG = 1_000_000


def test_closing_ends_a_stream_within_a_step_and_keeps_its_text(toy: Any, head: Any, engine: Engine) -> None:
    """No more is read after the turn that was under way; what was made can be read and gone on from."""
    with engine.submit(toy.ask(head, max_tokens=LONG)) as stream:
        for event in stream:
            if isinstance(event, Token):
                break
    decoded = stream.decoded()
    assert decoded.done.reason == "cancelled"
    engine.run(lambda: None)
    read = head.tokens_read
    time.sleep(0.05)
    assert head.tokens_read == read == stream.snapshot.position
    stream.close()
    assert list(stream) == []


def test_a_stream_nobody_holds_stops_by_itself(toy: Any, head: Any, engine: Engine) -> None:
    """Breaking out of a loop is enough."""
    for event in engine.submit(toy.ask(head, max_tokens=LONG)):
        if isinstance(event, Token):
            break
    gc.collect()
    toy.wait_until(lambda: engine.load == (0, 0))
    read = head.tokens_read
    time.sleep(0.02)
    assert head.tokens_read == read


def test_the_engine_holds_on_to_no_pipeline(toy: Any, engine: Engine) -> None:
    """Once its requests ended, a head lives as long as its owner wants."""
    head = toy.ToyHead()
    engine.submit(toy.ask(head)).decoded()
    engine.run(lambda: None)
    gone = weakref.ref(head)
    del head
    gc.collect()
    toy.wait_until(lambda: gc.collect() >= 0 and gone() is None)


def test_a_head_that_raises_ends_its_own_request_only(toy: Any, engine: Engine) -> None:
    """Its reader gets Done("error") and then the error itself; the neighbour's text is untouched."""
    good, broken = toy.ToyHead(), toy.ToyHead(seed=1)
    want = engine.submit(toy.ask(good)).decoded().text
    broken.fail_after = 20
    bad, fine = engine.submit(toy.ask(broken)), engine.submit(toy.ask(good))
    events: list[Any] = []
    with pytest.raises(RuntimeError, match="this head is broken"):
        events.extend(bad)
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "error"
    assert sum(isinstance(event, Token) for event in events) == events[-1].usage.tokens == 15
    assert list(bad) == []
    with pytest.raises(SessionError, match="failed"):
        _ = bad.snapshot
    assert fine.decoded().text == want
    broken.fail_after = None
    assert engine.submit(toy.ask(broken)).decoded().done.reason == "length"


def test_damaged_weights_give_one_clear_error(toy: Any, head: Any, engine: Engine) -> None:
    """Logits that are NaN are not sampled from."""
    with torch.no_grad():
        head.output.bias[3] = float("nan")
    with pytest.raises(PluginError, match="not numbers"):
        engine.submit(toy.ask(head)).decoded()


def test_a_snapshot_of_another_pipeline_is_refused_by_name(toy: Any, engine: Engine) -> None:
    """Another size and another precision."""
    stream = engine.submit(toy.ask(toy.ToyHead()))
    stream.decoded()
    for other in (toy.ToyHead(hidden=8), toy.ToyHead().double()):
        with pytest.raises(StateError, match=r"does not fit this pipeline.*decoder\.h|head\.output"):
            engine.submit(toy.resume(other, stream)).decoded()


def test_a_head_in_training_mode_is_refused(toy: Any, head: Any, engine: Engine) -> None:
    """Dropout would be on."""
    with pytest.raises(SeqdemoError, match="training mode"):
        engine.submit(toy.ask(head.train()))
