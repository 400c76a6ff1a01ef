from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding import CHUNK, Engine, Request, uniform
from seqdemo.decoding import engine as engine_of
from seqdemo.errors import BusyError, PluginError, SeqdemoError, SessionError, StateError
from seqdemo.plugin import Decoded, Done, Prefill, SamplingOptions, Token
from seqdemo.plugin import state as verbs

LONG = 1_000_000


def ask(head: Any, text: str = "hello", **options: Any) -> Request:
    chosen = SamplingOptions(**{"max_tokens": 40, "seed": 1, **options})
    return Request(head, head.prompt({"text": text}), chosen, {"text": text}, anchors_every=32)


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


def resume(head: Any, stream: Any, at: int | None = None, **options: Any) -> Request:
    start = stream.snapshot if at is None else stream.anchors[at]
    return Request(head, [], SamplingOptions(**{"max_tokens": 40, "seed": 1, **options}), start=start)


def ids(decoded: Decoded) -> list[int]:
    return [token.id for token in decoded.tokens]


# --- one stream ----------------------------------------------------------------------------------------------------


def test_events_come_in_order_and_make_up_the_text(head: Any, engine: Engine) -> None:
    """Prefill to its total, the tokens with rising positions, one Done; nothing after it."""
    request = ask(head, "x" * 600)
    events = list(engine.submit(request))
    kinds = [type(event) for event in events]
    assert kinds == [Prefill] * 3 + [Token] * 40 + [Done]
    assert [event.read for event in events if isinstance(event, Prefill)] == [CHUNK, 2 * CHUNK, 601]
    tokens = [event for event in events if isinstance(event, Token)]
    assert [token.position for token in tokens] == list(range(601, 641))
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.reason, done.seed) == ("length", 1)
    assert (done.usage.prompt_tokens, done.usage.tokens) == (601, 40)
    assert done.usage.seconds > 0 < done.usage.prefill_seconds
    assert done.usage.state_bytes == verbs.nbytes(head.initial_state(1))
    text = "".join(token.text for token in tokens) + done.text
    assert text == head.output_tokenizer.decode([token.id for token in tokens])


def test_the_loop_is_that_of_a_plain_reading_of_the_definition(head: Any, engine: Engine) -> None:
    """Ids, log-probabilities and entropies agree with a loop over the whole history in float64."""
    stream = engine.submit(ask(head, temperature=1.0, max_tokens=25))
    got = stream.decoded()
    exact, history = head.double(), head.prompt({"text": "hello"})
    with torch.no_grad():
        for token in got.tokens:
            logits = exact.next(torch.tensor([history]), exact.initial_state(1), {}).logits[0].double()
            logp = logits.log_softmax(0)
            assert token.logprob == pytest.approx(logp[token.id].item(), abs=1e-4)
            assert token.entropy == pytest.approx(-(logp.exp() * logp).sum().item(), abs=1e-3)
            mass = logp.exp().cumsum(0)
            number = uniform(1, len(history))
            assert mass[token.id] - logp[token.id].exp() - 1e-4 <= number <= mass[token.id] + 1e-4
            history.append(token.id)
    assert stream.snapshot.position == len(history)


def test_the_last_token_was_read_whatever_ended_the_stream(toy: Any, engine: Engine) -> None:
    """The snapshot is the state after all tokens: by length, by stop string, by end token, and when cancelled."""
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("length", toy.ToyHead(), {}),
        ("stop", toy.ToyHead(), {"stop": ("c",), "max_tokens": 500}),
        ("end", toy.ToyHead(end=4.0), {"max_tokens": 500}),
        ("cancelled", toy.ToyHead(), {"max_tokens": LONG}),
    ]
    for reason, head, options in cases:
        stream = engine.submit(ask(head, **options))
        if reason == "cancelled":
            for event in stream:
                if isinstance(event, Token) and event.position > 10:
                    break
            stream.close()
            done = next(event for event in stream if isinstance(event, Done))
            assert stream.snapshot.position == head.tokens_read
        else:
            decoded = stream.decoded()
            done = decoded.done
            state = head.initial_state(1)
            with torch.no_grad():
                state = head.next(torch.tensor([head.prompt({"text": "hello"})]), state, {}).state
                for token in decoded.tokens:
                    state = head.next(torch.tensor([[token.id]]), state, {}).state
            assert verbs.equal(stream.snapshot.state, state)
        assert done.reason == reason
    assert decoded.tokens[-1].id == toy.EOS
    assert decoded.tokens[-1].text == ""


def test_a_stop_string_of_the_head_or_the_options_is_no_part_of_the_text(toy: Any, engine: Engine) -> None:
    """The text is what the same seed gives without stops, cut at the first of them."""
    head = toy.ToyHead(stops=("é",))
    free = engine.submit(ask(toy.ToyHead(), max_tokens=200)).decoded().text
    for stop in (("b.a",), ("你",), ()):
        stream = engine.submit(ask(head, max_tokens=200, stop=stop))
        decoded = stream.decoded()
        assert decoded.text == free[: min(at for s in (*stop, "é") if (at := free.find(s)) >= 0)]
        assert decoded.done.reason == "stop"
        assert stream.stopped_by in (*stop, "é")
        assert stream.snapshot.held == ""


def test_a_held_back_beginning_of_a_stop_string_comes_with_done(head: Any, engine: Engine) -> None:
    """When no more will come it is text after all."""
    free = engine.submit(ask(head, max_tokens=12)).decoded()
    decoded = engine.submit(ask(head, max_tokens=12, stop=(free.text[-1] + "never",))).decoded()
    assert decoded.text == free.text
    assert decoded.done.text.endswith(free.text[-1])


def test_no_tokens_asked_for_gives_done_after_the_prompt(head: Any, engine: Engine) -> None:
    """The prompt is read, nothing is drawn, and the place can be gone on from."""
    stream = engine.submit(ask(head, max_tokens=0))
    assert [type(event) for event in stream] == [Prefill, Done]
    again = engine.submit(resume(head, stream)).decoded()
    assert ids(again) == ids(engine.submit(ask(head)).decoded())


def test_alternatives_are_best_first_with_text_and_both_probabilities(head: Any, engine: Engine) -> None:
    """As many as asked for; greedy leaves one with a ruled probability."""
    for token in engine.submit(ask(head, temperature=0, alternatives=4)).decoded().tokens:
        assert len(token.alternatives) == 4
        assert token.alternatives[0].id == token.id
        assert [a.raw for a in token.alternatives] == sorted((a.raw for a in token.alternatives), reverse=True)
        assert [a.ruled for a in token.alternatives] == [1.0, 0.0, 0.0, 0.0]
        assert token.alternatives[0].text == head.output_tokenizer.token_bytes(token.id).decode("utf-8", "replace")
    assert all(not t.alternatives for t in engine.submit(ask(head, alternatives=0)).decoded().tokens)


def test_forbidden_ids_are_never_drawn(head: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However likely the model finds them."""
    banned = frozenset(ids(engine.submit(ask(head)).decoded())[:5])
    monkeypatch.setattr(type(head), "forbidden_ids", property(lambda self: banned))
    assert not banned & set(ids(engine.submit(ask(head, max_tokens=100)).decoded()))


def test_a_drawn_seed_is_reported_and_gives_the_same_text(head: Any, engine: Engine) -> None:
    """No seed means a new one each time."""
    first, second = (engine.submit(ask(head, seed=None)).decoded() for _ in range(2))
    assert first.done.seed != second.done.seed
    assert engine.submit(ask(head, seed=first.done.seed)).decoded().text == first.text


# --- the same text, however it is reached --------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**63 - 1), st.integers(1, 59), st.sampled_from([1.0, 1.4]))
def test_going_on_from_any_place_gives_what_one_go_gives(toy: Any, seed: int, cut: int, penalty: float) -> None:
    """Ids and text do not depend on where a stream was cut: by length and then by cancelling."""
    head, engine = toy.ToyHead(), engine_of("cpu")
    options = {"seed": seed, "repetition_penalty": penalty, "stop": ("abcab",), "max_tokens": 60}
    whole = engine.submit(ask(head, **options)).decoded()
    first = engine.submit(ask(head, **{**options, "max_tokens": cut}))
    start = first.decoded()
    if start.done.reason == "length":
        rest = engine.submit(resume(head, first, **{**options, "max_tokens": 60 - cut})).decoded()
        shown = "".join(token.text for token in start.tokens)
        assert ids(start) + ids(rest) == ids(whole)
        assert shown + rest.text == whole.text


def test_going_on_after_cancelling_or_from_an_anchor_gives_the_same_text(head: Any, engine: Engine) -> None:
    """A number belongs to a position, and a snapshot holds all there is to know."""
    whole = ids(engine.submit(ask(head, max_tokens=80)).decoded())
    stream = engine.submit(ask(head, max_tokens=LONG))
    got = []
    for event in stream:
        if isinstance(event, Token):
            got.append(event.id)
            if len(got) == 33:
                stream.close()
    assert got[:80] == whole[: len(got)]
    rest = engine.submit(resume(head, stream, max_tokens=max(80 - len(got), 0))).decoded()
    assert (got + ids(rest))[:80] == whole
    assert set(stream.anchors) == set(range(0, len(got) + 1, 32))
    assert ids(engine.submit(resume(head, stream, at=32, max_tokens=48)).decoded()) == whole[32:]


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


def test_the_state_handed_in_is_unchanged(head: Any, engine: Engine) -> None:
    """Two continuations of one snapshot are the same, and the snapshot too."""
    stream = engine.submit(ask(head))
    stream.decoded()
    before = verbs.clone(stream.snapshot.state)
    texts = [engine.submit(resume(head, stream)).decoded().text for _ in range(2)]
    assert texts[0] == texts[1]
    assert verbs.equal(stream.snapshot.state, before)


def test_streams_side_by_side_interleave_and_give_their_solo_texts(toy: Any, engine: Engine) -> None:
    """Two pipelines and several requests share the thread; no text depends on its neighbours."""
    heads = [toy.ToyHead(seed=0), toy.ToyHead(seed=1)]
    requests = [ask(heads[k % 2], f"prompt {k}", seed=k, max_tokens=60) for k in range(5)]
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
    slow = engine.submit(ask(toy.ToyHead(), "x" * 200_000, max_tokens=1))
    assert len(engine.submit(ask(toy.ToyHead(), max_tokens=5)).decoded().tokens) == 5
    last = next(event for event in slow)
    slow.close()
    assert isinstance(last, Prefill)
    assert next(event for event in slow if isinstance(event, Done)).reason == "cancelled"
    with pytest.raises(SessionError, match="before its prompt was read"):
        _ = slow.snapshot


# --- ending early --------------------------------------------------------------------------------------------------


def test_closing_ends_a_stream_within_a_step_and_keeps_its_text(head: Any, engine: Engine) -> None:
    """No more is read after the turn that was under way; what was made can be read and gone on from."""
    with engine.submit(ask(head, max_tokens=LONG)) as stream:
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


def test_a_stream_nobody_holds_stops_by_itself(head: Any, engine: Engine) -> None:
    """Breaking out of a loop is enough."""
    for event in engine.submit(ask(head, max_tokens=LONG)):
        if isinstance(event, Token):
            break
    gc.collect()
    wait_until(lambda: engine.load == (0, 0))
    read = head.tokens_read
    time.sleep(0.02)
    assert head.tokens_read == read


def test_the_engine_holds_on_to_no_pipeline(toy: Any, engine: Engine) -> None:
    """Once its requests ended, a head lives as long as its owner wants."""
    head = toy.ToyHead()
    engine.submit(ask(head)).decoded()
    engine.run(lambda: None)
    gone = weakref.ref(head)
    del head
    gc.collect()
    wait_until(lambda: gc.collect() >= 0 and gone() is None)


def test_a_head_that_raises_ends_its_own_request_only(toy: Any, engine: Engine) -> None:
    """Its reader gets Done("error") and then the error itself; the neighbour's text is untouched."""
    good, broken = toy.ToyHead(), toy.ToyHead(seed=1)
    want = engine.submit(ask(good)).decoded().text
    broken.fail_after = 20
    bad, fine = engine.submit(ask(broken)), engine.submit(ask(good))
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
    assert engine.submit(ask(broken)).decoded().done.reason == "length"


def test_damaged_weights_give_one_clear_error(head: Any, engine: Engine) -> None:
    """Logits that are NaN are not sampled from."""
    with torch.no_grad():
        head.output.bias[3] = float("nan")
    with pytest.raises(PluginError, match="not numbers"):
        engine.submit(ask(head)).decoded()


def test_a_snapshot_of_another_pipeline_is_refused_by_name(toy: Any, engine: Engine) -> None:
    """Another size and another precision."""
    stream = engine.submit(ask(toy.ToyHead()))
    stream.decoded()
    for other in (toy.ToyHead(hidden=8), toy.ToyHead().double()):
        with pytest.raises(StateError, match=r"does not fit this pipeline.*decoder\.h|head\.output"):
            engine.submit(resume(other, stream)).decoded()


def test_a_head_in_training_mode_is_refused(head: Any, engine: Engine) -> None:
    """Dropout would be on."""
    with pytest.raises(SeqdemoError, match="training mode"):
        engine.submit(ask(head.train()))


# --- the thread ----------------------------------------------------------------------------------------------------


def test_a_full_engine_says_so_with_its_limit(head: Any) -> None:
    """Cancelled requests make room, those that wait too."""
    engine = Engine("cpu", capacity=1, waiting=2)
    streams = [engine.submit(ask(head, max_tokens=LONG)) for _ in range(3)]
    with pytest.raises(BusyError, match=r"1 requests are running and 2 are waiting"):
        engine.submit(ask(head))
    streams[2].close()
    assert streams[2].decoded().done.reason == "cancelled"
    streams[0].close()
    streams[1].close()
    wait_until(lambda: engine.load == (0, 0))
    assert engine.submit(ask(head)).decoded().done.reason == "length"
    engine.close()
    with pytest.raises(SeqdemoError, match="closed"):
        engine.submit(ask(head))


def test_closing_an_engine_ends_its_streams(head: Any) -> None:
    """Their readers are not left waiting."""
    engine = Engine("cpu")
    stream = engine.submit(ask(head, max_tokens=LONG))
    engine.close()
    assert stream.decoded().done.reason == "cancelled"


def test_one_thread_serves_everything(head: Any) -> None:
    """Threads do not grow with requests, and none is started before the first."""
    engine = Engine("cpu")
    before = threading.active_count()
    for _ in range(3):
        for stream in [engine.submit(ask(head, max_tokens=5)) for _ in range(4)]:
            stream.decoded()
        assert threading.active_count() == before + 1
    engine.close()
    assert threading.active_count() == before


def test_jobs_run_in_the_owner_thread(engine: Engine) -> None:
    """Their results and errors come back; a job may ask for another."""
    name = engine.run(lambda: engine.run(lambda: threading.current_thread().name))
    assert name == "seqdemo-engine-cpu"
    assert engine.run(torch.is_inference_mode_enabled)
    with pytest.raises(ZeroDivisionError):
        engine.run(lambda: 1 // 0)
    assert engine.run(lambda: 5) == 5


def test_no_other_thread_notices_inference_mode(head: Any, engine: Engine) -> None:
    """Gradients work beside a stream, and on what it leaves behind."""
    with engine.submit(ask(head, max_tokens=LONG)) as stream:
        next(stream)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        weight = torch.ones(3, requires_grad=True)
        (weight * 2).sum().backward()
        assert weight.grad is not None
    stream.decoded()
    state = stream.snapshot.state
    assert not any(tensor.is_inference() for tensor in state.values())
    out = head.next(torch.tensor([[65]]), state, {})
    out.logits.sum().backward()
    assert head.output.weight.grad is not None


def test_a_reader_that_is_slow_blocks_nobody(head: Any, engine: Engine) -> None:
    """All events are made though none is read."""
    stream = engine.submit(ask(head, max_tokens=50))
    wait_until(lambda: engine.load == (0, 0))
    assert len(stream.decoded().tokens) == 50


def test_there_is_one_engine_for_a_device() -> None:
    """Whoever asks gets the same one."""
    assert engine_of("cpu") is engine_of(torch.device("cpu"))


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)", "threading.Thread(target=lambda: next(s)).start()"])
def test_the_interpreter_exits_cleanly_while_streams_run(ending: str) -> None:
    """No hang, no message, status 0."""
    program = f"""
        import sys, threading
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import toy
        from seqdemo.decoding import Request, engine
        from seqdemo.plugin import SamplingOptions
        head = toy.ToyHead()
        s = engine("cpu").submit(Request(head, [65], SamplingOptions(max_tokens=1_000_000)))
        next(s), next(s)
        {ending}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_child_has_an_engine_of_its_own(toy: Any) -> None:
    """It does not wait for its parent's thread."""
    program = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch
        torch.set_num_threads(1)
        import toy
        from seqdemo.decoding import Request, engine
        from seqdemo.plugin import SamplingOptions
        head = toy.ToyHead()
        ask = lambda: engine("cpu").submit(Request(head, [65], SamplingOptions(max_tokens=5, seed=1))).decoded().text
        text, child = ask(), os.fork()
        if child == 0:
            os._exit(0 if ask() == text else 3)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=120, check=False)
    assert done.returncode == 0
