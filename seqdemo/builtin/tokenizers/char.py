"""Characters: one id for each code point of the training text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from seqdemo.errors import DataError, TokenizerError

from .config import CharConfig
from .table import TableTokenizer
from .vocabulary import count, prepare, read_vocabulary, special_ids, write_vocabulary

__all__ = ["Char"]


class Char(TableTokenizer):
    """Special tokens first, then the characters in code point order.

    Lossless over its own characters unless the config prepares the text or has ``<unk>``, which decodes to nothing.

    Args:
        characters: the vocabulary without special tokens.
    """

    config: CharConfig

    def __init__(self, config: CharConfig, characters: Iterable[str]) -> None:
        self.config = config
        self._special = special_ids(config, unknown=config.unknown == "unk")
        self._characters = sorted(characters)
        first = len(self._special)
        self._ids = {character: first + place for place, character in enumerate(self._characters)}
        self._bytes = [b""] * first + [character.encode() for character in self._characters]

    @classmethod
    def train(cls, texts: Iterable[str], config: CharConfig) -> Self:
        """Take the characters of the texts.

        Raises:
            DataError: there are none, or the config leaves out some and has nothing to put in their place.
        """
        counted = count(texts, config, str, "characters")
        kept = [character for character, times in counted.items() if times >= config.min_count]
        room = len(kept)
        if config.vocab_size is not None:
            room = config.vocab_size - len(special_ids(config, unknown=config.unknown == "unk"))
            kept = sorted(kept, key=lambda character: (-counted[character], character))[:room]
        if config.unknown == "error" and len(kept) < len(counted):
            raise DataError(
                f"The text has {len(counted)} different characters, and min_count or vocab_size leaves {len(kept)}. "
                "Set unknown = 'unk' to have the others stand for <unk>, or keep them all."
            )
        if not kept:
            raise DataError(f"No character occurs {config.min_count} times (min_count). Give more text.")
        return cls(config, kept)

    @classmethod
    def load(cls, folder: Path, config: CharConfig) -> Self:
        return cls(config, read_vocabulary(folder, "characters", str, config.vocab_size))

    def save(self, folder: Path) -> None:
        write_vocabulary(folder, "characters", "".join(self._characters))

    def encode(self, text: str) -> list[int]:
        """Ids of the text's characters.

        Raises:
            TokenizerError: a character is not in the vocabulary and the config has no ``<unk>``, or a lone surrogate.
        """
        self.check_text(text)
        text = prepare(text, self.config)
        unknown = self._special.get("unk")
        if unknown is not None:
            return [self._ids.get(character, unknown) for character in text]
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise self._unknown(text, error.args[0]) from None

    def _unknown(self, text: str, character: str) -> TokenizerError:
        known = "".join(self._characters)
        shown = repr(known if len(known) <= 100 else f"{known[:100]}…")
        return TokenizerError(
            f"The character {character!r} (U+{ord(character):04X}) at position {text.index(character)} is not among "
            f"the {len(known)} of this vocabulary: {shown}. Leave it out, or train with unknown = 'unk'."
        )
