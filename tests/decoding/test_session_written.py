"""Replies that somebody wrote, and messages that take the place of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqdemo.decoding import Session
from seqdemo.errors import SessionError, TokenizerError
from seqdemo.library import Library
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import state as verbs
from seqdemo.store import Database

OPENING = "a recondite matter"


@pytest.fixture
def pipe(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return make_pipeline()


@pytest.fixture
def talk(pipe: Pipeline) -> Session:
    return pipe.session(max_tokens=20, seed=3)


def loop(session: Session) -> tuple[Any, list[float], list[float]]:
    """State, log-probabilities and entropies of every token but the first message's, one step at a time."""
    head: Any = session.head
    state, logits, numbers, entropies = head.initial_state(1), None, list[float](), list[float]()
    with torch.no_grad():
        for node in session.path:
            for token in node.ids:
                if logits is not None and node.role == "reply":
                    logs = logits.double().log_softmax(-1)[0]
                    numbers.append(float(logs[token]))
                    entropies.append(float(-(logs.exp() * logs).sum()))
                logits, state, *_ = head.next(torch.tensor([[token]]), state, {})
    return state, numbers, entropies


def test_a_written_beginning_is_gone_on_with(talk: Session) -> None:
    """Message, beginning and continuation are one exchange; the state has read all of it."""
    node = talk.write(OPENING, "The time")
    assert node.text == OPENING
    assert node.done is not None
    assert node.done.reason == "written"
    rest = talk.continue_()
    assert [(one.role, one.text) for one in talk.messages] == [("user", "The time"), ("reply", OPENING + rest.text)]
    state, numbers, entropies = loop(talk)
    assert verbs.equal(talk.state, state) or all(
        torch.allclose(talk.state[name], state[name], atol=1e-5) for name in state
    )
    tokens = [token for node in talk.path for token in node.tokens]
    assert [token.logprob for token in tokens] == pytest.approx(numbers, abs=1e-4)
    assert [token.entropy for token in tokens] == pytest.approx(entropies, abs=1e-4)
    assert [token.position for token in tokens] == list(range(tokens[0].position, tokens[0].position + len(tokens)))


def test_a_message_is_said_in_anothers_place(talk: Session) -> None:
    """Standing before a message and saying another makes a branch; the first one is still there."""
    talk.send("The time")
    first = talk.path[0].id
    talk.send("traveller")
    talk.stand_before(first)
    assert talk.messages == ()
    talk.send("was")
    assert [node.text for node in talk.versions(talk.path[0].id)] == ["The time", "was"]
    talk.select(first)
    assert [one.text for one in talk.messages if one.role == "user"] == ["The time", "traveller"]


def test_a_reply_is_written_in_anothers_place(talk: Session) -> None:
    """Both are versions of the reply; the conversation goes on from the written one."""
    talk.send("The time")
    generated = talk.path[1]
    talk.stand_before(generated.id)
    edited = talk.write(OPENING)
    assert talk.versions() == (generated, edited)
    talk.send("more")
    assert [one.text for one in talk.messages][:2] == ["The time", OPENING]


def test_what_cannot_be_written_changes_nothing(talk: Session) -> None:
    """Empty texts, unknown characters, stop texts and a reply to nothing are refused."""
    with pytest.raises(SessionError, match="nothing to reply to"):
        talk.write(OPENING)
    with pytest.raises(SessionError, match="empty"):
        talk.write("", "The time")
    with pytest.raises(TokenizerError):
        talk.write("☠", "The time")
    with pytest.raises(TokenizerError):
        talk.write(OPENING, "☠")
    talk.defaults = talk.defaults.model_copy(update={"stop": ("matter",)})
    with pytest.raises(SessionError, match="'matter'"):
        talk.write(OPENING, "The time")
    assert talk.tree.nodes == {}


def test_it_is_kept(pipe: Pipeline, tmp_path: Path) -> None:
    """Opened again, what was written is there with its tokens, and goes on alike."""
    library = Library(Database(tmp_path / "conversations.db"), "local")
    talk = library.begin(pipe, max_tokens=20, seed=3)
    talk.write(OPENING, "The time")
    again = library.open(pipe, talk.id)
    assert again.path == talk.path
    assert again.continue_().text == pipe_continued(pipe)


def pipe_continued(pipe: Pipeline) -> str:
    session = pipe.session(max_tokens=20, seed=3)
    session.write(OPENING, "The time")
    return session.continue_().text
