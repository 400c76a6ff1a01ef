from __future__ import annotations

import gc
from typing import Any

import pytest

from seqdemo.decoding import ROOT, Engine, Session, engine
from seqdemo.errors import ConfigError, SessionError, TokenizerError
from seqdemo.plugin import Done, Prefill, SamplingOptions, Token
from seqdemo.plugin import state as verbs

LONG = 1_000_000


# --- talking -------------------------------------------------------------------------------------------------------


def test_a_conversation_reads_each_token_once(toy: Any, session: Session) -> None:
    """Three messages and replies: the model reads what the tree holds, and nothing twice."""
    for message in ("one", "two", "three"):
        reply = session.send(message)
        assert reply.prompt == message
        assert len(reply.tokens) == 70
    assert session.head.tokens_read == session.tokens_read == len(toy.session_ids(session))
    assert session.steps == 0
    assert verbs.equal(session.state, toy.read_again(session))
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


def test_a_raw_message_has_no_template(toy: Any, engine: Engine) -> None:
    """It is read as a prompt is, and after a reply that was cut off just as it is."""
    session = Session(toy.ToyHead(), SamplingOptions(max_tokens=5, seed=2), on=engine)
    session.stream("m", raw=True).generation()
    session.stream("n", raw=True).generation()
    assert session.path[0].ids == tuple(session.head.prompt({"text": "m"}))
    assert session.path[2].ids == tuple(b"n")
    assert [m.text for m in session.messages if m.role == "user"] == ["m", "n"]
    assert session.send("o", max_tokens=0).prompt == "o"
    assert bytes(session.path[-1].ids) == b"|<o>"


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


def test_a_reply_is_recorded_when_it_ends(toy: Any, session: Session) -> None:
    """While it runs one stands at the message, whose state is there already; other verbs are refused."""
    reply = session.stream("hi")
    events = [next(reply), next(reply)]
    assert [type(event) for event in events] == [Prefill, Token]
    assert session.path[-1].role == "user"
    assert verbs.equal(session.state, toy.read_again(session))
    for verb in (session.undo, session.regenerate, session.fork, lambda: session.send("x")):
        with pytest.raises(SessionError, match="still being streamed"):
            verb()
    rest = list(reply)
    assert isinstance(rest[-1], Done)
    assert session.here == (reply.node, 70)
    assert reply.generation().text == session.path[-1].text
    assert session.steps == 0


def test_a_closed_reply_is_kept_as_far_as_it_came(toy: Any, session: Session) -> None:
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
    assert verbs.equal(session.state, toy.read_again(session))
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


def test_a_head_that_fails_leaves_the_session_usable(toy: Any, session: Session) -> None:
    """The part before the failure is kept, the error is raised, and one can go on once it works again."""
    session.head.fail_after = 30
    with pytest.raises(RuntimeError, match="broken"):
        session.send("hi")
    part = session.path[-1]
    assert part.done is not None
    assert part.done.reason == "error"
    assert len(part.ids) == len(part.tokens) > 10
    session.head.fail_after = None
    assert verbs.equal(session.state, toy.read_again(session))
    session.undo()
    assert len(session.send("hi").tokens) == 70
