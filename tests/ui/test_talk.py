"""Replies are drained at once and shown in batches; stopping one stops the work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from seqdemo.errors import CheckpointError, SessionError, StoreError, TokenizerError
from seqdemo.plugin import Done, Prefill, Token, Usage
from seqdemo.store import Database
from seqdemo.ui.conversation import whole
from seqdemo.ui.intro import Intro
from seqdemo.ui.messages import Message
from seqdemo.ui.reply import Reply
from seqdemo.ui.shelf import Shelf
from seqdemo.ui.tabs import Tab, Tabs
from seqdemo.ui.talk import Talk

OPTIONS = {"max_tokens": 50, "alternatives": 5, "temperature": 0.0}


def talk_with(source: Any, delay: float = 0.0, name: str = "stories") -> Talk:
    source.delay = delay
    return Shelf(source.database, source.load).fresh("ada", name)


def test_the_whole_conversation_can_be_sent_at_any_time(source: Any) -> None:
    """Messages, the introduction of an empty conversation, and what is running."""
    talk = talk_with(source)
    intro = Intro("stories", ["line"], examples=["a"])
    assert whole(talk, "key", intro)["intro"]["examples"] == ["a"]
    assert talk.say("hi", OPTIONS).join(10)
    found = whole(talk, "key", intro)
    assert found["intro"] is None
    assert [said["role"] for said in found["messages"]] == ["user", "model"]
    assert len(found["messages"][1]["tokens"]) == 50
    assert found["messages"][1]["bits"] == [100] * 50
    assert found["messages"][1]["start"] == 0
    talk.stand_after(1, 2)
    cut = whole(talk, "key", intro)["messages"][1]
    assert (len(cut["tokens"]), cut["versions"]) == (3, 1)
    assert "in the map" in cut["end"]["notes"][1]


def test_cancelling_stops_the_work(source: Any) -> None:
    """After a stop no more tokens are made, and those made so far stay."""
    talk = talk_with(source, delay=0.01)
    reply = talk.say("hi", {"max_tokens": 100_000})
    while not talk.messages[-1].tokens:
        sleep(0.001)
    talk.cancel()
    assert reply.join(10)
    made = source.generated
    assert talk.messages[-1].done is not None
    assert talk.messages[-1].done.reason == "cancelled"
    assert len(talk.messages[-1].tokens) == made == source.generated


def test_a_stream_that_someone_else_read_to_its_end_is_complete() -> None:
    """Whoever closes a session's reply reads the rest of it: the message has that rest too."""
    tokens = tuple(Token(number, "x", 0.0, 0.0) for number in range(3))
    done = Done("cancelled", Usage(1, 3, 1.0, 0.1, 8))

    class Closed:
        def __iter__(self) -> Any:
            return iter((Prefill(1, 1), tokens[0]))

        def close(self) -> None: ...

        def generation(self) -> Any:
            return type("Whole", (), {"tokens": tokens, "done": done})()

    message = Message("model")
    assert Reply(Closed(), message, lambda: None).join(10)
    assert (tuple(message.tokens), message.done) == (tokens, done)


def test_what_a_model_raises_ends_its_reply_only(source: Any) -> None:
    """A failure is kept for the page; the conversation goes on."""
    talk = talk_with(source)

    class Broken:
        def __iter__(self) -> Any:
            yield Prefill(1, 1)
            raise RuntimeError("plugin trouble")

        def close(self) -> None: ...

    reply = Reply(Broken(), Message("model"), lambda: None)  # type: ignore[arg-type]
    assert reply.join(10)
    assert isinstance(reply.error, RuntimeError)
    assert talk.say("hi", OPTIONS).join(10)


def test_a_message_that_cannot_be_sent_changes_nothing(source: Any) -> None:
    """A refused message leaves the conversation as it was."""
    talk = talk_with(source)
    with pytest.raises(TokenizerError):
        talk.say("☠", OPTIONS)
    assert talk.messages == []
    with pytest.raises(SessionError, match="no reply"):
        talk.again(OPTIONS)
    with pytest.raises(SessionError, match="nothing to take back"):
        talk.undo()


def test_regenerate_adds_a_version_and_undo_takes_back(source: Any) -> None:
    """Another version stands in the place of the last reply, with the seed counted on; undo gives the message back."""
    talk = talk_with(source)
    assert talk.say("hi", {**OPTIONS, "seed": 7}).join(10)
    assert talk.messages[-1].done.seed == 7  # type: ignore[union-attr]
    for version in (1, 2):
        assert talk.again({**OPTIONS, "seed": 7}).join(10)
        assert (talk.messages[-1].version, talk.messages[-1].count) == (version, version + 1)
        assert talk.messages[-1].done.seed == 7 + version  # type: ignore[union-attr]
    assert len(talk.messages) == 2
    assert talk.undo() == "hi"
    assert talk.messages == []


def test_only_one_reply_at_a_time(source: Any) -> None:
    """While a reply streams nothing else is begun in that conversation."""
    talk = talk_with(source, delay=0.01)
    reply = talk.say("hi", {"max_tokens": 100_000})
    for attempt in (lambda: talk.say("again", OPTIONS), lambda: talk.again(OPTIONS), talk.undo):
        with pytest.raises(SessionError, match="still being written"):
            attempt()
    talk.cancel()
    assert reply.join(10)


def test_tokens_are_found_by_message_and_index(source: Any) -> None:
    """A token is found by where it stands; elsewhere there is none."""
    talk = talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)
    assert talk.token(1, 3) is talk.messages[1].tokens[3]
    assert all(talk.token(*place) is None for place in ((0, 0), (1, 50), (1, -1), (7, 0), (-1, 0)))


def texts(talk: Talk) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in talk.messages]


def test_versions_are_kept_with_what_followed(source: Any) -> None:
    """Another version hides what came after the first; going back to it shows that again."""
    talk = talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)
    assert talk.again({**OPTIONS, "max_tokens": 2}).join(10)
    assert talk.say("more", OPTIONS).join(10)
    whole = texts(talk)
    assert talk.select(1, -1)
    assert len(talk.messages) == 2
    assert len(talk.messages[1].tokens) == 50
    assert not talk.select(1, -1)
    assert talk.select(1, 1)
    assert texts(talk) == whole
    assert not talk.select(0, 1)


def test_any_message_can_be_said_otherwise(source: Any) -> None:
    """A user's message gets a new reply, a model's is taken as it was written; the old ones stay as versions."""
    talk = talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)
    assert talk.say("more", OPTIONS).join(10)
    reply = talk.rewrite(0, "hello", {**OPTIONS, "max_tokens": 3})
    assert reply is not None
    assert reply.join(10)
    assert texts(talk) == [("user", "hello"), ("model", " the sea was")]
    assert (talk.messages[0].version, talk.messages[0].count) == (1, 2)
    assert talk.rewrite(1, "my own words", OPTIONS) is None
    assert texts(talk) == [("user", "hello"), ("model", "my own words")]
    assert (talk.messages[1].version, talk.messages[1].count) == (1, 2)
    assert talk.select(0, -1)
    assert [one.text for one in talk.messages if one.role == "user"] == ["hi", "more"]
    with pytest.raises(SessionError, match="no such message"):
        talk.rewrite(7, "x", OPTIONS)


def test_a_reply_is_gone_on_with_and_begun(source: Any) -> None:
    """Going on lengthens the same message; given first words are part of the reply, and of its other versions."""
    talk = talk_with(source)
    short = {**OPTIONS, "max_tokens": 2}
    assert talk.say("hi", short).join(10)
    assert talk.go_on(short).join(10)
    assert texts(talk) == [("user", "hi"), ("model", " the sea was calm")]
    assert talk.say("more", short, opening="Well:").join(10)
    assert texts(talk)[2:] == [("user", "more"), ("model", "Well: the sea")]
    assert talk.again(short, opening="But:").join(10)
    assert texts(talk)[2:] == [("user", "more"), ("model", "But: the sea")]
    assert (talk.messages[3].version, talk.messages[3].count) == (1, 2)
    assert talk.again(short).join(10)
    assert (talk.messages[3].content, talk.messages[3].version) == (" the sea", 2)
    assert Shelf(source.database, source.load).open("ada", talk.conversation).messages == talk.messages


def test_a_fork_goes_its_own_way(source: Any) -> None:
    """It has everything up to the message, and the first conversation does not change with it."""
    shelf, talk = Shelf(source.database, source.load), talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)
    assert talk.say("more", OPTIONS).join(10)
    fork = shelf.fork("ada", talk, 1)
    assert fork.messages == talk.messages[:2]
    assert fork.say("else", OPTIONS).join(10)
    assert [one.text for one in talk.messages if one.role == "user"] == ["hi", "more"]
    assert {one.title for one in shelf.list("ada")} == {"hi", "Fork of hi"}


# --- tabs ---------------------------------------------------------------------------------------------------------


def busy_tab(source: Any, tabs: Tabs) -> tuple[Tab, Talk, Reply]:
    tab = tabs.arrive("page1", "ada")
    talk = talk_with(source, delay=0.01)
    assert tab.show(talk, tab.turn())
    return tab, talk, talk.say("hi", {"max_tokens": 100_000})


def test_a_page_that_comes_back_in_time_finds_its_reply_running(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload interrupts nothing; a page that stays away longer, or only stops looking, loses no text."""
    tabs = Tabs()
    tab, talk, reply = busy_tab(source, tabs)
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.3)
    with tab.looking():
        tabs.leave("page1")
        assert tabs.arrive("page2", "ada", tab.key, reloaded=True) is tab
    with tab.looking():
        assert not reply.join(0.6)
    assert reply.join(10)
    assert talk.messages[-1].done.reason == "cancelled"  # type: ignore[union-attr]
    assert len(talk.messages[-1].tokens) == source.generated > 0


def test_leaving_stops_and_dropping_frees(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that goes away for good stops its reply; with its last page a tab is forgotten."""
    tabs = Tabs()
    tab, _, reply = busy_tab(source, tabs)
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.1)
    with tab.looking():
        tabs.leave("page1")
        assert reply.join(10)
    assert tabs.arrive("page2", "ada", tab.key) is tab
    tabs.drop("page1")
    assert tabs.keyed(tab.key) is tab
    tabs.drop("page2")
    assert tabs.keyed(tab.key) is None
    assert len(tabs) == 0
    tabs.drop("page2")


def test_turning_elsewhere_stops_the_reply(source: Any) -> None:
    """What is found late is not shown to a tab that has turned away meanwhile."""
    tab, _, reply = busy_tab(source, Tabs())
    early, late = tab.turn(), tab.turn()
    assert tab.talk is None
    assert reply.join(10)
    second = talk_with(source)
    assert not tab.show(talk_with(source), early)
    assert tab.show(second, late)
    assert tab.talk is second


# --- kept ---------------------------------------------------------------------------------------------------------


def test_a_kept_conversation_is_the_same_again(source: Any) -> None:
    """Read back from disk, messages, tokens, versions and the place are the same, and it goes on."""
    shelf, talk = Shelf(source.database, source.load), talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)
    assert talk.again(OPTIONS).join(10)
    assert talk.say("more", OPTIONS).join(10)
    found = shelf.open("ada", talk.conversation)
    assert found.messages == talk.messages
    assert (found.messages[1].version, found.messages[1].count) == (1, 2)
    assert found.tokens_read == talk.tokens_read
    assert found.say("again", OPTIONS).join(10)
    with pytest.raises(SessionError):
        shelf.open("eve", talk.conversation)


def test_nothing_is_kept_before_something_is_said(source: Any) -> None:
    """A page that was only looked at, or whose message was refused, leaves nothing in the list."""
    shelf, talk = Shelf(source.database, source.load), talk_with(source)
    with pytest.raises(TokenizerError):
        talk.say("☠", OPTIONS)
    assert shelf.list("ada") == []
    assert talk.say("hi", OPTIONS).join(10)
    assert [one.title for one in shelf.list("ada")] == ["hi"]
    assert shelf.list("eve") == []


def test_without_its_checkpoint_a_conversation_can_still_be_read(source: Any) -> None:
    """What was said is shown; going on says what is missing."""
    talk = talk_with(source)
    assert talk.say("hi", OPTIONS).join(10)

    def gone(name: str) -> Any:
        raise CheckpointError(f"There is no checkpoint {name!r} any more.")

    found = Shelf(source.database, gone).open("ada", talk.conversation)
    assert found.messages == talk.messages
    with pytest.raises(SessionError, match="There is no checkpoint 'stories'"):
        found.say("more", OPTIONS)


def test_a_locked_database_is_said_and_loses_nothing(source: Any, tmp_path: Path) -> None:
    """While another program writes, a message is refused with the reason; afterwards it can be sent."""
    database = Database(tmp_path / "conversations.db", patience=0.05)
    talk = Shelf(lambda: database, source.load).fresh("ada", "stories")
    assert talk.say("hi", OPTIONS).join(10)
    before = list(talk.messages)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for attempt in (lambda: talk.say("more", OPTIONS), lambda: talk.again(OPTIONS), talk.undo):
            with pytest.raises(StoreError, match="another program is writing"):
                attempt()
        assert talk.messages == before
    assert talk.say("more", OPTIONS).join(10)
    assert [one.text for one in talk.messages if one.role == "user"] == ["hi", "more"]
    database.close()
