"""The bytes tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.builtin.tokenizers.byte_level import Bytes
from seqdemo.builtin.tokenizers.config import BytesConfig
from seqdemo.errors import TokenizerError

PLAIN, CLOSED = Bytes.train([], BytesConfig()), Bytes.train([], BytesConfig(end_token=True))


@given(st.text())
@settings(deadline=None, max_examples=200)
def test_round_trip(text: str) -> None:
    """Any Unicode text survives, and its ids are its UTF-8 bytes."""
    assert PLAIN.encode(text) == list(text.encode())
    assert PLAIN.decode(PLAIN.encode(text)) == text


@given(st.lists(st.integers(0, 256), max_size=40))
@settings(deadline=None, max_examples=200)
def test_any_ids_decode(tokens: list[int]) -> None:
    """Ids no text has decode as Python decodes the bytes, piece by piece or at once."""
    decoder = CLOSED.decoder()
    parts = "".join(decoder.push(token) for token in tokens) + decoder.finish()
    assert parts == CLOSED.decode(tokens) == bytes(t for t in tokens if t < 256).decode("utf-8", "replace")


def test_sizes_and_special_tokens() -> None:
    """256 ids, and one more for the end token, which stands for no text."""
    assert (PLAIN.vocab_size, dict(PLAIN.special_tokens)) == (256, {})
    assert (CLOSED.vocab_size, dict(CLOSED.special_tokens)) == (257, {"eos": 256})
    assert CLOSED.token_bytes(256) == b""


@pytest.mark.parametrize("token", [-1, 256, 10**9])
def test_ids_out_of_range(token: int) -> None:
    """The error names the id and the range."""
    with pytest.raises(TokenizerError, match=rf"no token {token}: ids are 0 to 255"):
        PLAIN.token_bytes(token)


def test_lone_surrogates() -> None:
    """They are refused by name."""
    with pytest.raises(TokenizerError, match=r"U\+D800 at position 1"):
        PLAIN.encode("a\ud800")


def test_save_and_load(tmp_path: Path) -> None:
    """The config alone brings it back, even where empty folders were not kept."""
    CLOSED.save(tmp_path)
    again = Bytes.load(tmp_path / "gone", CLOSED.config)
    assert again.encode("我") == CLOSED.encode("我")
    assert again.vocab_size == CLOSED.vocab_size
