"""The tokenizer contract: decoding one id at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.errors import TokenizerError
from seqdemo.plugin import Tokenizer


class Pairs(Tokenizer):
    """Ids below 256 are bytes, the others pairs of bytes: characters are cut anywhere."""

    @classmethod
    def train(cls, texts: Iterable[str], config: Any) -> Self:
        return cls()

    @classmethod
    def load(cls, folder: Path, config: Any) -> Self:
        return cls()

    def save(self, folder: Path) -> None:
        pass

    @property
    def vocab_size(self) -> int:
        return 256 + 256 * 256

    def encode(self, text: str) -> list[int]:
        raw = self.check_text(text)
        return [
            256 + int.from_bytes(raw[at : at + 2]) if at + 1 < len(raw) else raw[at] for at in range(0, len(raw), 2)
        ]

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else (token - 256).to_bytes(2)


ids = st.lists(st.integers(0, 256 + 256 * 256 - 1), max_size=30)


@given(ids)
@settings(deadline=None, max_examples=200)
def test_whole_and_incremental_decoding_agree(tokens: list[int]) -> None:
    """Texts that became certain one by one are the text of all ids, whatever the ids are."""
    tokenizer = Pairs.train([], None)
    decoder = tokenizer.decoder()
    parts = [decoder.push(token) for token in tokens]
    whole = b"".join(map(tokenizer.token_bytes, tokens)).decode("utf-8", "replace")
    assert "".join(parts) + decoder.finish() == tokenizer.decode(tokens) == whole


@given(st.text())
@settings(deadline=None, max_examples=200)
def test_no_half_character_is_shown(text: str) -> None:
    """While a text is decoded, what was shown is always a beginning of it."""
    tokenizer = Pairs.train([], None)
    decoder, shown = tokenizer.decoder(), ""
    for token in tokenizer.encode(text):
        shown += decoder.push(token)
        assert text.startswith(shown)
    assert decoder.pending == b""
    assert shown == text


@given(ids, st.data())
@settings(deadline=None, max_examples=200)
def test_pending_resumes(tokens: list[int], data: st.DataObject) -> None:
    """A fresh decoder given another's pending bytes goes on as that one would have."""
    tokenizer = Pairs.train([], None)
    at = data.draw(st.integers(0, len(tokens)))
    first, second = tokenizer.decoder(), tokenizer.decoder()
    text = "".join(first.push(token) for token in tokens[:at])
    second.pending = first.pending
    text += "".join(second.push(token) for token in tokens[at:]) + second.finish()
    assert text == tokenizer.decode(tokens)


def test_finish_leaves_nothing() -> None:
    """After the end an incomplete character was shown as U+FFFD, and the decoder is as new."""
    decoder = Pairs.train([], None).decoder()
    assert decoder.push(0xE6) == ""
    assert decoder.pending == b"\xe6"
    assert decoder.finish() == "\ufffd"
    assert decoder.pending == b""
    assert decoder.push(ord("a")) == "a"


@pytest.mark.parametrize(("text", "position"), [("\ud800", 0), ("ab\udfff", 2), ("我\ud83d我", 1)])
def test_lone_surrogates_are_refused(text: str, position: int) -> None:
    """The error says which one and where."""
    with pytest.raises(TokenizerError, match=f"U\\+D[0-9A-F]{{3}} at position {position}"):
        Tokenizer.check_text(text)


def test_special_tokens_are_optional() -> None:
    """A tokenizer that says nothing has none."""
    assert Pairs.train([], None).special_tokens == {}
