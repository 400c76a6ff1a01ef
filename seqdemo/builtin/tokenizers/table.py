"""A vocabulary as a table: what each id stands for, in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqdemo.errors import TokenizerError
from seqdemo.plugin import Tokenizer

__all__ = ["TableTokenizer"]


class TableTokenizer(Tokenizer):
    """The half of a tokenizer that a table of bytes and the special ids decide. Subclasses set both.

    Attributes:
        _bytes: the bytes of each id; empty for special tokens.
        _special: ids by name.
    """

    _bytes: Sequence[bytes]
    _special: Mapping[str, int]

    @property
    def vocab_size(self) -> int:
        return len(self._bytes)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return self._special

    def token_bytes(self, token: int) -> bytes:
        if 0 <= token < len(self._bytes):
            return self._bytes[token]
        raise TokenizerError(f"There is no token {token}: ids are 0 to {self.vocab_size - 1}.")
