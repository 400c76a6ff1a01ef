from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding import Engine, Session
from seqdemo.errors import SessionError
from seqdemo.plugin import Prefill, SamplingOptions
from seqdemo.plugin import state as verbs

LONG = 1_000_000


# --- standing ------------------------------------------------------------------------------------------------------


def test_standing_costs_nothing_at_ends_and_at_most_31_inside(toy: Any, session: Session) -> None:
    """Counted at every place of two replies; the state is that of a reading from the beginning."""
    for message in ("one", "two"):
        session.send(message)
    nodes = [node for node in session.tree.nodes.values() if node.role == "reply"]
    kept = dict(session.cache.items())
    for node in nodes:
        for tokens in range(len(node.ids) + 1):
            session.cache.clear()
            for point, snapshot in kept.items():
                session.cache.put(point, snapshot)
            before, read = session.steps, session.head.tokens_read
            session.stand(node.id, tokens)
            cost = 0 if tokens == len(node.ids) else tokens % 32
            assert session.steps - before == session.head.tokens_read - read == cost <= 31
            assert verbs.equal(session.state, toy.read_again(session)), tokens
            assert session.tokens_read == node.start + tokens
            session.head.calls.clear()
    session.stand(1)
    assert session.messages == ((*session.messages[0],),)


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 69), st.sampled_from([(), ("a cé你", "好 d好")]))
def test_going_on_from_inside_a_reply_is_going_on_as_it_did(toy: Any, tokens: int, stop: tuple[str, ...]) -> None:
    """Same seed, same positions: the same tokens again, whatever is held back at that place."""
    session = Session(toy.ToyHead(), SamplingOptions(max_tokens=70, seed=1, stop=stop, repetition_penalty=1.2))
    reply = session.send("hi")
    if tokens >= len(reply.tokens):
        return
    node = session.here.node
    session.stand(node, tokens)
    assert reply.text.startswith(session.messages[-1].text)
    session.continue_(seed=1, max_tokens=70 - tokens)
    assert [t.id for t in reply.tokens[tokens:]] == list(session.path[-1].ids)
    assert session.messages[-1].text == reply.text
    session.stand(node, tokens)
    session.send("else")
    assert [m.role for m in session.messages] == ["user", "reply", "user", "reply"]
    assert len(session.tree.children(session.path[-2].parent)) == 2
    session.regenerate()
    assert verbs.equal(session.state, toy.read_again(session))


def test_a_place_that_is_not_there_is_named(session: Session) -> None:
    """One line says what there is."""
    with pytest.raises(SessionError, match="it has none yet"):
        session.stand(1)
    session.send("hi")
    with pytest.raises(SessionError, match=r"no node 9 .* 1, 2"):
        session.stand(9)
    with pytest.raises(SessionError, match="has 70 tokens"):
        session.stand(2, 71)
    with pytest.raises(SessionError, match="has 70 tokens"):
        session.stand(2, -1)
    with pytest.raises(SessionError, match="user message"):
        session.stand(1, 1)


def test_select_shows_the_conversation_last_had_below_a_version(session: Session) -> None:
    """Versions of an earlier reply bring their own continuations back."""
    session.send("one")
    session.send("two")
    old = session.here
    session.stand(2)
    session.regenerate()
    session.select(2)
    assert session.here == old
    session.select(5)
    assert session.here.node == 5


def test_a_fork_goes_its_own_way(session: Session) -> None:
    """It begins with the same past and states, reads nothing for that, and neither sees the other afterwards."""
    session.send("one")
    session.send("two")
    before, state = session.messages, session.state
    read = session.head.tokens_read
    other, inside = session.fork(), session.fork(2, 40)
    assert session.head.tokens_read == read + 8
    assert (other.messages, inside.tokens_read, session.steps) == (before, session.path[1].start + 40, 0)
    want = session.fork().continue_().text
    for tensor in other.state.values():
        tensor.zero_()
    other.send("else")
    other.drop_snapshots()
    inside.continue_()
    assert session.messages == before
    assert verbs.equal(session.state, state)
    assert len(session.tree.nodes) == 4
    assert session.continue_().text == want
    session.stand(1)
    assert session.fork().send("new").prompt == "new"


def test_a_fork_of_a_place_takes_only_what_led_there(session: Session) -> None:
    """Other branches stay behind; numbers stay the same."""
    session.send("one")
    session.regenerate()
    session.send("two")
    other = session.fork(3)
    assert sorted(other.tree.nodes) == [1, 3]
    assert session.fork(1, None).messages == session.messages[:1]
    other.send("three")
    assert sorted(other.tree.nodes) == [1, 3, 4, 5]


# --- states are a cache --------------------------------------------------------------------------------------------


def test_a_dropped_state_is_read_again_from_ids_bit_for_bit(session: Session) -> None:
    """With progress, every token once; after that all places are near again, and the text goes on as it would have."""
    for message in ("one " * 90, "two"):
        session.send(message)
    session.stand(2, 50)
    session.continue_(max_tokens=10)
    want, total = session.snapshot, session.tokens_read
    after = session.fork().send("and?").text
    session.drop_snapshots()
    events: list[Prefill] = []
    session.head.calls.clear()
    session.stand(session.here.node, progress=events.append)
    assert session.head.tokens_read == total
    assert events[-1] == Prefill(total, total)
    assert [event.read for event in events] == sorted({event.read for event in events})
    again = session.snapshot
    assert verbs.equal(again.state, want.state)
    assert again.fields() == want.fields()
    steps = session.steps
    session.stand(2, 40)
    assert session.steps - steps == 8
    session.select(session.here.node)
    session.drop_snapshots()
    session.stand(5)
    assert session.send("and?").text == after


def test_a_small_budget_costs_steps_and_nothing_else(head: Any, engine: Engine) -> None:
    """Room for three states: the same texts, and never more bytes than allowed."""
    rich = Session(head, SamplingOptions(max_tokens=70, seed=1), on=engine)
    rich.send("one")
    poor = Session(head, rich.defaults, budget=3 * rich.snapshot.nbytes, on=engine)
    poor.send("one")
    for session in (rich, poor):
        session.send("two")
        session.regenerate()
        session.stand(2, 20)
        session.continue_()
        session.undo()
        session.send("three")
    assert [n.text for n in rich.tree.nodes.values()] == [n.text for n in poor.tree.nodes.values()]
    assert poor.cache.nbytes <= poor.cache.budget
    assert poor.steps > rich.steps == 20


def test_branch_points_outlive_other_places(head: Any, engine: Engine) -> None:
    """What is regenerated often stays at hand while single places go."""
    session = Session(head, SamplingOptions(max_tokens=40, seed=1), on=engine)
    session.send("one")
    session.regenerate()
    session.cache.budget = 3 * session.snapshot.nbytes
    for _ in range(4):
        session.send("more")
    assert (1, len(session.tree.nodes[1].ids)) in session.cache
    before = session.head.tokens_read
    session.stand(1)
    assert session.head.tokens_read == before


def test_a_repetition_penalty_sees_the_whole_window(toy: Any, head: Any, engine: Engine) -> None:
    """A window longer than a snapshot keeps is filled from the ids of the conversation."""
    session = Session(head, SamplingOptions(max_tokens=100, seed=1), on=engine)
    session.send("hi")
    options: dict[str, Any] = {"repetition_penalty": 10.0, "repetition_window": 4000, "temperature": 0, "max_tokens": 1}
    logits = head.next(torch.zeros(1, 0, dtype=torch.long), session.state, {}).logits[0].double()
    seen = torch.tensor(sorted(set(toy.session_ids(session))))
    logits[seen] = torch.where(logits[seen] > 0, logits[seen] / 10, logits[seen] * 10)
    session.continue_(**options)
    assert session.path[-1].ids == (int(logits.argmax()),)
