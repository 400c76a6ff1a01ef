"""A tab that shows a conversation follows the reply that another tab is being given, and then has it as its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import gradio as gr

from seqdemo.ui.chat import ChatTab

OPTIONS = {"max_tokens": 12, "temperature": 0.0}


def ask(page: str) -> gr.Request:
    return gr.Request(username="ada", session_hash=page)


def test_it_follows_and_then_stands_where_the_other_stands(chat: ChatTab, run_async: Any) -> None:
    """Both tabs are sent the same tokens; a stale one is told to reload; afterwards each may go on in its turn."""
    first, second = chat.tabs.arrive("one", "login:ada"), chat.tabs.arrive("two", "login:ada")

    async def sent(updates: Any) -> list[dict[str, Any]]:
        return [json.loads(update[chat.view]) async for update in updates if chat.view in update]

    def saying(page: str, text: str) -> Any:
        return sent(chat._respond(ask(page), "stories", lambda talk: talk.say(text, OPTIONS)))

    def said(tab: Any) -> list[str]:
        return [message.content for message in tab.talk.messages]

    async def scenario() -> None:
        await saying("one", "hi")
        conversation = first.talk.conversation
        await sent(chat._turn(second, "stories", conversation))
        assert said(second) == said(first)
        speaking = asyncio.create_task(saying("one", "more"))
        while not first.talk.busy:
            await asyncio.sleep(0.01)
        follow = gr.EventData(None, {"conversation": conversation})
        seen = await sent(chat._join(ask("two"), follow))
        told = await speaking
        assert seen[0]["guest"]
        assert seen[0]["busy"]
        assert not told[0]["guest"]
        last = [one for one in seen if one["kind"] == "more"][-1]
        assert last["end"]["notes"] == told[-1]["end"]["notes"]
        assert all(one["busy"] for one in seen[:-1]), "nothing is said before the conversation is its own"
        assert (seen[-1]["kind"], seen[-1]["busy"], seen[-1]["guest"]) == ("all", False, False)
        assert second.talk is not first.talk
        assert said(second) == said(first)
        assert len(said(first)) == 4
        await saying("two", "even more")
        unheard = [update async for update in chat._respond(ask("one"), "stories", lambda t: t.say("late", OPTIONS))]
        assert "another tab" in unheard[-1][chat.notice]
        assert len(said(first)) == 4
        await sent(chat._join(ask("one"), follow))
        assert said(first) == said(second)
        await saying("one", "the end")
        assert said(first)[-2] == "the end"

    run_async(scenario())
