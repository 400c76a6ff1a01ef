"""The strip below a conversation."""

from __future__ import annotations

from typing import Any

from seqdemo.ui.shelf import Shelf
from seqdemo.ui.status import status_view


def test_the_strip_is_the_same_after_a_restart(source: Any) -> None:
    """Tokens read, speed, bytes of the state, device and precision; a place inside a reply has no speed of its own."""
    source.delay = 0.001
    shelf, pipe = Shelf(source.database, source.load), source.load("stories")
    talk = shelf.fresh("ada", "stories")
    assert "tokens/s" not in status_view(talk, pipe)
    assert talk.say("hi", {"max_tokens": 20}).join(10)
    strip = status_view(talk, pipe)
    for fact in ("22 tokens", "20 tokens", "tokens/s", "16.4 kB, constant", "cpu, fp32"):
        assert fact in strip
    again = shelf.open("ada", talk.conversation)
    assert status_view(again, pipe) == strip
    again.stand_after(1, 4)
    inside = status_view(again, pipe)
    assert "7 tokens" in inside
    assert "tokens/s" not in inside
