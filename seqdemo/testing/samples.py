"""Texts that the kit trains and tries tokenizers and task heads on."""

from __future__ import annotations

import random

__all__ = ["TEXTS", "UNSEEN", "training_texts"]

TEXTS: tuple[str, ...] = (
    "The quick brown fox jumps over the lazy dog.\n",
    "It was 1895; she said: \"Wait - it's 3.14 o'clock!\"\r\n",
    "Ça va très bien, naïve Zoë? Größe, Ærø, žluťoučký kůň.",
    "我爱你。时间机器，第一章：天地玄黄！",
    "これはペンです。한국어 문장도 있다.",
    "Съешь же ещё этих мягких французских булок. Ξεσκεπάζω την ψυχοφθόρα.",
    "नमस्ते दुनिया, สวัสดีชาวโลก, مرحبا بالعالم, שלום עולם",
    "A family 👨‍👩‍👧, a flag 🇫🇷, a thumb 👍🏽, and e\u0301 in two parts.",
    "  two spaces, a\ttab,\n\na blank line and a trailing space ",
    "def f(x): return {x: x**2 for x in range(10)}  # ~`|\\<>^_@$%&",
    "a",
    " ",
    "\n",
)
"""Scripts with and without spaces, characters of one to four bytes, joined emoji, white space at both ends."""

UNSEEN = "𓀀 ꙮ ℵ₀ ⟦𝔘𝔫⟧ \u2028"
"""Characters that are not in ``TEXTS``."""


def training_texts() -> list[str]:
    """``TEXTS`` and, so that a subword vocabulary has something to learn, lines of words made of syllables."""
    draw = random.Random(0)
    syllables = [
        first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "st")
    ]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(4000)]
    return [*TEXTS, *(" ".join(words[start : start + 10]) + "\n" for start in range(0, len(words), 10))]
