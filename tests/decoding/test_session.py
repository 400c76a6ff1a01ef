from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding import ROOT, Engine, Session, engine
from seqdemo.errors import ConfigError, SessionError, TokenizerError
from seqdemo.plugin import Done, Prefill, SamplingOptions, Token
from seqdemo.plugin import state as verbs

LONG = 1_000_000


@pytest.fixture
def session(head: Any, engine: Engine) -> Session:
    return Session(head, SamplingOptions(max_tokens=70, seed=1), "abc", on=engine)


def ids(session: Session) -> list[int]:
    """Every token id from the beginning to where one stands."""
    return list(session.tree.recent(session.here, 10**9))


def read_again(session: Session) -> Any:
    """The state where one stands, by a loop of its own: messages at once, replies token by token."""
    head, state = session.head, session.head.initial_state(1)
    with torch.no_grad():
        for node, count in list(session.tree.upward(session.here))[::-1]:
            pieces = [node.ids] if node.role == "user" else [(token,) for token in node.ids[:count]]
            for piece in pieces:
                state = head.next(torch.tensor([piece]), state, {}).state
    return state


# --- talking -------------------------------------------------------------------------------------------------------


def test_a_conversation_reads_each_token_once(session: Session) -> None:
    """Three messages and replies: the model reads what the tree holds, and nothing twice."""
    for message in ("one", "two", "three"):
        reply = session.send(message)
        assert reply.prompt == message
        assert len(reply.tokens) == 70
    assert session.head.tokens_read == session.tokens_read == len(ids(session))
    assert session.steps == 0
    assert verbs.equal(session.state, read_again(session))
    assert session.state_bytes == verbs.nbytes(session.head.initial_state(1))
    assert [m.role for m in session.messages] == ["user", "reply"] * 3
    assert session.messages[2].text == "two"
    assert session.messages[1].text == session.path[1].text


def test_the_template_closes_a_reply_that_did_not_close_itself(toy: Any, engine: Engine) -> None:
    """First message, after a stop text of the head, after another stop string, after a cut inside."""
    session = Session(toy.ToyHead(stops=("b.a",)), SamplingOptions(max_tokens=400, seed=2), on=engine)
    decode = session.head.output_tokenizer.decode
    assert session.send("m").done.reason == "stop"
    assert decode(session.path[0].ids) == "<m>"
    session.send("m", max_tokens=3)
    assert decode(session.path[2].ids) == "<m>"
    session.send("m", stop=("é",))
    assert decode(session.path[4].ids) == "|<m>"
    first = session.path[1]
    session.stand(first.id, 3)
    session.send("m", max_tokens=0)
    assert decode(session.path[-1].ids) == "|<m>"
    session.send("m")
    assert decode(session.path[-2].ids) == "|<m>"


def test_options_of_one_reply_are_its_own(session: Session) -> None:
    """They are checked, recorded with the node, and gone with the next."""
    session.send("a", temperature=0, max_tokens=4)
    assert session.path[-1].options == SamplingOptions(temperature=0, max_tokens=4, seed=1)
    session.send("b")
    assert session.path[-1].options == SamplingOptions(max_tokens=70, seed=1)
    with pytest.raises(ConfigError, match="temprature"):
        session.send("c", temprature=1)
    with pytest.raises(TokenizerError):
        session.send("\ud800")
    assert len(session.tree.nodes) == 4


def test_no_reply_asked_for_leaves_the_message_alone(session: Session) -> None:
    """Something can be told without being answered, and answered later."""
    assert str(session.send("listen", max_tokens=0)) == ""
    assert [node.role for node in session.path] == ["user"]
    session.regenerate()
    assert [node.role for node in session.path] == ["user", "reply"]


def test_a_new_version_reads_nothing_again(session: Session) -> None:
    """It is a sibling from the message's snapshot, with a seed of its own that is reported."""
    first = session.send("hi")
    read = session.head.tokens_read
    second = session.regenerate()
    assert session.head.tokens_read == read + 70
    assert first.text != second.text
    assert (first.seed, second.seed) == (1, 2)
    assert session.regenerate(seed=1).text == first.text
    assert [node.text for node in session.versions()] == [first.text, second.text, first.text]
    assert len(session.versions(1)) == 1
    session.stand(session.versions()[1].id)
    assert session.messages[-1].text == second.text
    assert session.steps == 0


def test_going_on_gives_what_one_longer_reply_gives(session: Session) -> None:
    """Text, ids and one message for the reader; half characters and held-back text at the seam included."""
    whole = Session(session.head, session.defaults, on=engine()).send("hi", max_tokens=100, stop=("a cé你", "好 d好"))
    for cut in range(1, 40, 3):
        session.send("hi", max_tokens=cut, stop=("a cé你", "好 d好"))
        session.continue_(max_tokens=100 - cut, seed=1, stop=("a cé你", "好 d好"))
        _, reply = session.messages
        assert reply.text == whole.text
        assert len(reply.nodes) == 2
        assert [t.id for node in session.path[1:] for t in node.tokens] == [t.id for t in whole.tokens]
        assert session.undo() == "hi"
    assert session.here == ROOT


def test_undo_takes_back_the_last_message_with_its_reply(session: Session) -> None:
    """Nothing is read, the tree keeps both, and what comes next is as if they had not been."""
    session.send("one")
    there, state = session.here, session.state
    session.send("two")
    session.continue_()
    read = session.head.tokens_read
    assert session.undo() == "two"
    assert (session.here, session.head.tokens_read, session.steps) == (there, read, 0)
    assert verbs.equal(session.state, state)
    assert len(session.tree.nodes) == 5
    session.undo()
    assert session.messages == ()
    with pytest.raises(SessionError, match="nothing was said"):
        session.undo()


@pytest.mark.parametrize("what", ["regenerate", "continue_", "undo"])
def test_before_anything_was_said_there_is_nothing_to_do(session: Session, what: str) -> None:
    """Each says what to do first; the state is the initial one."""
    with pytest.raises(SessionError):
        getattr(session, what)()
    assert verbs.equal(session.state, session.head.initial_state(1))
    assert (session.tokens_read, session.versions()) == (0, ())


# --- streaming -----------------------------------------------------------------------------------------------------


def test_a_reply_is_recorded_when_it_ends(session: Session) -> None:
    """While it runs one stands at the message, whose state is there already; other verbs are refused."""
    reply = session.stream("hi")
    events = [next(reply), next(reply)]
    assert [type(event) for event in events] == [Prefill, Token]
    assert session.path[-1].role == "user"
    assert verbs.equal(session.state, read_again(session))
    for verb in (session.undo, session.regenerate, session.fork, lambda: session.send("x")):
        with pytest.raises(SessionError, match="still being streamed"):
            verb()
    rest = list(reply)
    assert isinstance(rest[-1], Done)
    assert session.here == (reply.node, 70)
    assert reply.generation().text == session.path[-1].text
    assert session.steps == 0


def test_a_closed_reply_is_kept_as_far_as_it_came(session: Session) -> None:
    """Its node holds what was generated, and one goes on from there."""
    with session.stream("hi", max_tokens=LONG) as reply:
        for event in reply:
            if isinstance(event, Token) and event.position > 40:
                break
    node = session.path[-1]
    assert (node.id, node.role) == (reply.node, "reply")
    assert node.done is not None
    assert node.done.reason == "cancelled"
    assert node.text == session.head.output_tokenizer.decode(node.ids)
    assert session.head.tokens_read == session.tokens_read
    assert verbs.equal(session.state, read_again(session))
    assert len(session.continue_().tokens) == 70
    assert session.steps == 0


def test_an_abandoned_reply_is_kept_too(session: Session) -> None:
    """Breaking out of a loop stops it; the next verb finds what was made."""
    for event in session.stream("hi", max_tokens=LONG):
        if isinstance(event, Token):
            break
    del event
    gc.collect()
    assert [message.role for message in session.messages] == ["user", "reply"]
    assert session.tokens_read == session.head.tokens_read
    session.send("more")


def test_a_session_is_freed_with_its_stream(head: Any, engine: Engine) -> None:
    """Dropping both ends the work."""
    import time

    session = Session(head, SamplingOptions(max_tokens=LONG), on=engine)
    reply = session.stream("hi")
    next(reply)
    del session, reply
    gc.collect()
    for _ in range(1000):
        if engine.load == (0, 0):
            break
        time.sleep(0.005)
    assert engine.load == (0, 0)


def test_a_head_that_fails_leaves_the_session_usable(session: Session) -> None:
    """The part before the failure is kept, the error is raised, and one can go on once it works again."""
    session.head.fail_after = 30
    with pytest.raises(RuntimeError, match="broken"):
        session.send("hi")
    part = session.path[-1]
    assert part.done is not None
    assert part.done.reason == "error"
    assert len(part.ids) == len(part.tokens) > 10
    session.head.fail_after = None
    assert verbs.equal(session.state, read_again(session))
    session.undo()
    assert len(session.send("hi").tokens) == 70


# --- standing ------------------------------------------------------------------------------------------------------


def test_standing_costs_nothing_at_ends_and_at_most_31_inside(session: Session) -> None:
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
            assert verbs.equal(session.state, read_again(session)), tokens
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
    assert verbs.equal(session.state, read_again(session))


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


def test_a_repetition_penalty_sees_the_whole_window(head: Any, engine: Engine) -> None:
    """A window longer than a snapshot keeps is filled from the ids of the conversation."""
    session = Session(head, SamplingOptions(max_tokens=100, seed=1), on=engine)
    session.send("hi")
    options: dict[str, Any] = {"repetition_penalty": 10.0, "repetition_window": 4000, "temperature": 0, "max_tokens": 1}
    logits = head.next(torch.zeros(1, 0, dtype=torch.long), session.state, {}).logits[0].double()
    seen = torch.tensor(sorted(set(ids(session))))
    logits[seen] = torch.where(logits[seen] > 0, logits[seen] / 10, logits[seen] * 10)
    session.continue_(**options)
    assert session.path[-1].ids == (int(logits.argmax()),)
