"""Going on from another token than the one that was drawn."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding import Engine, Session
from seqdemo.errors import SessionError
from seqdemo.library import Library
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import SamplingOptions
from seqdemo.plugin import state as verbs
from seqdemo.store import Database


def test_another_token_costs_at_most_31_and_itself(toy: Any, session: Session) -> None:
    """Counted at every place of a reply: what is read again, and the one token that is new; the state has read both."""
    head: Any = session.head
    session.send("one")
    reply = session.path[1]
    kept = dict(session.cache.items())
    for at, event in enumerate(reply.tokens):
        session.cache.clear()
        for point, snapshot in kept.items():
            session.cache.put(point, snapshot)
        before, read = session.steps, head.tokens_read
        other = next(one for one in event.alternatives if one.id != event.id)
        node = session.choose(other.id, reply.id, at)
        assert session.steps - before == at % 32 <= 31
        assert head.tokens_read - read == at % 32 + 1
        assert toy.session_ids(session) == [*session.path[0].ids, *reply.ids[:at], other.id]
        assert verbs.equal(session.state, toy.read_again(session)), at
        (made,) = node.tokens
        assert made.logprob == pytest.approx(log(other.raw))
        assert (made.entropy, made.alternatives, made.position) == (event.entropy, event.alternatives, event.position)
    assert session.tree.get(reply.id) == reply


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 69), st.sampled_from([(), ("a cé你", "好 d好")]))
def test_the_token_that_was_drawn_brings_the_same_reply(toy: Any, at: int, stop: tuple[str, ...]) -> None:
    """Same seed, same positions: the same tokens again, whatever is held back at that place."""
    session = Session(toy.ToyHead(), SamplingOptions(max_tokens=70, seed=1, stop=stop, repetition_penalty=1.2))
    first = session.send("hi")
    if at >= len(first.tokens):
        return
    reply = session.path[-1]
    session.choose(reply.ids[at], reply.id, at)
    if at + 1 < len(reply.ids):
        session.continue_(seed=1, max_tokens=70 - at - 1)
    assert session.messages[-1].text == first.text
    tokens = [token for node, count in list(session.tree.upward(session.here))[::-1] for token in node.tokens[:count]]
    assert [token.id for token in tokens] == list(reply.ids)
    assert [token.text for token in tokens] == [token.text for token in reply.tokens]


def test_a_token_that_ends_the_reply_ends_it(toy: Any, engine: Engine) -> None:
    """The end-of-text token and one that completes a stop string: the template may follow."""
    head = toy.ToyHead(end=2.0, stops=("END",))
    session = Session(head, SamplingOptions(max_tokens=5, seed=3, alternatives=50), on=engine)
    while not any(one.id == toy.EOS for token in session.send("hi").tokens for one in token.alternatives):
        pass
    reply = session.path[-1]
    for token, reason in ((toy.EOS, "end"), (256 + toy.PIECES.index(b"END"), "stop")):
        at = next(n for n, one in enumerate(reply.tokens) if token in {other.id for other in one.alternatives})
        node = session.choose(token, reply.id, at)
        assert node.done is not None
        assert (node.done.reason, node.closed, node.text) == (reason, True, "")
        session.send("m", max_tokens=0)
        assert head.output_tokenizer.decode(session.path[-1].ids) == "<m>"


def test_what_was_not_recorded_cannot_be_chosen(session: Session) -> None:
    """The line names what was recorded, or says that nothing was; nothing has changed then."""
    session.send("hi")
    before = session.here, session.tree.nodes.copy()
    with pytest.raises(SessionError, match=r"Token 200 is no alternative here\. Recorded were \d+"):
        session.choose(200, 2, 3)
    with pytest.raises(SessionError, match="there is no token 70"):
        session.choose(97, 2, 70)
    with pytest.raises(SessionError, match="there is no token 0"):
        session.choose(97, 1, 0)
    assert (session.here, session.tree.nodes) == before
    session.send("again", alternatives=0)
    with pytest.raises(SessionError, match="None was recorded"):
        session.choose(97, 4, 3)


def test_written_words_can_be_replaced_like_drawn_ones(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> None:
    """A text has the alternatives it would have had, drawn; any place in it is near, also after it was opened again."""
    pipe = make_pipeline()
    library = Library(Database(tmp_path / "conversations.db"), "local")
    talk = library.begin(pipe, max_tokens=70, temperature=0.7, top_k=3, seed=3)
    drawn = talk.send("The time")
    talk.stand_before(2)
    node = talk.write(drawn.text)
    assert node.ids == tuple(token.id for token in drawn.tokens)
    for written, token in zip(node.tokens, drawn.tokens, strict=True):
        assert [one.id for one in written.alternatives] == [one.id for one in token.alternatives]
        for column in ("raw", "ruled"):
            found, want = ([getattr(one, column) for one in given.alternatives] for given in (written, token))
            assert found == pytest.approx(want, abs=1e-4)
    talk = library.open(pipe, talk.id)
    event = node.tokens[63]
    chosen = talk.choose(next(one.id for one in event.alternatives if one.id != event.id), node.id, 63)
    assert talk.steps == 31
    rest = talk.continue_(max_tokens=5)
    assert talk.messages[-1].text == node.certain(63) + chosen.certain(1) + rest.text
    assert library.open(pipe, talk.id).path == talk.path
