"""Replies are drained at once and shown in batches; stopping one stops the work."""

from __future__ import annotations

import asyncio
from time import sleep
from typing import Any

import pytest

from seqdemo.errors import SessionError, TokenizerError
from seqdemo.plugin import Done, Prefill, Token, Usage
from seqdemo.ui.conversation import Intro, Window, whole
from seqdemo.ui.talk import Message, Reply, Talk, pulses
from seqdemo.ui.visitors import Visitor, Visitors

OPTIONS = {"max_tokens": 50, "alternatives": 5}


def talk_with(source: Any, delay: float = 0.0, name: str = "stories") -> Talk:
    source.delay = delay
    return Talk(name, source.load(name).session())


class Scripted:
    """A reply whose growth the test decides."""

    def __init__(self) -> None:
        self.message = Message("model")
        self.events = 0
        self.finished = False

    def grow(self, count: int) -> None:
        for _ in range(count):
            number = len(self.message.tokens)
            self.message.tokens.append(Token(number, f"{number} ", 0.0, 0.0))
            self.events += 1


def test_updates_are_coalesced() -> None:
    """However fast tokens come, there is one tick for each interval, none where nothing is new, and one at the end."""
    reply, slept, script = Scripted(), [], [1000, 0, 0, 500, 1]

    async def rest(seconds: float) -> None:
        slept.append(seconds)
        reply.grow(script.pop(0))
        reply.finished = not script

    async def run() -> list[int]:
        return [len(reply.message.tokens) async for _ in pulses(reply, 25, rest)]  # type: ignore[arg-type]

    assert asyncio.run(run()) == [0, 1000, 1500, 1501]
    assert slept == [1 / 25] * 5


def test_windows_overlap_so_that_updates_may_be_skipped(source: Any) -> None:
    """A reader who misses several updates in a row still has every token, and updates stay small."""
    talk = talk_with(source)
    answer = Message("model")
    talk.messages = [Message("user", "hi"), answer]
    window, reply, seen = Window(talk), Scripted(), []
    reply.message = answer
    for number in range(200):
        reply.grow(10)
        update = window.update(finished=False)
        if number % 6 == 0:
            assert update["start"] <= len(seen)
            seen += update["tokens"][len(seen) - update["start"] :]
        assert len(update["tokens"]) <= 10 * 9
    assert seen == [token.text for token in answer.tokens[: len(seen)]]
    answer.done = Done("length", Usage(1, 2000, 2.0, 0.1, 8), text="tail", seed=2**63 - 1)
    last = window.update(finished=True)
    assert last["end"]["tail"] == "tail"
    assert last["end"]["seed"] == str(2**63 - 1)
    assert last["busy"] is False


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


def test_regenerate_replaces_and_undo_takes_back(source: Any) -> None:
    """Another version replaces the last reply, with the seed counted on; undo gives the message back."""
    talk = talk_with(source)
    assert talk.say("hi", {**OPTIONS, "seed": 7}).join(10)
    assert talk.messages[-1].done.seed == 7  # type: ignore[union-attr]
    for version in (1, 2):
        assert talk.again({**OPTIONS, "seed": 7}).join(10)
        assert talk.messages[-1].content.startswith("again again")
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


# --- visitors -----------------------------------------------------------------------------------------------------


def test_a_reload_keeps_the_conversation_and_a_second_tab_does_not_see_it() -> None:
    """The key brings a reloaded tab back; a duplicated tab, which copies the key, gets its own."""
    visitors = Visitors()
    first = visitors.arrive("page1")
    assert visitors.arrive("page2", first.key) is not first
    assert visitors.arrive("page3", first.key, reloaded=True) is first
    visitors.leave("page3")
    assert visitors.arrive("page4", first.key) is first
    assert visitors.at("page4") is first
    assert visitors.arrive("page5", "forged") is not first
    assert len(visitors) == 3


def test_a_page_that_comes_back_in_time_finds_its_reply_running(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload interrupts nothing; a page that stays away longer, or only stops looking, loses no text."""
    visitors = Visitors()
    visitor = visitors.arrive("page1")
    visitor.turn_to("stories")
    talk = visitor.begin("stories", lambda: talk_with(source, delay=0.01))
    monkeypatch.setattr("seqdemo.ui.visitors.PATIENCE", 0.3)
    reply = talk.say("hi", {"max_tokens": 100_000})
    with visitor.looking():
        visitors.leave("page1")
        assert visitors.arrive("page2", visitor.key, reloaded=True) is visitor
    with visitor.looking():
        assert not reply.join(0.6)
    assert reply.join(10)
    assert talk.messages[-1].done.reason == "cancelled"  # type: ignore[union-attr]
    assert len(talk.messages[-1].tokens) == source.generated > 0


def test_leaving_stops_and_dropping_frees(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that goes away for good stops its reply; with its last page a visitor is forgotten."""
    visitors = Visitors()
    visitor = visitors.arrive("page1")
    visitor.turn_to("stories")
    talk = visitor.begin("stories", lambda: talk_with(source, delay=0.01))
    reply = talk.say("hi", {"max_tokens": 100_000})
    monkeypatch.setattr("seqdemo.ui.visitors.PATIENCE", 0.1)
    with visitor.looking():
        visitors.leave("page1")
        assert reply.join(10)
    assert visitors.arrive("page2", visitor.key) is visitor
    visitors.drop("page1")
    assert visitors.keyed(visitor.key) is visitor
    visitors.drop("page2")
    assert visitors.keyed(visitor.key) is None
    visitors.drop("page2")


def test_turning_to_another_checkpoint_stops_the_first_and_keeps_both(source: Any) -> None:
    """Each checkpoint has its own conversation; one that loads late is not shown to who has turned away."""
    visitor = Visitor()
    visitor.turn_to("a")
    first = visitor.begin("a", lambda: talk_with(source, 0.01, "a"))
    reply = first.say("hi", {"max_tokens": 100_000})
    assert visitor.turn_to("b") is None
    late = visitor.begin("a", lambda: talk_with(source, name="a"))
    assert late is first
    assert visitor.talk is None
    assert reply.join(10)
    second = visitor.begin("b", lambda: talk_with(source, name="b"))
    assert visitor.talk is second
    visitor.forget("b")
    assert visitor.talk is None
    assert visitor.turn_to("a") is first
