"""Titles, and words that are searched for."""

from __future__ import annotations

import re

__all__ = ["around", "escaped", "one_line"]

TITLE = 80


def one_line(text: str) -> str:
    """A text as a title: one line, not too long."""
    line = " ".join(text[: 20 * TITLE].split())
    return line if len(line) <= TITLE else line[: TITLE - 1].rstrip() + "…"


def escaped(word: str) -> str:
    """A word as a part of a LIKE pattern."""
    return re.sub(r"([\\%_])", r"\\\1", word)


def around(text: str, word: str, width: int = 40) -> str:
    """The place in a text where a word stands, with what is left and right of it."""
    at = max(text.lower().find(word.lower()), 0)
    begin, end = max(at - width, 0), at + len(word) + width
    return ("…" if begin else "") + " ".join(text[begin:end].split()) + ("…" if end < len(text) else "")
