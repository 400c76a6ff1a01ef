"""Long conversations come a page at a time; a tab may look at the reply that another tab is being given."""

from __future__ import annotations

from time import sleep
from typing import Any

import pytest

from seqdemo.plugin import Token
from seqdemo.ui import tabs as module
from seqdemo.ui.conversation import earlier, paged, whole
from seqdemo.ui.messages import Message
from seqdemo.ui.shelf import Shelf
from seqdemo.ui.tabs import Tabs
from seqdemo.ui.talk import Talk


def long_talk(count: int, tokens: int = 3) -> Talk:
    said = [Token(0, "a", -1.0, 0.5)] * tokens
    talk = Talk("stories")
    talk.messages = [
        Message("model", tokens=list(said)) if number % 2 else Message("user", f"message {number}")
        for number in range(count)
    ]
    return talk


@pytest.mark.parametrize("count", [0, 1, 39, 40, 41, 500])
def test_every_message_is_on_one_page(count: int) -> None:
    """Pages from the end to the beginning hold each message once, in order, and no page more than forty."""
    talk = long_talk(count)
    sent = whole(talk, "key", None)
    first, pages = sent["first"], [sent["messages"]]
    while first:
        page = earlier(talk, first)
        assert page["first"] < first
        first = page["first"]
        pages.insert(0, page["messages"])
    assert max(map(len, pages)) <= 40
    told = [one.get("text", "reply") for page in pages for one in page]
    assert told == ["reply" if number % 2 else f"message {number}" for number in range(count)]


def test_what_is_sent_is_bounded_by_tokens_too() -> None:
    """Long replies make shorter pages, the last message and its reply come however long, and asked for is sent."""
    talk = long_talk(100, tokens=3000)
    assert len(talk.messages) - paged(talk.messages, 100) == 4
    assert 100 - paged(long_talk(100, tokens=100_000).messages, 100) == 2
    pasted = [Message("user", "x" * 1_000_000) for _ in range(9)]
    assert paged(pasted, 9) == 7
    assert whole(talk, "key", None, first=7)["first"] == 7
    assert whole(talk, "key", None, first=99)["first"] == 96
    assert earlier(talk, -5)["messages"] == []
    assert earlier(talk, 1000)["first"] == 96


def test_a_guest_sees_the_reply_and_does_not_end_it(source: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking away from another tab's reply leaves it alone; while a guest looks, it outlives its own tab."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    source.delay = 0.01
    tabs = Tabs()
    host, guest = tabs.arrive("one", "ada"), tabs.arrive("two", "ada")
    talk = host.talk = Shelf(source.database, source.load).fresh("ada", "stories")
    reply = talk.say("hi", {"max_tokens": 100_000})
    assert tabs.live("eve", talk.conversation, guest) is None
    assert tabs.live("ada", "another", guest) is None
    assert tabs.live("ada", talk.conversation, host) is None
    assert tabs.live("ada", talk.conversation, guest) == (host, talk)
    assert guest.visit(host, talk, guest.turn())
    assert tabs.live("ada", talk.conversation, tabs.arrive("three", "ada")) == (host, talk)
    guest.turn()
    assert talk.busy
    with host.watched():
        tabs.leave("one")
        sleep(0.3)
        assert talk.busy
    until(lambda: reply.finished, "the end of the reply")
    assert tabs.live("ada", talk.conversation, guest) is None
