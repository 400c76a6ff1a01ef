"""The same text, however it is reached."""

from __future__ import annotations

import sys
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding import CHUNK, Engine, Request
from seqdemo.decoding import engine as engine_of
from seqdemo.errors import SessionError
from seqdemo.plugin import Done, Prefill, SamplingOptions, Token
from seqdemo.plugin import state as verbs

LONG = 1_000_000


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**63 - 1), st.integers(1, 59), st.sampled_from([1.0, 1.4]))
def test_going_on_from_any_place_gives_what_one_go_gives(toy: Any, seed: int, cut: int, penalty: float) -> None:
    """Ids and text do not depend on where a stream was cut: by length and then by cancelling."""
    head, engine = toy.ToyHead(), engine_of("cpu")
    options = {"seed": seed, "repetition_penalty": penalty, "stop": ("abcab",), "max_tokens": 60}
    whole = engine.submit(toy.ask(head, **options)).decoded()
    first = engine.submit(toy.ask(head, **{**options, "max_tokens": cut}))
    start = first.decoded()
    if start.done.reason == "length":
        rest = engine.submit(toy.resume(head, first, **{**options, "max_tokens": 60 - cut})).decoded()
        shown = "".join(token.text for token in start.tokens)
        assert toy.ids(start) + toy.ids(rest) == toy.ids(whole)
        assert shown + rest.text == whole.text


def test_going_on_after_cancelling_or_from_an_anchor_gives_the_same_text(toy: Any, head: Any, engine: Engine) -> None:
    """A number belongs to a position, and a snapshot holds all there is to know."""
    whole = toy.ids(engine.submit(toy.ask(head, max_tokens=80)).decoded())
    stream = engine.submit(toy.ask(head, max_tokens=LONG))
    got = []
    for event in stream:
        if isinstance(event, Token):
            got.append(event.id)
            if len(got) == 33:
                stream.close()
    assert got[:80] == whole[: len(got)]
    rest = engine.submit(toy.resume(head, stream, max_tokens=max(80 - len(got), 0))).decoded()
    assert (got + toy.ids(rest))[:80] == whole
    assert set(stream.anchors) == set(range(0, len(got) + 1, 32))
    assert toy.ids(engine.submit(toy.resume(head, stream, at=32, max_tokens=48)).decoded()) == whole[32:]


def test_chunks_end_at_the_same_places_whatever_was_cached(head: Any, engine: Engine) -> None:
    """A prompt read after a cached beginning gives the state of the whole, bit for bit, at multiples of the chunk."""
    prompt = [65 + k % 7 for k in range(700)]
    nothing = SamplingOptions(max_tokens=0, seed=0)
    whole = engine.submit(Request(head, prompt, nothing))
    whole.decoded()
    part = engine.submit(Request(head, prompt[:CHUNK], nothing))
    part.decoded()
    rest = engine.submit(Request(head, prompt[CHUNK:], nothing, start=part.snapshot))
    rest.decoded()
    assert verbs.equal(whole.snapshot.state, rest.snapshot.state)
    head.calls.clear()
    odd = engine.submit(Request(head, prompt[:100], nothing))
    odd.decoded()
    engine.submit(Request(head, prompt[100:], nothing, start=odd.snapshot)).decoded()
    assert [time for _, time in head.calls] == [100, CHUNK - 100, CHUNK, 700 - 2 * CHUNK]


def test_the_state_handed_in_is_unchanged(toy: Any, head: Any, engine: Engine) -> None:
    """Two continuations of one snapshot are the same, and the snapshot too."""
    stream = engine.submit(toy.ask(head))
    stream.decoded()
    before = verbs.clone(stream.snapshot.state)
    texts = [engine.submit(toy.resume(head, stream)).decoded().text for _ in range(2)]
    assert texts[0] == texts[1]
    assert verbs.equal(stream.snapshot.state, before)


def test_streams_side_by_side_interleave_and_give_their_solo_texts(
    toy: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pipelines and several requests share the thread, all turns alike; no text depends on its neighbours."""
    monkeypatch.setattr(sys.modules[Engine.__module__], "perf_counter", lambda: 0.0)
    heads = [toy.ToyHead(seed=0), toy.ToyHead(seed=1)]
    requests = [toy.ask(heads[k % 2], f"prompt {k}", seed=k, max_tokens=60) for k in range(5)]
    solo = [engine.submit(request).decoded().text for request in requests]
    order: list[int] = []
    for number, head in enumerate(heads):
        plain = head.next
        head.next = lambda *a, _plain=plain, _n=number, **k: (order.append(_n), _plain(*a, **k))[1]
    gate = threading.Event()
    blocked = threading.Thread(target=engine.run, args=(lambda: gate.wait(10),))
    blocked.start()
    streams = [engine.submit(request) for request in requests]
    gate.set()
    assert [stream.decoded().text for stream in streams] == solo
    blocked.join()
    assert sum(a != b for a, b in pairwise(order)) > 100


def test_a_long_prompt_does_not_stall_others(toy: Any, engine: Engine) -> None:
    """A short request is done while a long prompt is still being read."""
    slow = engine.submit(toy.ask(toy.ToyHead(), "x" * 200_000, max_tokens=1))
    assert len(engine.submit(toy.ask(toy.ToyHead(), max_tokens=5)).decoded().tokens) == 5
    last = next(event for event in slow)
    slow.close()
    assert isinstance(last, Prefill)
    assert next(event for event in slow if isinstance(event, Done)).reason == "cancelled"
    with pytest.raises(SessionError, match="before its prompt was read"):
        _ = slow.snapshot
