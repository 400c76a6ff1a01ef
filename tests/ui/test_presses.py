"""What a press does before anything else, and what a second one does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import gradio as gr

from seqdemo.errors import StoreError
from seqdemo.ui.chat import ChatTab
from seqdemo.ui.talk import Talk

OPTIONS = {"max_tokens": 12, "temperature": 0.0}


async def all_of(updates: Any) -> list[dict[Any, Any]]:
    return [update async for update in updates]


def test_an_old_notice_goes_before_a_new_one_comes(chat: ChatTab, run_async: Any) -> None:
    """Who sends again what was refused sees the line go, and it comes back if it is refused again."""
    ask = gr.Request(username="ada", session_hash="one")
    chat.tabs.arrive("one", "login:ada")

    def refused(talk: Talk) -> Any:
        raise StoreError("the disk is full")

    async def scenario() -> None:
        for _ in range(2):
            first, *_, last = await all_of(chat._respond(ask, "stories", refused))
            assert first == {chat.notice: ""}
            assert "disk is full" in last[chat.notice]

    run_async(scenario())


def test_regenerate_pressed_twice_makes_one_version(chat: ChatTab, run_async: Any) -> None:
    """The second press comes while the first is being answered, and changes nothing."""
    ask, again = gr.Request(username="ada", session_hash="one"), gr.EventData(None, {"verb": "again"})
    tab = chat.tabs.arrive("one", "login:ada")

    async def scenario() -> None:
        await all_of(chat._respond(ask, "stories", lambda talk: talk.say("hi", OPTIONS)))
        held = [component.value for component in chat.sampling.inputs]
        first = asyncio.create_task(all_of(chat._reply(ask, again, "stories", "", *held)))
        while not tab.talk.busy:
            await asyncio.sleep(0.01)
        assert await all_of(chat._reply(ask, again, "stories", "", *held)) == []
        tab.talk.cancel()
        shown = [json.loads(update[chat.view]) for update in await first if chat.view in update]
        assert not shown[-1]["busy"]
        assert tab.talk.messages[-1].count == 2

    run_async(scenario())
