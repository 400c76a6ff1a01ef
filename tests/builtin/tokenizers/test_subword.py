"""The sentencepiece tokenizer: trained here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.builtin.tokenizers import subword
from seqdemo.builtin.tokenizers.config import SentencePieceConfig
from seqdemo.builtin.tokenizers.subword import MODEL, SentencePiece
from seqdemo.errors import CheckpointError, ConfigError, DataError, TokenizerError
from seqdemo.plugin.config import build

ALGORITHMS = ("unigram", "bpe")

HARD = [
    "\u2581 \u2581\u2581 a\u2581b",
    "\u2585\u2047\u2047 \ufffd",
    "\0a\0\0",
    "  two  spaces \t\ttabs\r\n\r\n\nlines  ",
    "e\u0301 and é, ﬁ and Ａ, \u3000\u00a0",
    "👨‍👩‍👧 👍🏽 🇨🇳 1️⃣",
    "<unk></s><s><0x41> ",
    "我爱你，机器。",
    "long" * 3_000,
    "word " * 3_000,
    "\n" * 3_000,
    "\u2581" * 3_000,
]

TRAINED: dict[str, SentencePiece] = {}


def train(texts: list[str], **config: Any) -> SentencePiece:
    return SentencePiece.train(iter(texts), SentencePieceConfig(**{"vocab_size": 320, **config}))


@pytest.fixture(scope="module", params=ALGORITHMS)
def tokenizer(request: pytest.FixtureRequest, corpus: list[str]) -> SentencePiece:
    """One of each algorithm, kept for the properties below."""
    name: str = request.param
    if name not in TRAINED:
        TRAINED[name] = train(corpus, algorithm=name)
    return TRAINED[name]


@given(text=st.text())
@settings(deadline=None, max_examples=200)
def test_round_trip(tokenizer: SentencePiece, text: str) -> None:
    """Any Unicode text survives, and is never shown in half characters."""
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()
    decoder, shown = tokenizer.decoder(), ""
    for token in ids:
        shown += decoder.push(token)
        assert text.startswith(shown)


@pytest.mark.parametrize("text", HARD, ids=range(len(HARD)))
def test_hard_texts(tokenizer: SentencePiece, text: str) -> None:
    """SentencePiece's own marks, white space, NULs, combining marks, emoji and long lines survive."""
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_any_ids_decode(tokenizer: SentencePiece, data: st.DataObject) -> None:
    """Ids no text has decode alike, piece by piece, resumed anywhere, or at once."""
    known = st.integers(1, tokenizer.vocab_size - 1)
    ids = data.draw(st.lists(known, max_size=30))
    at = data.draw(st.integers(0, len(ids)))
    first, second = tokenizer.decoder(), tokenizer.decoder()
    text = "".join(map(first.push, ids[:at]))
    second.pending = first.pending
    text += "".join(map(second.push, ids[at:])) + second.finish()
    whole = b"".join(map(tokenizer.token_bytes, ids)).decode("utf-8", "replace")
    assert text == tokenizer.decode(ids) == whole


@given(text=st.text(alphabet="the 我爱\n\t.\u2581x", max_size=60), size=st.integers(1, 8))
@settings(deadline=None, max_examples=100)
def test_blocks_do_not_show(tokenizer: SentencePiece, text: str, size: int) -> None:
    """Encoding in blocks gives the ids of encoding at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subword, "_BLOCK", size)
        small = SentencePiece(tokenizer.config, tokenizer._proto)
    assert small._blocks is not None
    whole = [tokenizer._pieces(part) for part in text.split("\u2581")]
    block = [tokenizer.token_bytes(token) for token in small.encode(text)]
    assert block == [
        piece
        for place, part in enumerate(whole)
        for piece in ([b"\xe2", b"\x96", b"\x81"] if place else []) + [tokenizer.token_bytes(token) for token in part]
    ]


def test_learned(tokenizer: SentencePiece, corpus: list[str]) -> None:
    """The vocabulary has the size asked for, and what is common became single tokens."""
    assert tokenizer.vocab_size == 320
    text = "".join(corpus)
    assert len(tokenizer.encode(text)) < 0.8 * len(text)
    assert len(tokenizer.encode("我爱你")) <= 3


def test_special_tokens(tokenizer: SentencePiece, corpus: list[str]) -> None:
    """unk and eos exist and stand for no text; the end token can be left out."""
    assert dict(tokenizer.special_tokens) == {"unk": 0, "eos": 1}
    assert tokenizer.token_bytes(1) == b""
    assert tokenizer.decode([1, *tokenizer.encode("the"), 1]) == "the"
    without = train(corpus, end_token=False)
    assert dict(without.special_tokens) == {"unk": 0}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_same_texts_same_pieces(corpus: list[str], algorithm: str, tmp_path: Path) -> None:
    """Training draws lines by a fixed seed, so its file is the same to the byte."""
    files = []
    for _ in range(2):
        train(corpus, algorithm=algorithm, max_lines=150).save(tmp_path)
        files.append((tmp_path / MODEL).read_bytes())
    assert files[0] == files[1]


def test_training_sees_what_the_trainer_would_drop() -> None:
    """Lines above its limit, and lines with its reserved characters, are learned from all the same."""
    text = "\u2585 the \u2581 " + "machine " * 5_000
    tokenizer = train([text], vocab_size=276, algorithm="bpe")
    assert len(tokenizer.encode(" machine")) == 1


def test_training_is_quiet(corpus: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed."""
    train(corpus)
    assert capfd.readouterr() == ("", "")


def test_user_symbols(corpus: list[str]) -> None:
    """A user's symbol is always one token, whatever it is made of."""
    symbols = ("<|user|>", "<|a b|>\n", "\t", "a,b", '"')
    tokenizer = train(corpus, user_symbols=symbols, algorithm="bpe")
    for symbol in symbols:
        assert len(tokenizer.encode(symbol)) == 1
        assert tokenizer.decode(tokenizer.encode(f"the {symbol}time")) == f"the {symbol}time"
    long = "the <|a b|>\n" * 1_000
    assert tokenizer.encode(long) == tokenizer._pieces(long)
    assert tokenizer.decode(tokenizer.encode(long)) == long


@pytest.mark.parametrize("symbols", [["<unk>"], ["</s>"], ["<0x0A>"], ["a\u2581"], ["\0"], ["a", "a"], [""]])
def test_refused_symbols(symbols: list[str]) -> None:
    """Symbols that SentencePiece keeps for itself are an error of the config."""
    with pytest.raises(ConfigError, match="user_symbols"):
        build(SentencePieceConfig, {"user_symbols": symbols}, "tokenizer 'sentencepiece'")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_vocabulary_too_large(corpus: list[str], algorithm: str) -> None:
    """The error names the largest size that works, and it does."""
    with pytest.raises(DataError, match=r"vocab_size = 5000 .* at most \d+") as caught:
        train(corpus, vocab_size=5_000, algorithm=algorithm)
    found = re.search(r"at most (\d+)", str(caught.value))
    assert found
    largest = int(found[1])
    assert train(corpus, vocab_size=largest, algorithm=algorithm).vocab_size == largest
    with pytest.raises(DataError, match=f"at most {largest}"):
        train(corpus, vocab_size=largest + 1, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_vocabulary_too_small(corpus: list[str], algorithm: str) -> None:
    """The error names what the bytes and characters alone need."""
    with pytest.raises(DataError, match=r"vocab_size = 200 is too small: .* alone are \d+"):
        train(corpus, vocab_size=200, algorithm=algorithm)


@pytest.mark.parametrize("texts", [[], [""], ["\n\n"], ["\0"], ["\u2581\u2585"]])
def test_no_text(texts: list[str]) -> None:
    """There is nothing to learn from."""
    with pytest.raises(DataError, match="no text"):
        train(texts)


def test_one_character() -> None:
    """A text of one character allows one piece beside the bytes."""
    with pytest.raises(DataError, match="at most 259"):
        train(["a"])


def test_an_error_in_reading_is_the_error() -> None:
    """What goes wrong in the texts comes out as it went in."""

    def texts() -> Iterator[str]:
        yield "the time machine"
        raise DataError("line 2 is broken")

    with pytest.raises(DataError, match="line 2 is broken"):
        SentencePiece.train(texts(), SentencePieceConfig())
    with pytest.raises(TokenizerError, match="lone surrogate"):
        train(["the \ud800"])


def test_lone_surrogates_and_ids_out_of_range(tokenizer: SentencePiece) -> None:
    """Both are refused by name."""
    with pytest.raises(TokenizerError, match=r"U\+DFFF at position 1"):
        tokenizer.encode("a\udfff")
    for token in (-1, tokenizer.vocab_size):
        with pytest.raises(TokenizerError, match=f"no token {token}: ids are 0 to 319"):
            tokenizer.token_bytes(token)


def test_save_and_load(tokenizer: SentencePiece, tmp_path: Path) -> None:
    """A saved tokenizer comes back whole."""
    tokenizer.save(tmp_path)
    again = SentencePiece.load(tmp_path, tokenizer.config)
    text = "".join(HARD)
    assert again.encode(text) == tokenizer.encode(text)
    assert again.vocab_size == tokenizer.vocab_size


def test_rubbish(tokenizer: SentencePiece, tmp_path: Path) -> None:
    """A missing, truncated or foreign file is named, and so is one its config does not fit."""
    with pytest.raises(CheckpointError, match=f"{MODEL} cannot be read"):
        SentencePiece.load(tmp_path, tokenizer.config)
    tokenizer.save(tmp_path)
    whole = (tmp_path / MODEL).read_bytes()
    for raw in (b"", b"\x80\x04K\x01.", b"\0" * 100, whole[:-3], b'{"words": []}'):
        (tmp_path / MODEL).write_bytes(raw)
        with pytest.raises(CheckpointError, match=f"{MODEL} is no SentencePiece model"):
            SentencePiece.load(tmp_path, tokenizer.config)
    tokenizer.save(tmp_path)
    with pytest.raises(CheckpointError, match="320 pieces, its config says 321"):
        SentencePiece.load(tmp_path, tokenizer.config.model_copy(update={"vocab_size": 321}))


def test_large_text(tokenizer: SentencePiece, corpus: list[str]) -> None:
    """A megabyte survives."""
    text = ("".join(corpus) * 100)[:1_000_000]
    assert tokenizer.decode(tokenizer.encode(text)) == text
