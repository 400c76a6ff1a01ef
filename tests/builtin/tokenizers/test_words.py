"""The words tokenizer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.builtin.tokenizers.config import WordsConfig
from seqdemo.builtin.tokenizers.vocabulary import VOCABULARY
from seqdemo.builtin.tokenizers.words import Words, split_words
from seqdemo.errors import CheckpointError, DataError, TokenizerError

TEXT = 'The Time Traveller (for so it will be) said, "It\'s  time."\n\tThe time machine is ready.\n'


def make(text: str = TEXT, **config: Any) -> Words:
    return Words.train([text], WordsConfig(**config))


@given(st.text())
@settings(deadline=None, max_examples=300)
def test_units_are_the_text(text: str) -> None:
    """Cutting loses nothing."""
    assert "".join(split_words(text)) == text


def test_every_character_is_cut() -> None:
    """No code point falls between the classes."""
    everything = "".join(chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    assert "".join(split_words(everything)) == everything


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Hello, world!", ["Hello", ",", " world", "!"]),
        ("don't  stop\n\tnow", ["don't", " ", " stop", "\n", "\t", "now"]),
        ('say "no"', ["say", ' "', "no", '"']),
        ("我爱你。", ["我", "爱", "你", "。"]),
        ("用RNN写 诗", ["用", "RNN", "写", " ", "诗"]),
        ("カタカナとひらがな", list("カタカナとひらがな")),
        ("e\u0301te\u0301 naïve", ["e\u0301te\u0301", " naïve"]),
        ("हिन्दी 한국어", ["हिन्दी", " 한국어"]),
        ("ok 👨‍👩‍👧👍🏽❤️", ["ok", " 👨‍👩‍👧", "👍🏽", "❤️"]),
        ("🇨🇳🇺🇸", ["🇨🇳", "🇺🇸"]),
        ("snake_case 3.14", ["snake_case", " 3", ".", "14"]),
    ],
)
def test_units(text: str, units: list[str]) -> None:
    """Words carry their space; marks, Chinese characters and whole emoji stand alone."""
    assert split_words(text) == units


def test_the_same_wherever_it_stands() -> None:
    """Without spaces kept, a word is one token at the start, after a bracket and after a space; decoding is spaced."""
    words = make("Good (good)  fun.\n很好。Good", lowercase=True, keep_spaces=False)
    assert words.encode("good") == words.encode(" good") == words.encode("\n\ngood ")
    assert words.encode("(good)") == words.encode(" ( good )")
    assert words.decode(words.encode("Good,\nfun.")) == " good fun ."
    assert words.decode(words.encode("很 好。")) == "很好。"
    assert words.vocab_size == 1 + len({"good", "(", ")", "fun", ".", "很", "好", "。"})


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())))
@settings(deadline=None, max_examples=200)
def test_own_text_survives(text: str) -> None:
    """A text made of known units comes back exactly, and is never shown in half characters."""
    tokenizer = make(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    decoder, shown = tokenizer.decoder(), ""
    for token in ids:
        shown += decoder.push(token)
        assert text.startswith(shown)


@given(st.text())
@settings(deadline=None, max_examples=200)
def test_any_text_encodes(text: str) -> None:
    """Unknown units become <unk>, never an error."""
    tokenizer = make()
    assert all(0 <= token < tokenizer.vocab_size for token in tokenizer.encode(text))


def test_unknown_words() -> None:
    """An unknown word is <unk> with its space, and decodes to nothing."""
    tokenizer = make()
    assert tokenizer.special_tokens["unk"] == 0
    assert tokenizer.encode("The zebra time")[1] == 0
    assert tokenizer.decode(tokenizer.encode("The zebra time")) == "The time"


def test_spaces_do_not_make_a_word_unknown() -> None:
    """A word seen only with a space before it, or only without, is still known."""
    tokenizer = make("alpha beta")
    assert tokenizer.decode(tokenizer.encode("beta alpha")) == " beta alpha"
    assert 0 not in tokenizer.encode("beta alpha")


def test_chinese() -> None:
    """Chinese needs no spaces: each character is a token."""
    tokenizer = make("我爱你。你爱我吗？")
    assert len(tokenizer.encode("我爱你")) == 3
    assert tokenizer.decode(tokenizer.encode("你爱你。")) == "你爱你。"


def test_prepared_text() -> None:
    """letters_only and lowercase give the words of the book's Time Machine."""
    tokenizer = make(letters_only=True, lowercase=True)
    decoded = tokenizer.decode(tokenizer.encode(TEXT))
    expected = "the time traveller for so it will be said it s time the time machine is ready "
    assert decoded == expected
    assert 0 not in tokenizer.encode(TEXT)


def test_limits() -> None:
    """The commonest units stay, equals in code point order; special tokens and white space count."""
    tokenizer = make("c c c b b b a a d e f g h", vocab_size=8, end_token=True)
    assert (tokenizer.vocab_size, dict(tokenizer.special_tokens)) == (8, {"unk": 0, "eos": 1})
    kept = [tokenizer.token_bytes(token).decode() for token in range(2, 8)]
    assert kept == ["\n", " ", " b", " a", " c", " d"]
    assert tokenizer.encode(" b e") == [4, 0]


@pytest.mark.parametrize(("texts", "message"), [([], "no text"), ([""], "no text"), ([" \n"], "No word")])
def test_no_text(texts: list[str], message: str) -> None:
    """There is nothing to learn from."""
    with pytest.raises(DataError, match=message):
        Words.train(texts, WordsConfig())


def test_errors() -> None:
    """Ids out of range and lone surrogates are refused."""
    tokenizer = make()
    with pytest.raises(TokenizerError, match="ids are 0 to"):
        tokenizer.token_bytes(tokenizer.vocab_size)
    with pytest.raises(TokenizerError, match="ids are 0 to"):
        tokenizer.token_bytes(-1)
    with pytest.raises(TokenizerError, match="lone surrogate"):
        tokenizer.encode("\ud800")


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())))
@settings(deadline=None, max_examples=50)
def test_save_and_load(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Every vocabulary survives its file."""
    folder = tmp_path_factory.mktemp("tokenizer")
    before = make(text)
    before.save(folder)
    after = Words.load(folder, before.config)
    assert after.encode(text) == before.encode(text)
    assert (after.vocab_size, after.special_tokens) == (before.vocab_size, before.special_tokens)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"words": "ab"}', b'{"words": [1]}', b'{"words": [""]}', b'{"words": ["a", "a"]}']
)
def test_rubbish(tmp_path: Path, raw: bytes) -> None:
    """An altered file is named."""
    (tmp_path / VOCABULARY).write_bytes(raw)
    with pytest.raises(CheckpointError, match=VOCABULARY):
        Words.load(tmp_path, WordsConfig())


def test_more_words_than_the_config_allows(tmp_path: Path) -> None:
    """A file that does not fit its config is refused."""
    make().save(tmp_path)
    with pytest.raises(CheckpointError, match="allows 8"):
        Words.load(tmp_path, WordsConfig(vocab_size=8))


def test_large_text() -> None:
    """A megabyte of text, and a megabyte without a space, are encoded."""
    tokenizer = make()
    text = TEXT * 12_000
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("x" * 1_000_000) == [0]
