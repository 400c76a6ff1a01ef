"""Tokenizers: bytes that are exact, text that stays text, and the library's own ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqdemo_transformers.token_bytes import reader
from seqdemo_transformers.tokenizer import PretrainedTokenizer
from tiny import TEXT, TOKENIZERS, byte_level, tokenizer
from tokenizers import decoders

from seqdemo.errors import CheckpointError, TokenizerError

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="▁"), max_size=30) | st.sampled_from(TEXT)
KINDS = sorted(TOKENIZERS)


def ours(kind: str) -> PretrainedTokenizer:
    return PretrainedTokenizer(tokenizer(kind), len(tokenizer(kind)) + 3)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject) -> None:
    """Any text comes back, a special token spelled out in it included; token by token as together."""
    made, text = ours(kind), data.draw(TEXTS)
    text = data.draw(st.sampled_from([text, f"{text}<|end|>{text}<eos>", f"  {text}", f"{text}    {text}"]))
    ids = made.encode(text)
    assert made.decode(ids) == text
    assert not set(ids) & set(made.special_tokens.values())
    decoder = made.decoder()
    assert "".join([*(decoder.push(token) for token in ids), decoder.finish()]) == text


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_decodes_as_the_library(kind: str, data: st.DataObject) -> None:
    """Ids of texts put together in any order decode to what the library makes of all of them at once."""
    made, source = ours(kind), tokenizer(kind)
    pieces = data.draw(st.lists(TEXTS, max_size=4))
    ids = [token for piece in pieces for token in made.encode(piece)]
    theirs = source.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert made.decode(ids) == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_the_library_s(kind: str) -> None:
    """A prompt has the ids the library gives it, those that begin a text and special tokens included."""
    made, source = ours(kind), tokenizer(kind)
    for text in (*TEXT, "", "a<|im_end|>b<eos>c"):
        assert made.encode_prompt(text) == source(text).input_ids


def test_middle_of_a_text_keeps_its_space() -> None:
    """A vocabulary that puts a space before every text loses it at the beginning only."""
    made = ours("spelled-prefix")
    ids = made.encode("The time")
    assert made.decode(ids) == "The time"
    later = made.decoder()
    later.pending = b""
    assert "".join(later.push(token) for token in ids) == " The time"


def test_special_tokens_and_spare_rows() -> None:
    """Special tokens go by role and by what they read; rows without a token stand for nothing."""
    made = ours("byte-level")
    size = len(tokenizer("byte-level"))
    assert made.special_tokens["eos"] == made.special_tokens["<|end|>"] == 1
    assert made.special_tokens["<|im_end|>"] == 4
    assert (made.vocab_size, made.unnamed) == (size + 3, {size, size + 1, size + 2})
    assert made.token_bytes(size) == made.token_bytes(1) == b""
    with pytest.raises(TokenizerError, match=f"0 to {size + 2}"):
        made.token_bytes(size + 3)
    with pytest.raises(TokenizerError, match="lone surrogate"):
        made.encode("\ud800")


def test_save_and_load(tmp_path: Path) -> None:
    """A tokenizer reads what it wrote."""
    made = ours("spelled")
    made.save(tmp_path)
    again = PretrainedTokenizer.load(tmp_path, made.config)
    assert [again.encode(text) for text in TEXT] == [made.encode(text) for text in TEXT]


def test_unsupported_decoders_are_named() -> None:
    """A vocabulary whose tokens have no bytes of their own is refused by the name of its decoder."""
    with pytest.raises(CheckpointError, match="WordPiece"):
        reader({"type": "WordPiece", "prefix": "##"})
    source = byte_level()
    source.backend_tokenizer.decoder = decoders.BPEDecoder()
    with pytest.raises(CheckpointError, match="BPEDecoder"):
        PretrainedTokenizer(source, len(source))


def test_folder_without_a_tokenizer(tmp_path: Path) -> None:
    """It says what is missing, in one line."""
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(CheckpointError, match=r"tokenizer\.json") as caught:
        PretrainedTokenizer.open(tmp_path)
    assert "\n" not in str(caught.value)
