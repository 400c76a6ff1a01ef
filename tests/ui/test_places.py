"""Standing elsewhere in a conversation, and going on from another token."""

from __future__ import annotations

from typing import Any

import pytest

from seqdemo.errors import SessionError
from seqdemo.ui.shelf import Shelf
from seqdemo.ui.talk import Talk

OPTIONS = {"max_tokens": 50, "alternatives": 5, "temperature": 0.0}


def talk_with(source: Any) -> Talk:
    source.delay = 0.0
    return Shelf(source.database, source.load).fresh("ada", "stories")


def texts(talk: Talk) -> list[str]:
    return [message.content for message in talk.messages]


def moon(talk: Talk, message: int, token: int) -> int:
    found = talk.token(message, token)
    assert found is not None
    return next(one.id for one in found.alternatives if one.text == " moon")


def test_another_token_makes_another_version(source: Any) -> None:
    """In a reply that was gone on with, at its first token, inside and at its last; what followed is kept."""
    shelf, talk, short = Shelf(source.database, source.load), talk_with(source), {**OPTIONS, "max_tokens": 2}
    assert talk.say("hi", short).join(10)
    assert talk.go_on(short).join(10)
    assert talk.say("more", short).join(10)
    whole = texts(talk)
    assert whole == ["hi", " the sea was calm", "more", " the sea"]
    for token, text in ((0, " moon sea was"), (3, " the sea was moon,\n the"), (2, " the sea moon calm,\n")):
        before = [message.version for message in talk.messages]
        reply = talk.instead(1, token, moon(talk, 1, token), short)
        assert reply is not None
        assert reply.join(10)
        assert texts(talk) == ["hi", text]
        assert talk.messages[1].version == talk.messages[1].count - 1
        assert talk.select(1, -talk.messages[1].version)
        assert texts(talk) == whole
        assert [message.version for message in talk.messages] == before
    assert talk.messages[1].count == 4
    assert talk.select(1, 2)
    assert shelf.open("ada", talk.conversation).messages == talk.messages


def test_written_words_can_be_gone_on_from(source: Any) -> None:
    """Their alternatives are those the model had there; without any the line says so."""
    talk, short = talk_with(source), {**OPTIONS, "max_tokens": 2}
    assert talk.say("hi", short).join(10)
    assert talk.rewrite(1, "ah", short) is None
    reply = talk.instead(1, 1, moon(talk, 1, 1), short)
    assert reply is not None
    assert reply.join(10)
    assert texts(talk) == ["hi", "a moon sea was"]
    assert talk.messages[1].count == 3
    assert talk.rewrite(1, "oh", {**short, "alternatives": 0}) is None
    with pytest.raises(SessionError, match="None was recorded"):
        talk.instead(1, 0, 97, short)
    assert texts(talk) == ["hi", "oh"]
    for place in ((0, 0), (1, 2), (7, 0)):
        with pytest.raises(SessionError, match="no such message"):
            talk.instead(*place, 97, short)


def test_one_can_stand_anywhere(source: Any) -> None:
    """At any node's end, after any token, at the beginning; going on from within a reply is another version of it."""
    talk, short = talk_with(source), {**OPTIONS, "max_tokens": 2}
    with pytest.raises(SessionError):
        talk.stand(1)
    assert talk.say("hi", OPTIONS).join(10)
    assert talk.say("more", short).join(10)
    talk.stand_after(1, 3)
    assert texts(talk) == ["hi", " the sea was calm"]
    assert talk.messages[1].done is None
    assert talk.here == (2, 4)
    reply = talk.go_on(short)
    assert (talk.messages[1].version, talk.messages[1].count) == (1, 2)
    assert reply.join(10)
    assert texts(talk) == ["hi", " the sea was calm,\n the"]
    talk.stand(4)
    assert texts(talk)[2:] == ["more", " the sea"]
    talk.stand(0)
    assert talk.messages == []
    assert talk.say("else", short).join(10)
    assert (talk.messages[0].version, talk.messages[0].count) == (1, 2)


def test_a_fork_of_a_reply_cut_short_has_what_is_shown(source: Any) -> None:
    """Standing inside a reply, or having said something there, a fork holds the tokens on show and no more."""
    shelf, talk = Shelf(source.database, source.load), talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)
    talk.stand_after(1, 1)
    assert texts(shelf.fork("ada", talk, 1)) == ["hi", " the sea"]
    assert talk.say("more", {**OPTIONS, "max_tokens": 1}).join(10)
    assert texts(shelf.fork("ada", talk, 1)) == ["hi", " the sea"]
