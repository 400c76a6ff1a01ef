"""One stream: its events, its text, its snapshot."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import pytest
import torch

from seqdemo.decoding import CHUNK, Engine, uniform
from seqdemo.decoding.text import token_text
from seqdemo.plugin import Alternative, Done, Prefill, Token
from seqdemo.plugin import state as verbs

LONG = 1_000_000


def test_events_come_in_order_and_make_up_the_text(toy: Any, head: Any, engine: Engine) -> None:
    """Prefill to its total, the tokens with rising positions, one Done; nothing after it."""
    request = toy.ask(head, "x" * 600)
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


def test_what_is_read_is_what_its_own_constructor_makes(toy: Any, head: Any, engine: Engine) -> None:
    """Tokens and alternatives are equal to, hash as, print as and are as frozen as any; read one by one or at once."""
    request = toy.ask(head, temperature=1.0, alternatives=3)
    one_by_one = [event for event in engine.submit(request) if isinstance(event, Token)]
    assert list(engine.submit(request).decoded().tokens) == one_by_one
    fresh, copied = engine.submit(request).decoded().tokens, engine.submit(request).decoded().tokens
    assert pickle.loads(pickle.dumps(fresh)) == fresh == copy.deepcopy(copied)
    assert [asdict(one) for one in engine.submit(request).decoded().tokens] == [asdict(one) for one in fresh]
    assert {one.name for one in fields(Token)} == set(asdict(fresh[0]))
    for token in one_by_one:
        others = tuple(Alternative(**asdict(one)) for one in token.alternatives)
        again = Token(token.id, token.text, token.logprob, token.entropy, others, token.position)
        assert (again, hash(again), repr(again)) == (token, hash(token), repr(token))
        assert [one.text for one in others] == [token_text(head.output_tokenizer, one.id) for one in others]
        with pytest.raises(AttributeError, match="nothing"):
            _ = token.nothing  # type: ignore[attr-defined]
        with pytest.raises(FrozenInstanceError):
            token.text = ""  # type: ignore[misc]


def test_the_loop_is_that_of_a_plain_reading_of_the_definition(toy: Any, head: Any, engine: Engine) -> None:
    """Ids, log-probabilities and entropies agree with a loop over the whole history in float64."""
    stream = engine.submit(toy.ask(head, temperature=1.0, max_tokens=25))
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
        stream = engine.submit(toy.ask(head, **options))
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
    free = engine.submit(toy.ask(toy.ToyHead(), max_tokens=200)).decoded().text
    for stop in (("b.a",), ("你",), ()):
        stream = engine.submit(toy.ask(head, max_tokens=200, stop=stop))
        decoded = stream.decoded()
        assert decoded.text == free[: min(at for s in (*stop, "é") if (at := free.find(s)) >= 0)]
        assert decoded.done.reason == "stop"
        assert stream.stopped_by in (*stop, "é")
        assert stream.snapshot.held == ""


def test_a_held_back_beginning_of_a_stop_string_comes_with_done(toy: Any, head: Any, engine: Engine) -> None:
    """When no more will come it is text after all."""
    free = engine.submit(toy.ask(head, max_tokens=12)).decoded()
    decoded = engine.submit(toy.ask(head, max_tokens=12, stop=(free.text[-1] + "never",))).decoded()
    assert decoded.text == free.text
    assert decoded.done.text.endswith(free.text[-1])


def test_no_tokens_asked_for_gives_done_after_the_prompt(toy: Any, head: Any, engine: Engine) -> None:
    """The prompt is read, nothing is drawn, and the place can be gone on from."""
    stream = engine.submit(toy.ask(head, max_tokens=0))
    assert [type(event) for event in stream] == [Prefill, Done]
    again = engine.submit(toy.resume(head, stream)).decoded()
    assert toy.ids(again) == toy.ids(engine.submit(toy.ask(head)).decoded())


def test_alternatives_are_best_first_with_text_and_both_probabilities(toy: Any, head: Any, engine: Engine) -> None:
    """As many as asked for; greedy leaves one with a ruled probability."""
    for token in engine.submit(toy.ask(head, temperature=0, alternatives=4)).decoded().tokens:
        assert len(token.alternatives) == 4
        assert token.alternatives[0].id == token.id
        assert [a.raw for a in token.alternatives] == sorted((a.raw for a in token.alternatives), reverse=True)
        assert [a.ruled for a in token.alternatives] == [1.0, 0.0, 0.0, 0.0]
        assert token.alternatives[0].text == head.output_tokenizer.token_bytes(token.id).decode("utf-8", "replace")
    assert all(not t.alternatives for t in engine.submit(toy.ask(head, alternatives=0)).decoded().tokens)


def test_forbidden_ids_are_never_drawn(toy: Any, head: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However likely the model finds them."""
    banned = frozenset(toy.ids(engine.submit(toy.ask(head)).decoded())[:5])
    monkeypatch.setattr(type(head), "forbidden_ids", property(lambda self: banned))
    assert not banned & set(toy.ids(engine.submit(toy.ask(head, max_tokens=100)).decoded()))


def test_a_drawn_seed_is_reported_and_gives_the_same_text(toy: Any, head: Any, engine: Engine) -> None:
    """No seed means a new one each time."""
    first, second = (engine.submit(toy.ask(head, seed=None)).decoded() for _ in range(2))
    assert first.done.seed != second.done.seed
    assert engine.submit(toy.ask(head, seed=first.done.seed)).decoded().text == first.text
