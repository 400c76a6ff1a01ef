"""The strip that says what a conversation has cost and what carries it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .markup import Markup, element
from .talk import Talk
from .words import ENGLISH, Words

__all__ = ["bytes_text", "notice", "status", "status_view"]


def status() -> gr.HTML:
    """The component; its value is made by :func:`status_view` or :func:`notice`."""
    return gr.HTML(value="", html_template="${value}", js_on_load=None, apply_default_css=False, elem_id="sd-status")


def bytes_text(size: int) -> str:
    """``16_384`` -> ``"16.4 kB"``."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _fact(name: str, value: str, title: str = "") -> Markup:
    return element("div", element("dt", name), element("dd", value), title=title or None)


def notice(text: str, kind: str = "error", *after: str) -> Markup:
    """One calm line: ``kind`` is ``error``, ``progress`` or ``hint``; ``after`` comes behind the text."""
    role = "alert" if kind == "error" else "status"
    return element("p", text, *(part for one in after for part in (" ", one)), class_=f"sd-notice sd-{kind}", role=role)


def status_view(talk: Talk | None, pipeline: Any, words: Words = ENGLISH) -> Markup:
    """Tokens, speed, state, device and precision of the conversation on show."""
    if pipeline is None:
        return element("dl", class_="sd-facts")
    facts = []
    if talk is not None:
        facts += _conversation_facts(talk, words)
    stepper = pipeline.stepper
    facts.append(_fact(words("chat.on"), f"{pipeline.device}, {stepper.precision}", stepper.description))
    return element("dl", *facts, class_="sd-facts")


def _conversation_facts(talk: Talk, words: Words) -> list[Markup]:
    reply = talk.reply
    facts = []
    if reply is not None and reply.prefill is not None and not reply.tokens and not reply.finished:
        read = words("chat.reading_of", read=f"{reply.prefill.read:,}", total=f"{reply.prefill.total:,}")
        facts.append(_fact(words("chat.reading"), read))
    generated = sum(len(message.tokens) for message in talk.messages)
    facts.append(_fact(words("chat.read"), words.count("chat.tokens", talk.tokens_read), words("chat.read_about")))
    facts.append(_fact(words("chat.generated"), words.count("chat.tokens", generated)))
    if speed := _speed(talk):
        facts.append(_fact(words("chat.speed"), words("chat.per_second", speed=f"{speed:,.0f}")))
    if talk.state_bytes:
        size = words("chat.constant", size=bytes_text(talk.state_bytes))
        facts.append(_fact(words("chat.state"), size, words("chat.constant_about")))
    return facts


def _speed(talk: Talk) -> float:
    """Tokens a second of the reply that is written, or was last; 0 when unknown. It is kept with the reply."""
    if talk.reply is not None and talk.busy:
        return talk.reply.tokens_per_second
    done = talk.messages[-1].done if talk.messages else None
    return done.usage.tokens_per_second if done is not None else 0.0
