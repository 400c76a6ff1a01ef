"""The char tokenizer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.builtin.tokenizers.char import Char
from seqdemo.builtin.tokenizers.config import CharConfig
from seqdemo.builtin.tokenizers.vocabulary import VOCABULARY
from seqdemo.errors import CheckpointError, DataError, TokenizerError

TEXT = "First Citizen:\nBefore we proceed, 听我说。\n"


def make(text: str = TEXT, **config: Any) -> Char:
    return Char.train([text], CharConfig(**config))


@given(st.text(min_size=1))
@settings(deadline=None, max_examples=200)
def test_vocabulary_is_the_characters(text: str) -> None:
    """As nanoGPT's: ids count the sorted characters, nothing is added, and the text survives."""
    tokenizer = make(text)
    characters = sorted(set(text))
    assert tokenizer.vocab_size == len(characters)
    assert tokenizer.encode(text) == [characters.index(character) for character in text]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(), st.booleans())
@settings(deadline=None, max_examples=200)
def test_unknown_characters_become_unk(text: str, end_token: bool) -> None:
    """With <unk> any text has one id for each character, and what is known is kept."""
    tokenizer = make(unknown="unk", end_token=end_token)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == "".join(character for character in text if character in TEXT)
    assert tokenizer.special_tokens["unk"] == 0


def test_unknown_character_is_an_error() -> None:
    """The error names the character, its code point and its place, and what is known."""
    with pytest.raises(
        TokenizerError, match=r"'ß' \(U\+00DF\) at position 4 .* 24 of this vocabulary.*unknown = 'unk'"
    ):
        make().encode("roseßß")


def test_combined_emoji_are_code_points() -> None:
    """An emoji of several code points is that many ids, and comes back whole."""
    family = "👨‍👩‍👧"
    tokenizer = make(family)
    assert len(tokenizer.encode(family)) == 5
    decoder = tokenizer.decoder()
    assert [decoder.push(token) for token in tokenizer.encode(family)] == list(family)


def test_time_machine_as_the_book() -> None:
    """With letters_only and lowercase the vocabulary is the book's: 26 letters, space and <unk>."""
    text = "The Time Machine, by H. G. Wells [1898]\nThe quick brown fox jumps over the lazy dog."
    tokenizer = make(text, letters_only=True, lowercase=True, unknown="unk")
    assert tokenizer.vocab_size == 28
    assert tokenizer.decode(tokenizer.encode(text)) == re.sub("[^A-Za-z]+", " ", text).lower()


def test_limits() -> None:
    """The commonest characters stay, and special tokens count."""
    tokenizer = make("aaaabbbccd", vocab_size=4, unknown="unk", end_token=True)
    assert (tokenizer.vocab_size, dict(tokenizer.special_tokens)) == (4, {"unk": 0, "eos": 1})
    assert tokenizer.encode("abcd") == [2, 3, 0, 0]
    assert make("aab", min_count=2, unknown="unk").encode("ab") == [1, 0]


def test_texts_are_read_once() -> None:
    """Any iterable serves."""
    tokenizer = Char.train((part for part in ("ab", "", "bc")), CharConfig())
    assert tokenizer.encode("abc") == [0, 1, 2]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text(texts: list[str]) -> None:
    """There is nothing to learn from."""
    with pytest.raises(DataError, match="no text"):
        Char.train(texts, CharConfig())


def test_left_out_characters_need_unk() -> None:
    """A limit without <unk> could not encode its own training text."""
    with pytest.raises(DataError, match=r"4 different characters.* leaves 2.*unknown = 'unk'"):
        make("aaaabbbccd", vocab_size=2)
    with pytest.raises(DataError, match="occurs 9 times"):
        make("ab", min_count=9, unknown="unk")


def test_lone_surrogates_in_training_text() -> None:
    """They are refused before they reach a file."""
    with pytest.raises(TokenizerError, match="lone surrogate"):
        make("a\udc00")


@pytest.mark.parametrize("token", [-1, 24])
def test_ids_out_of_range(token: int) -> None:
    """The error names the range."""
    with pytest.raises(TokenizerError, match="ids are 0 to 23"):
        make().token_bytes(token)


@given(st.text(min_size=1), st.booleans())
@settings(deadline=None, max_examples=50)
def test_save_and_load(tmp_path_factory: pytest.TempPathFactory, text: str, end_token: bool) -> None:
    """Every vocabulary survives its file, NUL and line separators included."""
    folder = tmp_path_factory.mktemp("tokenizer")
    before = make(text, end_token=end_token)
    before.save(folder)
    after = Char.load(folder, before.config)
    assert after.encode(text) == before.encode(text)
    assert (after.vocab_size, after.special_tokens) == (before.vocab_size, before.special_tokens)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"\x80\x04K\x01.",
        b"[]",
        b"{}",
        b'{"characters": ["a"]}',
        b'{"characters": ""}',
        b'{"characters": "aa"}',
        b'{"characters": "\\ud800"}',
        b'{"characters": "ab", "more": 1}',
        b'{"words": ["a"]}',
        b"[" * 100_000,
    ],
)
def test_rubbish(tmp_path: Path, raw: bytes | None) -> None:
    """A missing or altered file is named."""
    tokenizer = make()
    tokenizer.save(tmp_path)
    (tmp_path / VOCABULARY).unlink()
    if raw is not None:
        (tmp_path / VOCABULARY).write_bytes(raw)
    with pytest.raises(CheckpointError, match=VOCABULARY):
        Char.load(tmp_path, tokenizer.config)


def test_large_text() -> None:
    """A megabyte is encoded character by character."""
    text = TEXT * 26_000
    tokenizer = make()
    assert tokenizer.decode(tokenizer.encode(text)) == text
