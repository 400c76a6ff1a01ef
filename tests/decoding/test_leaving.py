"""Streams that end beside others: who frees a row, when, and who hears of it. No clock: turns are counted."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from seqdemo.decoding import Engine
from seqdemo.decoding.generation import Generating
from seqdemo.plugin import Token

LONG = 1_000_000


def test_readers_of_streams_that_end_together_are_told_together(
    toy: Any, head: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one told would take the interpreter from the thread that has yet to end the others."""
    left: list[int] = []
    tell = Generating.tell
    monkeypatch.setattr(Generating, "tell", lambda work: (left.append(engine.load.running), tell(work))[1])
    with toy.held(engine):
        streams = [engine.submit(toy.ask(head, max_tokens=9, seed=seed)) for seed in range(4)]
        later = engine.submit(toy.ask(head, max_tokens=30))
    assert all(len(stream.decoded().tokens) == 9 for stream in streams)
    assert len(later.decoded().tokens) == 30
    assert left == [1, 1, 1, 1, 0]


def test_cancelling_frees_the_row_within_one_step(toy: Any, engine: Engine) -> None:
    """A step after the one under way, the row is out; its neighbour goes on undisturbed."""
    head = toy.ToyHead()
    want = [token.id for token in engine.submit(toy.ask(head, seed=3, max_tokens=50)).decoded().tokens]
    streams: list[Any] = []
    at: list[int] = []

    def close_in_the_middle(ids: Any, *more: Any, **named: Any) -> Any:
        seen.append(len(ids))
        if len(seen) == 20:
            streams[0].close()
            at.append(len(seen))
        return plain(ids, *more, **named)

    plain, seen = head.next, []
    with toy.held(engine):
        streams += [engine.submit(toy.ask(head, seed=2, max_tokens=LONG))]
        streams += [engine.submit(toy.ask(head, seed=3, max_tokens=50))]
        head.next = close_in_the_middle
    assert [token.id for token in streams[1].decoded().tokens] == want
    assert seen[at[0] - 1] == 2
    assert set(seen[at[0] :]) == {1}
    assert streams[0].decoded().done.reason == "cancelled"


def test_a_reader_that_goes_away_frees_its_row(toy: Any, engine: Engine) -> None:
    """A generator that hands events on, as a server's does, ends its stream when it is closed or collected."""

    def handler() -> Iterator[str]:
        with engine.submit(toy.ask(toy.ToyHead(), max_tokens=LONG)) as stream:
            for event in stream:
                if isinstance(event, Token):
                    yield event.text

    client = handler()
    next(client)
    client.close()
    toy.wait_until(lambda: engine.load == (0, 0))
    client = handler()
    next(client)
    del client
    gc.collect()
    toy.wait_until(lambda: engine.load == (0, 0))


def test_a_timeout_ends_a_stream_and_keeps_its_text(toy: Any, engine: Engine) -> None:
    """Running, reading its prompt or waiting for a place."""
    head = toy.ToyHead()
    stream = engine.submit(toy.ask(head, max_tokens=LONG, timeout=0.2))
    decoded = stream.decoded()
    assert decoded.done.reason == "timeout"
    assert decoded.text
    assert stream.snapshot.position == 6 + len(decoded.tokens)
    reading = engine.submit(toy.ask(head, "x" * 900_000, timeout=0.2)).decoded()
    assert (reading.done.reason, reading.tokens) == ("timeout", ())
    small = Engine("cpu", capacity=1)
    first = small.submit(toy.ask(head, max_tokens=LONG))
    waiting = small.submit(toy.ask(head, timeout=0.1)).decoded()
    assert (waiting.done.reason, waiting.tokens) == ("timeout", ())
    first.close()
    first.decoded()
    assert small.load == (0, 0)
    small.close()


def test_only_the_culprit_ends(toy: Any, engine: Engine) -> None:
    """A row that makes the shared step raise is found; its neighbours' texts are what they are without it."""

    class Fragile(toy.ToyHead):  # type: ignore[misc, name-defined]
        def next(self, ids: Any, state: Any, context: Any, **more: Any) -> Any:
            if ids.shape[1] == 1 and bool((state["head.output"][:, 0].abs() > self.limit).any()):
                raise RuntimeError("this head breaks where a state grows")
            return super().next(ids, state, context, **more)

    head = Fragile()
    head.limit = float("inf")
    requests = [toy.ask(head, f"{k}", seed=k, max_tokens=40) for k in range(4)]
    want = [[token.id for token in engine.submit(request).decoded().tokens] for request in requests]
    peaks = []
    for request, tokens in zip(requests, want, strict=True):
        state, peak = head.initial_state(1), 0.0
        with torch.no_grad():
            state = head.next(torch.tensor([request.ids]), state, {}).state
            for token in tokens:
                peak = max(peak, float(state["head.output"][0, 0].abs()))
                state = head.next(torch.tensor([[token]]), state, {}).state
        peaks.append(peak)
    worst = max(range(4), key=lambda k: peaks[k])
    head.limit = (sorted(peaks)[-1] + sorted(peaks)[-2]) / 2
    with toy.held(engine):
        streams = [engine.submit(request) for request in requests]
    for k, stream in enumerate(streams):
        if k == worst:
            with pytest.raises(RuntimeError, match="where a state grows"):
                stream.decoded()
        else:
            assert [token.id for token in stream.decoded().tokens] == want[k]
    assert engine.load == (0, 0)
