"""Texts every tokenizer meets."""

from __future__ import annotations

import random

import pytest

_TEXT = """
the time traveller was expounding a recondite matter to us his grey eyes shone and twinkled
fire burned brightly soft radiance of incandescent lights machine 我爱你 时间 机器 Ça va bien
"""


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """300 short texts of a few words, English and Chinese."""
    draw, words = random.Random(0), _TEXT.split()
    return [" ".join(draw.choice(words) for _ in range(draw.randrange(1, 30))) + ".\n" for _ in range(300)]
