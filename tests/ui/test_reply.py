"""When a reply that grows is told of, and what is told. No clock: pauses are counted."""

from __future__ import annotations

from typing import Any

from seqdemo.plugin import Done, Token, Usage
from seqdemo.ui.conversation import Window
from seqdemo.ui.messages import Message
from seqdemo.ui.reply import pulses
from seqdemo.ui.shelf import Shelf


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


def test_updates_are_coalesced(run_async: Any) -> None:
    """However fast tokens come, there is one tick for each interval, none where nothing is new, and one at the end."""
    reply, slept, script = Scripted(), [], [1000, 0, 0, 500, 1]

    async def rest(seconds: float) -> None:
        slept.append(seconds)
        reply.grow(script.pop(0))
        reply.finished = not script

    async def run() -> list[int]:
        return [len(reply.message.tokens) async for _ in pulses(reply, 25, rest)]

    assert run_async(run()) == [0, 1000, 1500, 1501]
    assert slept == [1 / 25] * 5


def test_many_replies_share_what_a_page_may_have(run_async: Any) -> None:
    """Eighty updates a second of all together: four replies are as quick as one, sixteen are told five times a second
    each, and the last of them is as quick as ever once the others have ended or been left."""
    replies, slept = [Scripted() for _ in range(16)], []

    async def rest(seconds: float) -> None:
        slept.append(seconds)

    async def run() -> list[float]:
        running, found = [pulses(reply, 20, rest) for reply in replies], []

        async def tick(number: int) -> None:
            replies[number].grow(1)
            await anext(running[number])

        for count in (1, 4, 16):
            for number in range(count):
                await tick(number)
            await tick(15 if count == 16 else 0)
            found.append(slept[-1])
        for reply, one in zip(replies[:8], running, strict=False):
            reply.finished = True
            assert [ticked async for ticked in one] == [None]
        for one in running[8:15]:
            await one.aclose()
        await tick(15)
        await running[15].aclose()
        return [*found, slept[-1]]

    assert run_async(run()) == [1 / 20, 1 / 20, 1 / 5, 1 / 20]


def test_whoever_is_behind_is_waited_for(run_async: Any) -> None:
    """While it is behind there is one tick a second, and none is held back once it is not, or at the end."""
    reply, slept = Scripted(), [0]

    async def rest(seconds: float) -> None:
        slept[0] += 1
        reply.grow(1)
        reply.finished = slept[0] == 100

    async def run() -> list[int]:
        behind = lambda: not 50 < slept[0] <= 55  # noqa: E731 - as the page passes it
        return [slept[0] async for _ in pulses(reply, 25, rest, behind)]

    assert run_async(run()) == [25, 50, 51, 52, 53, 54, 55, 80, 100]


def test_an_update_carries_what_is_not_on_the_screen(source: Any) -> None:
    """Tokens up to the update that the browser said it shows are not sent again; with many unshown it is behind."""
    talk, reply = Shelf(source.database, source.load).fresh("ada", "stories"), Scripted()
    reply.message = Message("model")
    talk.messages = [Message("user", "hi"), reply.message]
    reply.grow(5000)
    window = Window(talk, reply)  # type: ignore[arg-type]
    updates: list[dict[str, Any]] = []
    for number in range(40):
        reply.grow(10)
        updates.append(window.update(False, updates[number - 3]["serial"] if number >= 3 else 0))
    assert [one["start"] for one in updates] == [5000 + 10 * max(number - 2, 0) for number in range(40)]
    assert [len(one["tokens"]) for one in updates[3:]] == [30] * 37
    assert not window.behind(0)
    for _ in range(6):
        window.update(False)
    assert window.behind(0)
    assert not window.behind(updates[-1]["serial"] + 1)


def test_windows_overlap_so_that_updates_may_be_skipped(source: Any) -> None:
    """A reader who says nothing and misses several updates still has every token, and updates stay small."""
    talk = Shelf(source.database, source.load).fresh("ada", "stories")
    answer = Message("model")
    talk.messages = [Message("user", "hi"), answer]
    reply, seen = Scripted(), list[str]()
    reply.message = answer
    window = Window(talk, reply)  # type: ignore[arg-type]
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
