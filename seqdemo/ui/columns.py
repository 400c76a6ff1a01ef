"""What the browser is told of a comparison: all of it, or what is new in replies that stream."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Any

from .comparison import Cell, Comparison, Exchange
from .conversation import LONGEST
from .status import bytes_text
from .talk import explain
from .words import Words

__all__ = ["Feed", "everything", "notice", "scored"]

_OVERLAP = 8
_serial = count(1)

_REASONS: Mapping[str, str] = {
    "length": "conversation.length",
    "stop": "conversation.stop",
    "end": "conversation.end",
    "timeout": "conversation.timeout",
    "cancelled": "conversation.cancelled",
    "error": "conversation.error",
}


def _named(comparison: Comparison, words: Words) -> list[str]:
    return [words("compare.named", number=at, name=name) for at, name in enumerate(comparison.names, 1)]


def _notes(cell: Cell, words: Words) -> list[str]:
    """What stands below a reply."""
    reply = cell.reply
    if reply is None:
        return []
    done, tokens = reply.message.done, len(reply.message.tokens)
    if not tokens and not reply.finished:
        prefill = reply.prefill
        if prefill is None:
            return [words("compare.waiting")]
        return [words("compare.reading", read=f"{prefill.read:,}", total=f"{prefill.total:,}")]
    notes = [words.count("chat.tokens", tokens)]
    if reply.tokens_per_second:
        notes.append(words("chat.per_second", speed=f"{reply.tokens_per_second:,.0f}"))
    if done is not None:
        notes.append(words("compare.state", size=bytes_text(done.usage.state_bytes)))
        notes.append(words("compare.seed", seed=done.seed))
        notes.append(words(_REASONS[done.reason]) if done.reason in _REASONS else done.reason)
    return notes


def _trouble(cell: Cell, words: Words) -> str:
    return "" if cell.trouble is None else explain(cell.trouble, words)


def _cell(cell: Cell, words: Words) -> dict[str, Any]:
    """All of a reply. Text goes by tokens, as what comes after it is counted by them."""
    if cell.reply is None:
        error = _trouble(cell, words) or words("compare.ended")
        return {"count": 0, "text": "", "live": False, "notes": [], "error": error}
    live, message = not cell.reply.finished, cell.reply.message
    tokens = list(message.tokens)
    tail = "" if live or message.done is None else message.done.text
    text = "".join(token.text for token in tokens) + tail
    return {
        "count": len(tokens),
        "text": text,
        "live": live,
        "notes": _notes(cell, words),
        "error": "" if live else _trouble(cell, words),
    }


def _exchange(exchange: Exchange, words: Words) -> dict[str, Any]:
    return {
        "message": exchange.message[:LONGEST],
        "cut": max(len(exchange.message) - LONGEST, 0),
        "cells": [_cell(cell, words) for cell in exchange.cells],
        "scores": _matrix(exchange, words),
    }


def _matrix(exchange: Exchange, words: Words) -> list[list[dict[str, Any] | None]]:
    """By the reader, then by the reply: both measures as text, and whether no other reader finds it likelier."""
    width = len(exchange.cells) if exchange.scores else 0
    read = [[row[at] for row in exchange.scores] for at in range(width)]
    bits = [[one.bits_per_byte for one in found if one and not isinstance(one, Exception)] for found in read]
    least = [min(found, default=math.inf) for found in bits]

    def entry(found: Any, at: int) -> dict[str, Any] | None:
        if found is None:
            return None
        if isinstance(found, Exception):
            return {"why": explain(found, words), "text": words("compare.unread")}
        return {
            "bits": words("compare.bits", bits=f"{found.bits_per_byte:.2f}"),
            "perplexity": words("compare.perplexity", perplexity=_short(found.perplexity)),
            "best": found.bits_per_byte == least[at],
        }

    return [[entry(found, at) for at, found in enumerate(row)] for row in exchange.scores]


def _short(number: float) -> str:
    """``1234.5`` -> ``"1,234"``."""
    if math.isinf(number):
        return "∞"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def everything(comparison: Comparison | None, words: Words, **more: Any) -> dict[str, Any]:
    """All of a comparison; an empty one where there is none."""
    found = {"kind": "all", "serial": next(_serial), "id": 0, "names": [], "exchanges": [], "busy": False}
    if comparison is not None:
        found |= {
            "id": comparison.id,
            "names": _named(comparison, words),
            "exchanges": [_exchange(exchange, words) for exchange in comparison.exchanges],
            "busy": comparison.busy,
        }
    return found | more


def scored(comparison: Comparison, words: Words, trouble: str = "") -> dict[str, Any]:
    """What the models make of the last replies. ``trouble``: why that is not known."""
    return {
        "kind": "scores",
        "serial": next(_serial),
        "id": comparison.id,
        "exchange": len(comparison.exchanges) - 1,
        "scores": _matrix(comparison.exchanges[-1], words),
        "busy": comparison.busy,
        "notice": {"kind": "error", "text": trouble} if trouble else None,
    }


def notice(text: str, kind: str = "error") -> dict[str, Any]:
    """A line, and nothing else."""
    return {"kind": "notice", "serial": next(_serial), "notice": {"kind": kind, "text": text}}


class Feed:
    """The newest tokens of each of the last replies, and those of the last few updates: a browser may skip some."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._cells = comparison.exchanges[-1].cells
        self._sent: list[deque[int]] = [deque([0], maxlen=_OVERLAP) for _ in self._cells]

    def update(self, words: Words) -> dict[str, Any]:
        """The next update."""
        return {
            "kind": "more",
            "serial": next(_serial),
            "id": self._comparison.id,
            "exchange": len(self._comparison.exchanges) - 1,
            "cells": [self._cell(cell, sent, words) for cell, sent in zip(self._cells, self._sent, strict=True)],
            "busy": True,
        }

    def _cell(self, cell: Cell, sent: deque[int], words: Words) -> dict[str, Any] | None:
        if cell.reply is None:
            return None
        live, message = not cell.reply.finished, cell.reply.message
        start = sent[0]
        texts = [token.text for token in message.tokens[start:]]
        sent.append(start + len(texts))
        return {
            "start": start,
            "tokens": texts,
            "tail": "" if live or message.done is None else message.done.text,
            "live": live,
            "notes": _notes(cell, words),
            "error": "" if live else _trouble(cell, words),
        }
