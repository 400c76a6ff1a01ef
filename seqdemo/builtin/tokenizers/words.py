"""Words: whole words, marks and spaces, as they stand in the text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from seqdemo.errors import DataError

from .config import WordsConfig
from .table import TableTokenizer
from .vocabulary import count, prepare, read_vocabulary, special_ids, write_vocabulary

__all__ = ["Words", "evenly_spaced", "split_words"]

_ALONE = (  # Han, kana, Thai, Lao, Burmese, Khmer: scripts written without spaces between words
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_MARK = (  # control characters, punctuation, symbols, emoji
    r"\x00-\x08\x0e-\x1b\x7f!-/:-@\[-\^`{-~\xa1-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\xd7\xf7"
    "\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u2bff\u2e00-\u2e7f\u3001-\u3004\u3008-\u3020\u3030\u303d-\u303f"
    "\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
_EMOJI = f"[{_MARK}][\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]*"
_WORD = rf"[^\s{_MARK}{_ALONE}]+"
_UNIT = re.compile(
    rf"[{_ALONE}]"
    r"| ?[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    rf"| ?{_EMOJI}(?:\u200d{_EMOJI})*"
    rf"| ?{_WORD}(?:['’]{_WORD})*"
    r"|\s"
)
_TIGHT = re.compile(f"[{_ALONE}\u3001-\u303f\ufe10-\ufe1f\ufe30-\ufe4f\uff01-\uff65]")
"""What no space is put before: scripts written without spaces, and their marks."""


def split_words(text: str) -> list[str]:
    """Cut a text into units, which together are the text.

    A unit is a word or a mark with the one space before it, if there is one; a character of a script written without
    spaces; or one white-space character. An apostrophe within a word belongs to it.
    """
    return _UNIT.findall(text)


def evenly_spaced(text: str) -> list[str]:
    """The units of a text without its white space; words and marks have one space before them in any case."""
    bare = [unit.removeprefix(" ") for unit in split_words(text) if not unit.isspace()]
    return [unit if _TIGHT.match(unit) else f" {unit}" for unit in bare]


class Words(TableTokenizer):
    """Special tokens first (``unk`` is 0), then the units of :func:`split_words`, the commonest first.

    What is lost: a unit outside the vocabulary becomes ``<unk>``, which decodes to nothing, its space included; what
    the config prepares away, white space among it; and a known word that was seen only with a space before it gets one.
    """

    config: WordsConfig

    def __init__(self, config: WordsConfig, units: Iterable[str]) -> None:
        self.config = config
        self._split = split_words if config.keep_spaces else evenly_spaced
        self._special = special_ids(config, unknown=True)
        self._units = list(units)
        first = len(self._special)
        self._ids = {unit: first + place for place, unit in enumerate(self._units)}
        self._bytes = [b""] * first + [unit.encode() for unit in self._units]

    @classmethod
    def train(cls, texts: Iterable[str], config: WordsConfig) -> Self:
        """Take the commonest units of the texts, and the space and the new line where white space is kept.

        Raises:
            DataError: there are none that occur ``min_count`` times.
        """
        counted = count(texts, config, split_words if config.keep_spaces else evenly_spaced, "words")
        kept = [unit for unit, times in counted.items() if times >= config.min_count]
        if not any(unit.strip() for unit in kept):
            raise DataError(f"No word occurs {config.min_count} times (min_count). Give more text, or lower min_count.")
        always = [] if not config.keep_spaces else [" "] if config.letters_only else ["\n", " "]
        ranked = sorted(set(kept).difference(always), key=lambda unit: (-counted[unit], unit))
        room = config.vocab_size - len(special_ids(config, unknown=True)) - len(always)
        return cls(config, [*always, *ranked[:room]])

    @classmethod
    def load(cls, folder: Path, config: WordsConfig) -> Self:
        return cls(config, read_vocabulary(folder, "words", list, config.vocab_size))

    def save(self, folder: Path) -> None:
        write_vocabulary(folder, "words", self._units)

    def encode(self, text: str) -> list[int]:
        """Ids of the text's units.

        Raises:
            TokenizerError: the text holds lone surrogates.
        """
        self.check_text(text)
        ids: list[int] = []
        known = self._ids.get
        for unit in self._split(prepare(text, self.config)):
            found = known(unit)
            if found is None:
                ids.extend(self._near(unit))
            else:
                ids.append(found)
        return ids

    def _near(self, unit: str) -> list[int]:
        """The unit with its space apart, or with a space it lacks, or unknown."""
        if unit.startswith(" "):
            bare = self._ids.get(unit[1:])
            if bare is not None and " " in self._ids:
                return [self._ids[" "], bare]
        else:
            spaced = self._ids.get(f" {unit}")
            if spaced is not None:
                return [spaced]
        return [self._special["unk"]]
