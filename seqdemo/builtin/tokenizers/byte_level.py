"""Bytes: every text can be written, nothing is learned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from .config import BytesConfig
from .table import TableTokenizer

__all__ = ["Bytes"]


class Bytes(TableTokenizer):
    """Ids 0 to 255 are the bytes of UTF-8; 256 is the end token, where the config asks for one. Lossless."""

    config: BytesConfig

    def __init__(self, config: BytesConfig) -> None:
        self.config = config
        self._special = {"eos": 256} if config.end_token else {}
        self._bytes = [bytes([value]) for value in range(256)] + [b""] * len(self._special)

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

    def encode(self, text: str) -> list[int]:
        return list(self.check_text(text))
