"""Everything the page says, in English and in 简体中文.

One module for each area of the page holds its ``WORDS``: a key, which begins with the area's name, -> (English,
简体中文). A text may have ``{name}`` in it; one that counts may have an English singular before ``|``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from seqdemo.errors import SessionError

from . import (
    batch,
    chat,
    colours,
    compare,
    conversation,
    errors,
    inspector,
    models,
    notebook,
    option,
    page,
    plugins,
    results,
    sidebar,
    travel,
)

__all__ = ["CHINESE", "ENGLISH", "TABLE", "Language", "PageError", "Words", "preferred", "spoken"]

Language = Literal["en", "zh-CN"]

TABLE: Mapping[str, tuple[str, str]] = {
    **batch.WORDS,
    **chat.WORDS,
    **colours.WORDS,
    **compare.WORDS,
    **conversation.WORDS,
    **errors.WORDS,
    **inspector.WORDS,
    **models.WORDS,
    **notebook.WORDS,
    **option.WORDS,
    **page.WORDS,
    **plugins.WORDS,
    **results.WORDS,
    **sidebar.WORDS,
    **travel.WORDS,
}
"""Every text by its key."""


class Words:
    """The texts in one language: ``words("page.loading", name="stories")``."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._column = 0 if language == "en" else 1

    def __call__(self, key: str, **values: object) -> str:
        """A text with its ``{names}`` filled in."""
        return _filled(TABLE[key][self._column], values)

    def count(self, key: str, number: int, **values: object) -> str:
        """A text about a number, which is ``{number}`` in it: ``words.count("conversation.tokens", 1)``."""
        one, _, many = TABLE[key][self._column].partition("|")
        return _filled(many if many and number != 1 else one, {"number": f"{number:,}", **values})


def _filled(text: str, values: Mapping[str, object]) -> str:
    """Not ``str.format``: what is filled in may have braces of its own."""
    return re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), text)


ENGLISH = Words("en")
CHINESE = Words("zh-CN")


def spoken(language: str) -> Words:
    """The texts in a language by its tag; in English where there are none."""
    return CHINESE if language == CHINESE.language else ENGLISH


def preferred(accepted: str) -> Words:
    """The texts for an ``Accept-Language`` header: Chinese where it is what the reader likes best."""
    best, weight = "", 0.0
    for one in accepted.split(","):
        tag, _, quality = one.strip().partition(";q=")
        try:
            liked = float(quality or 1)
        except ValueError:
            continue
        if liked > weight:
            best, weight = tag, liked
    return CHINESE if best.lower().partition("-")[0] == "zh" else ENGLISH


class PageError(SessionError):
    """A problem that the page says in its reader's language; in English where it is read as a text.

    Args:
        key: of the text.
        values: what it is filled in with.
    """

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(ENGLISH(key, **values))
        self.key = key
        self.values = values
