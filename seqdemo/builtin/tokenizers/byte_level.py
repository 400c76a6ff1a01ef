"""Bytes: every text can be written, nothing is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from seqdemo.errors import TokenizerError
from seqdemo.plugin import Tokenizer

from .config import BytesConfig

__all__ = ["Bytes"]

_BYTES = [bytes([value]) for value in range(256)]


class Bytes(Tokenizer):
    """Ids 0 to 255 are the bytes of UTF-8; 256 is the end token, where the config asks for one. Lossless."""

    config: BytesConfig

    def __init__(self, config: BytesConfig) -> None:
        self.config = config
        self._special = {"eos": 256} if config.end_token else {}

    @classmethod
    def train(cls, texts: Iterable[str], config: BytesConfig) -> Self:
        """Nothing is learned; the texts are not read."""
        return cls(config)

    @classmethod
    def load(cls, folder: Path, config: BytesConfig) -> Self:
        """The config says it all; the folder is not read."""
        return cls(config)

    def save(self, folder: Path) -> None:
        """There is nothing to write."""

    @property
    def vocab_size(self) -> int:
        return 256 + len(self._special)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return self._special

    def encode(self, text: str) -> list[int]:
        return list(self.check_text(text))

    def token_bytes(self, token: int) -> bytes:
        if 0 <= token < 256:
            return _BYTES[token]
        if token in self._special.values():
            return b""
        raise TokenizerError(f"There is no token {token}: ids are 0 to {self.vocab_size - 1}.")
