"""The component that shows a conversation, with every token a thing of its own.

It is a ``gr.HTML`` whose script builds the page from text nodes, so nothing a model or a user wrote is ever read as
HTML. What goes to the browser is small however long the conversation is: of a reply that grows the tokens that the
browser has not said to have shown (it may skip updates), and the whole only when a conversation is opened or something
was missed. While a browser is behind, the next update waits for it.

Not a subclass of ``gr.HTML``: gradio writes a ``.pyi`` file beside the source of every subclass.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from math import log
from typing import Any

import gradio as gr

from seqdemo.plugin import Token

from .assets import script
from .intro import Intro
from .messages import Message
from .reply import Reply
from .talk import Talk
from .words import ENGLISH, Words

__all__ = ["LONGEST", "Window", "conversation", "earlier", "encode", "paged", "whole"]

_AHEAD = 8
"""Updates that a browser may be behind."""
_KEPT = 20_000
"""Tokens of one reply that are sent: its last ones, as many as the script keeps in the page."""
LONGEST = 20_000
"""Characters of a user's message that are shown: a browser takes half a minute to lay out a megabyte."""
_PAGE = 40
"""Messages that are sent at once, of a conversation that has more."""
_SPANS = 8_000
"""Tokens of all of them at most; so many characters of the user's count as one."""
_CHARACTERS = 16
_LEAST = 2
"""Messages that are sent however long they are."""
_MOST_SURPRISING = 9_999
_serial = count(1)

_REASONS = {
    "length": "conversation.length",
    "stop": "conversation.stop",
    "end": "conversation.end",
    "timeout": "conversation.timeout",
    "cancelled": "conversation.cancelled",
    "error": "conversation.error",
    "written": "conversation.written",
}

_TEMPLATE = """
<div class="sd-log" role="region" data-say-aria-label="conversation.name" tabindex="-1"></div>
<div class="sd-announcer sd-hidden" role="status"></div>
"""


def conversation(
    resync: Callable[[str], str],
    earlier: Callable[[str, int, int], str],
    text: Callable[[str, int, int], str],
    shown: Callable[[str, int], None],
) -> gr.HTML:
    """The component.

    It triggers ``ready`` (key, left, conversation, width), ``pick`` (message, token), ``unpick``, ``reseed`` (seed),
    ``example`` (text), ``halt``, ``reply`` (verb: ``again`` or ``onward``), ``rewrite`` (message, text), ``turn``
    (message, by), ``fork`` (message), ``undo`` and ``follow`` (conversation).

    Args:
        resync: the conversation of a tab, by key; called by the script when it missed something.
        earlier: messages before those on show, by key, talk and the number of the first one there is.
        text: all of a user's message, by key, talk and its number.
        shown: told the key of a tab and the number of the newest update that is on its screen.
    """

    def fetch(key: str) -> str:
        return resync(str(key))

    def back(question: str) -> str:
        asked = json.loads(question)
        return earlier(str(asked["key"]), int(asked["talk"]), int(asked["first"]))

    def full(question: str) -> str:
        asked = json.loads(question)
        return text(str(asked["key"]), int(asked["talk"]), int(asked["message"]))

    def seen(news: str) -> None:
        said = json.loads(news)
        shown(str(said["key"]), int(said["serial"]))

    fetch.__name__, back.__name__, full.__name__, seen.__name__ = "conversation", "earlier", "text", "shown"
    return gr.HTML(
        value="",
        html_template=_TEMPLATE,
        js_on_load=script("shades.js", "make.js", "conversation.js", "tools.js"),
        apply_default_css=False,
        server_functions=[fetch, back, full, seen],
        elem_id="sd-conversation",
        elem_classes=["sd-conversation"],
    )


def _end(message: Message, words: Words) -> dict[str, Any] | None:
    """What is written below a finished reply. Seeds go as text: they do not fit a JavaScript number."""
    if message.done is None:
        return None
    usage = message.done.usage
    tokens = len(message.tokens)
    notes = [words.count("chat.tokens", tokens)]
    if usage.tokens_per_second:
        notes.append(words("chat.per_second", speed=f"{usage.tokens_per_second:,.0f}"))
    # Of a reply whose process was killed nobody knows what it cost.
    killed = message.done.reason == "cancelled" and not usage.state_bytes
    reason = "conversation.interrupted" if killed else _REASONS.get(message.done.reason)
    notes.append(words(reason) if reason else message.done.reason)
    seed = "" if message.done.reason == "written" else str(message.done.seed)
    return {"tail": message.done.text, "notes": notes, "seed": seed}


def _payload(message: Message, live: bool, words: Words) -> dict[str, Any]:
    held = {"role": message.role, "version": message.version, "versions": message.count, "live": live}
    if message.role == "user":
        return {**held, "text": message.text[:LONGEST], "cut": max(len(message.text) - LONGEST, 0)}
    start = max(len(message.tokens) - _KEPT, 0)
    tokens = message.tokens[start:]
    texts = [token.text for token in tokens]
    end = _end(message, words) or (None if live else _ended(message, "conversation.inside", words))
    return {**held, "start": start, "tokens": texts, "bits": _bits(tokens), "end": end}


def _bits(tokens: list[Token]) -> list[int]:
    """How surprising each token was to the model, in hundredths of a bit: -log2 of its probability."""
    return [round(min(-100 * token.logprob / log(2), _MOST_SURPRISING)) for token in tokens]


def encode(update: dict[str, Any]) -> str:
    """An update as the component's value: text, because gradio's client changes objects it has handed out already.

    ``<`` is written as an escape, so that gradio does not warn of script tags where someone wrote about them.
    """
    return json.dumps(update, ensure_ascii=False).replace("<", "\\u003c")


def paged(messages: Sequence[Message], end: int) -> int:
    """Where the page of messages that ends before ``end`` begins."""
    first, spans = end, 0
    while first and end - first < _PAGE:
        spans += len(messages[first - 1].tokens) + len(messages[first - 1].text) // _CHARACTERS
        if spans > _SPANS and end - first >= _LEAST:
            break
        first -= 1
    return first


def earlier(talk: Talk, before: int, words: Words = ENGLISH) -> dict[str, Any]:
    """The page of messages that stands before one."""
    messages = talk.messages
    end = min(max(before, 0), len(messages))
    first = paged(messages, end)
    return {"talk": talk.id, "first": first, "messages": [_payload(one, False, words) for one in messages[first:end]]}


def whole(
    talk: Talk | None,
    key: str,
    intro: Intro | None,
    busy: bool | None = None,
    words: Words = ENGLISH,
    first: int | None = None,
    guest: bool = False,
) -> dict[str, Any]:
    """A conversation: its last messages, and how many there are before them.

    Args:
        key: the tab's; a script that missed something asks with it.
        first: the number of a message that is shown too, with all after it.
        guest: the reply that streams is another tab's.
    """
    messages = talk.messages if talk is not None else []
    begin = paged(messages, len(messages))
    begin = begin if first is None else min(first, begin)
    running = busy if busy is not None else talk is not None and talk.busy
    return {
        "kind": "all",
        "serial": next(_serial),
        "key": key,
        "talk": talk.id if talk is not None else 0,
        "conversation": talk.conversation if talk is not None else "",
        "first": begin,
        "messages": [_payload(message, running and message is messages[-1], words) for message in messages[begin:]],
        "intro": intro.payload() if intro is not None and not messages else None,
        "busy": running,
        "guest": guest,
    }


class Window:
    """What to tell the browser about a reply that grows: the tokens it has not shown, as far as is known.

    Where it says nothing, it is taken to have shown all but the last few updates.
    """

    def __init__(self, talk: Talk, reply: Reply, words: Words = ENGLISH) -> None:
        self._talk = talk
        self._words = words
        self._message = reply.message
        self._index = len(talk.messages) - 1
        self._start = len(reply.message.tokens)
        self._sent: deque[tuple[int, int]] = deque()  # number and end of each update that may not be on show yet

    def behind(self, seen: int) -> bool:
        """Whether a browser that shows the update with a number has enough to do with those after it."""
        while self._sent and self._sent[0][0] <= seen:
            self._start = self._sent.popleft()[1]
        return len(self._sent) >= _AHEAD

    def update(self, finished: bool, seen: int = 0) -> dict[str, Any]:
        """The next update.

        Args:
            finished: read before it, so that the last one is complete.
            seen: number of the newest update that the browser said it shows.
        """
        if self.behind(seen):
            self._start = self._sent.popleft()[1]
        start, serial = self._start, next(_serial)
        fresh = self._message.tokens[start:]
        texts = [token.text for token in fresh]
        self._sent.append((serial, start + len(texts)))
        end = _end(self._message, self._words) or _ended(self._message, "conversation.error", self._words)
        return {
            "kind": "more",
            "serial": serial,
            "talk": self._talk.id,
            "message": self._index,
            "start": start,
            "tokens": texts,
            "bits": _bits(fresh),
            "end": end if finished else None,
            "busy": not finished,
        }


def _ended(message: Message, reason: str, words: Words) -> dict[str, Any]:
    """What is written below a reply that has no end of its own."""
    return {"tail": "", "notes": [words.count("chat.tokens", len(message.tokens)), words(reason)], "seed": ""}
