"""Streams that share steps: who is served, in what order, and with what result. No clock: turns are counted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

import pytest
import torch

from seqdemo.decoding import CHUNK, Engine, Request
from seqdemo.decoding import padded as padding
from seqdemo.decoding.stepper import GenericStepper
from seqdemo.errors import BusyError, SeqdemoError
from seqdemo.plugin import Done, Prefill, SamplingOptions, Token
from seqdemo.plugin import state as verbs

LONG = 1_000_000


def turns_of(**heads: Any) -> list[tuple[str, int, int]]:
    """From now on, what each call of a head was: its name, rows, tokens of each."""
    seen: list[tuple[str, int, int]] = []

    def spied(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(ids: Any, *more: Any, **named: Any) -> Any:
            seen.append((name, *ids.shape))
            return plain(ids, *more, **named)

        return call

    for name, head in heads.items():
        head.next = spied(name, head.next)
    return seen


def facts(decoded: Any) -> list[tuple[int, float]]:
    return [(token.id, token.logprob) for token in decoded.tokens]


# --- sharing -------------------------------------------------------------------------------------------------------


def test_rows_share_steps_and_come_and_go_between_them(toy: Any, head: Any, engine: Engine) -> None:
    """Three streams of different lengths: as many rows as there are streams left, never a step for one alone."""
    seen = turns_of(head=head)
    with toy.held(engine):
        streams = [engine.submit(toy.ask(head, seed=k, max_tokens=length)) for k, length in enumerate((10, 20, 30))]
    for stream, length in zip(streams, (10, 20, 30), strict=True):
        assert len(stream.decoded().tokens) == length
    steps = [rows for _, rows, time in seen if time == 1]
    assert sum(steps) == 60
    assert max(steps) == 3
    assert [rows for rows, _ in groupby(steps)] == [3, 2, 1]


def test_a_stream_agrees_with_itself_alone(toy: Any, engine: Engine) -> None:
    """Ids are those of the stream alone, log-probabilities within 1e-4, whatever the neighbours' options are."""
    head = toy.ToyHead()
    options: list[dict[str, Any]] = [
        {},
        {"temperature": 0},
        {"top_k": 5, "top_p": 0.9},
        {"repetition_penalty": 1.3},
        {"stop": ("b.a",), "max_tokens": 300},
        {"min_p": 0.05, "alternatives": 0},
    ]
    requests = [toy.ask(head, f"prompt {k}", **{"seed": k, "max_tokens": 80, **one}) for k, one in enumerate(options)]
    alone = [engine.submit(request).decoded() for request in requests]
    with toy.held(engine):
        streams = [engine.submit(request) for request in requests]
    for want, stream in zip(alone, streams, strict=True):
        got = stream.decoded()
        assert got.text == want.text
        assert [token.id for token in got.tokens] == [token.id for token in want.tokens]
        for one, other in zip(got.tokens, want.tokens, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
            assert [a.id for a in one.alternatives] == [a.id for a in other.alternatives]


@pytest.mark.parametrize("even", [True, False])
def test_exact_streams_are_the_same_bit_for_bit(
    toy: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch, even: bool
) -> None:
    """At any occupancy, more rows than one padded step takes included; also where padding does not help."""
    if not even:
        monkeypatch.setattr(padding.PaddedStepper, "_test", lambda self, head: False)
    head = toy.ToyHead(hidden=64)
    count = padding.ROWS + 4
    requests = [toy.ask(head, f"prompt {k}", seed=k, max_tokens=30, exact=True) for k in range(count)]
    alone = [engine.submit(requests[k]) for k in (0, 7, count - 1)]
    wanted = [(facts(stream.decoded()), stream.snapshot.state) for stream in alone]
    seen = turns_of(head=head)
    with toy.held(engine):
        streams = [engine.submit(request) for request in requests]
        beside = engine.submit(toy.ask(head, seed=99, max_tokens=50))
    results = [(facts(stream.decoded()), stream.snapshot.state) for stream in streams]
    for want, k in zip(wanted, (0, 7, count - 1), strict=True):
        assert results[k][0] == want[0]
        assert verbs.equal(results[k][1], want[1])
    assert len(beside.decoded().tokens) == 50
    sizes = {rows for _, rows, time in seen if time == 1}
    assert sizes == ({padding.ROWS, 1} if even else {1})


def test_a_stepper_may_use_the_memory_of_its_logits_again(
    toy: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits are the caller's until the next step only, also where the rows that write take several."""
    head, count = toy.ToyHead(hidden=64), padding.ROWS + 4
    requests = [toy.ask(head, f"prompt {k}", seed=k, max_tokens=10, exact=True) for k in range(count)]
    wanted = [facts(engine.submit(request).decoded()) for request in requests]
    memory: dict[int, torch.Tensor] = {}
    plain = GenericStepper.step

    def step(self: GenericStepper, ids: Any, active: Any) -> torch.Tensor:
        logits = plain(self, ids, active)
        return memory.setdefault(len(logits), torch.empty_like(logits)).copy_(logits)

    monkeypatch.setattr(GenericStepper, "step", step)
    with toy.held(engine):
        streams = [engine.submit(request) for request in requests]
    assert [facts(stream.decoded()) for stream in streams] == wanted
    assert padding.ROWS in memory


def test_a_head_whose_rows_differ_by_place_is_found_out(toy: Any, engine: Engine) -> None:
    """Padding is only relied on where a trial shows that it makes rows alike."""

    class Uneven(toy.ToyHead):  # type: ignore[misc, name-defined]
        def next(self, ids: Any, state: Any, context: Any, **more: Any) -> Any:
            logits, after, trace, _ = super().next(ids, state, context, **more)
            return type(self).output_type(logits + torch.arange(len(logits)).unsqueeze(1) * 1e-3, after, trace)

    Uneven.output_type = toy.StepOutput
    head = Uneven()
    requests = [toy.ask(head, seed=k, max_tokens=10, exact=True) for k in range(3)]
    alone = [facts(engine.submit(request).decoded()) for request in requests]
    with toy.held(engine):
        streams = [engine.submit(request) for request in requests]
    assert [facts(stream.decoded()) for stream in streams] == alone


def test_a_row_that_is_read_again_shares_the_steps_of_those_that_write(toy: Any, engine: Engine) -> None:
    """Generated tokens that are read again end in the state they ended in, beside another stream."""
    head = toy.ToyHead()
    first = engine.submit(toy.ask(head, max_tokens=40))
    tokens = [token.id for token in first.decoded().tokens]
    start = first.anchors[0]
    again = Request(head, tokens, SamplingOptions(max_tokens=0, seed=0), start=start, stepped=True)
    seen = turns_of(head=head)
    with toy.held(engine):
        beside = engine.submit(toy.ask(head, seed=5, max_tokens=60))
        reread = engine.submit(again)
    events = list(reread)
    assert [event.read for event in events if isinstance(event, Prefill)] == [32, 40]
    assert verbs.max_difference(reread.snapshot.state, first.snapshot.state) < 1e-5
    assert len(beside.decoded().tokens) == 60
    assert sum(rows == 2 for _, rows, time in seen if time == 1) >= 38


# --- fairness ------------------------------------------------------------------------------------------------------


def test_every_row_of_a_pipeline_is_served_alike(toy: Any, engine: Engine) -> None:
    """64 streams: when one has ended no other has had less than half as much."""
    head = toy.ToyHead()
    with toy.held(engine):
        streams = [engine.submit(toy.ask(head, seed=k, max_tokens=40 if k == 63 else LONG)) for k in range(64)]
    streams[63].decoded()
    for stream in streams:
        stream.close()
    counts = [len(stream.decoded().tokens) for stream in streams[:63]]
    assert min(counts) >= sum(counts) / len(counts) / 2
    assert min(counts) >= 40


def test_a_long_prompt_is_read_between_steps(toy: Any, engine: Engine) -> None:
    """While chunks are read, each is followed by a step of the stream beside it; so is a second prompt's chunk."""
    head = toy.ToyHead()
    seen = turns_of(head=head)
    with toy.held(engine):
        stream = engine.submit(toy.ask(head, max_tokens=LONG))
        slow = engine.submit(toy.ask(head, "x" * (CHUNK * 20), max_tokens=1))
        other = engine.submit(toy.ask(head, "y" * (CHUNK * 3), max_tokens=1))
    assert len(slow.decoded().tokens) == len(other.decoded().tokens) == 1
    stream.close()
    stream.decoded()
    kinds = ["chunk" if time > 1 else "step" for _, _, time in seen]
    whole = [time for _, _, time in seen if time == CHUNK]
    assert len(whole) == 23
    last = max(at for at, (_, _, time) in enumerate(seen) if time > 1)
    assert all(len(list(run)) == 1 for kind, run in groupby(kinds[1:last]) if kind == "chunk")


def test_pipelines_and_jobs_take_turns(toy: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pipelines and a job of many pieces, all turns alike: between two of one, each of the others has one."""
    monkeypatch.setattr(sys.modules[Engine.__module__], "perf_counter", lambda: 0.0)
    a, b = toy.ToyHead(seed=0), toy.ToyHead(seed=1)
    seen = turns_of(a=a, b=b)
    with toy.held(engine):
        streams = [engine.submit(toy.ask(head, max_tokens=60)) for head in (a, a, b)]
        job = threading.Thread(target=engine.each, args=(lambda k: seen.append(("job", k, 0)), range(50)))
        job.start()
        toy.wait_until(lambda: engine.load.running == 5)
    assert all(len(stream.decoded().tokens) == 60 for stream in streams)
    job.join()
    order = [name for name, _ in groupby(name for name, _, _ in seen)]
    together = order[order.index("job") : len(order) - order[::-1].index("job")]
    for name in ("a", "b", "job"):
        places = [at for at, one in enumerate(together) if one == name]
        assert max(later - sooner for sooner, later in pairwise(places)) <= 3


def test_a_job_gives_its_results_in_order_and_its_error_once(engine: Engine) -> None:
    """As a loop would."""
    assert engine.each(lambda k: k * k, [3, 1, 2]) == [9, 1, 4]
    assert engine.each(lambda k: k, []) == []
    done: list[int] = []
    with pytest.raises(ZeroDivisionError):
        engine.each(lambda k: done.append(1 // k), [1, 0, 1])
    assert done == [1]
    assert engine.load == (0, 0)


# --- bounds --------------------------------------------------------------------------------------------------------


def test_the_queue_is_bounded_and_says_by_what(toy: Any) -> None:
    """Another pipeline with room is served meanwhile; whoever waits comes in when there is room, in order."""
    engine = Engine("cpu", capacity=2, waiting=3)
    a, b = toy.ToyHead(seed=0), toy.ToyHead(seed=1)
    first = [engine.submit(toy.ask(a, max_tokens=LONG)) for _ in range(2)]
    waiting = [engine.submit(toy.ask(a, max_tokens=3)) for _ in range(3)]
    assert engine.load == (2, 3)
    with pytest.raises(BusyError, match=r"2 requests are running and 3 are waiting, of at most 3"):
        engine.submit(toy.ask(a))
    assert len(engine.submit(toy.ask(b, max_tokens=5)).decoded().tokens) == 5
    first[0].close()
    assert [stream.decoded().done.reason for stream in waiting] == ["length"] * 3
    first[1].close()
    first[1].decoded()
    assert engine.load == (0, 0)
    engine.close()


def test_closing_an_engine_ends_what_runs_and_what_waits(toy: Any) -> None:
    """Streams are cancelled and jobs say why."""
    engine, head = Engine("cpu", capacity=1), toy.ToyHead()
    streams = [engine.submit(toy.ask(head, max_tokens=LONG)) for _ in range(3)]
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            engine.each(lambda k: None, range(10**9))
        except SeqdemoError as error:
            trouble.append(error)

    job = threading.Thread(target=work)
    job.start()
    next(event for event in streams[0] if isinstance(event, Token))
    engine.close()
    assert [next(e for e in stream if isinstance(e, Done)).reason for stream in streams] == ["cancelled"] * 3
    job.join(10)
    assert "closed" in str(trouble[0])
