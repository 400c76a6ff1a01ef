"""Tokenizers: text <-> token ids. Imports no torch.

Everything is bytes underneath: an id stands for the bytes of :meth:`Tokenizer.token_bytes`, a text is their
concatenation as UTF-8. So decoding one id at a time cannot differ from decoding them together.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from seqdemo.errors import TokenizerError

from .config import TokenizerConfig

__all__ = ["TextDecoder", "Tokenizer"]


class Tokenizer(ABC):
    """Text <-> token ids.

    A class registered as a tokenizer is made by ``train`` or ``load``, never called directly. Both take the config its
    record names.
    """

    config: TokenizerConfig

    @classmethod
    @abstractmethod
    def train(cls, texts: Iterable[str], config: Any) -> Self:
        """Build a vocabulary from texts.

        Raises:
            DataError: no text, or too little for the vocabulary asked for.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: Any) -> Self:
        """Read what ``save`` wrote.

        Raises:
            CheckpointError: files missing or altered.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write every file this tokenizer needs into an existing folder."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """``V``; ids are ``0 … V - 1``."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Ids by name: ``unk``, ``pad``, ``bos``, ``eos`` and others, where the vocabulary has them."""
        return {}

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token ids of a text; ``[]`` for the empty text.

        Raises:
            TokenizerError: the text cannot be expressed (unknown characters without ``unk``, lone surrogates).
        """

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes a token stands for, maybe part of a character; ``b""`` for special tokens.

        Raises:
            TokenizerError: no such id.
        """

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""
        decoder = self.decoder()
        return "".join(decoder.push(token) for token in tokens) + decoder.finish()

    def decoder(self) -> TextDecoder:
        """A decoder for one stream of ids."""
        return TextDecoder(self)

    @staticmethod
    def check_text(text: str) -> bytes:
        """The text as UTF-8.

        Raises:
            TokenizerError: it holds lone surrogates, which are not Unicode text.
        """
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            raise TokenizerError(
                f"The text holds the lone surrogate U+{ord(text[error.start]):04X} at position {error.start}, "
                "which is not a character. Remove it, or read the file as UTF-8."
            ) from error


class TextDecoder:
    """Decodes ids one by one, holding back an incomplete character.

    ``pending`` is all it remembers, so that a snapshot can keep it: ``decoder.pending = saved`` goes on from there.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that became certain with this token, maybe empty."""
        return self._utf8.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """What was held back, as U+FFFD, when no more will come."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest

    @property
    def pending(self) -> bytes:
        """Bytes held back."""
        return self._utf8.getstate()[0]

    @pending.setter
    def pending(self, held: bytes) -> None:
        self._utf8.setstate((held, 0))
