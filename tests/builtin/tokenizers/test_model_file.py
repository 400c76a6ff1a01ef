"""The sentencepiece tokenizer: taken from model files others made."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.builtin.tokenizers.config import SentencePieceConfig
from seqdemo.builtin.tokenizers.subword import MODEL, SentencePiece
from seqdemo.errors import DataError

KINDS: dict[str, dict[str, Any]] = {
    "default": {"vocab_size": 60},
    "like-t5": {"vocab_size": 60, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    "like-llama": {
        "vocab_size": 320,
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
    },
    "bytes-no-prefix-nfkc": {"vocab_size": 320, "byte_fallback": True, "add_dummy_prefix": False},
    "suffix": {"vocab_size": 60, "treat_whitespace_as_suffix": True, "unk_surface": "<?>"},
}


@pytest.fixture(scope="module", params=KINDS)
def both(
    request: pytest.FixtureRequest, corpus: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[SentencePiece, sentencepiece.SentencePieceProcessor]:
    """Our tokenizer and SentencePiece itself on one file."""
    model, path = io.BytesIO(), tmp_path_factory.mktemp("models") / "foreign.model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, minloglevel=2, **KINDS[request.param]
    )
    path.write_bytes(model.getvalue())
    ours = SentencePiece.train([], SentencePieceConfig(model_file=str(path)))
    return ours, sentencepiece.SentencePieceProcessor(model_file=str(path))


def squeeze(text: str) -> str:
    return re.sub("\ufffd+", "\ufffd", text)


@given(text=st.text() | st.text(alphabet="the 我爱\n\t. "))
@settings(deadline=None, max_examples=80)
def test_texts(both: tuple[SentencePiece, sentencepiece.SentencePieceProcessor], text: str) -> None:
    """Encoding and decoding a text are SentencePiece's own."""
    ours, theirs = both
    ids = ours.encode(text)
    assert ids == theirs.encode(text)
    assert ours.decode(ids) == theirs.decode(ids)


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_any_ids(both: tuple[SentencePiece, sentencepiece.SentencePieceProcessor], data: st.DataObject) -> None:
    """Any ids decode as SentencePiece decodes them, also when resumed anywhere, but for the number of U+FFFD."""
    ours, theirs = both
    usable = [number for number in range(ours.vocab_size) if not theirs.is_control(number)]
    spaced = [number for number in usable if theirs.id_to_piece(number).startswith("\u2581")]
    ids = data.draw(st.lists(st.sampled_from(usable) | st.sampled_from(spaced), max_size=20))
    at = data.draw(st.integers(0, len(ids)))
    first, second = ours.decoder(), ours.decoder()
    text = "".join(map(first.push, ids[:at]))
    second.pending = first.pending
    text += "".join(map(second.push, ids[at:])) + second.finish()
    assert text == ours.decode(ids)
    assert squeeze(text) == squeeze(theirs.decode(ids))


def test_special_tokens(both: tuple[SentencePiece, sentencepiece.SentencePieceProcessor]) -> None:
    """They are the file's, by name; the end token can be declined."""
    ours, theirs = both
    expected = {"unk": theirs.unk_id(), "bos": theirs.bos_id(), "eos": theirs.eos_id(), "pad": theirs.pad_id()}
    assert dict(ours.special_tokens) == {name: number for name, number in expected.items() if number >= 0}
    assert all(ours.token_bytes(number) == b"" for number in ours.special_tokens.values())
    declined = SentencePiece(ours.config.model_copy(update={"end_token": False}), theirs.serialized_model_proto())
    assert "eos" not in declined.special_tokens


def test_a_stream_in_the_middle_keeps_its_space(
    both: tuple[SentencePiece, sentencepiece.SentencePieceProcessor],
) -> None:
    """Empty pending bytes mean that text came before, so the first space is part of the text."""
    ours, theirs = both
    piece = next(n for n in range(ours.vocab_size) if theirs.id_to_piece(n).startswith("\u2581") and n)
    decoder = ours.decoder()
    decoder.pending = b""
    assert decoder.push(piece).startswith(" ")
    assert decoder.pending == b""


def test_the_file_travels(
    both: tuple[SentencePiece, sentencepiece.SentencePieceProcessor], tmp_path: Path, corpus: list[str]
) -> None:
    """A checkpoint holds a copy, and its config no path."""
    ours, theirs = both
    assert ours.config.model_file is None
    assert ours.config.vocab_size == theirs.get_piece_size()
    ours.save(tmp_path)
    assert (tmp_path / MODEL).read_bytes() == theirs.serialized_model_proto()
    again = SentencePiece.load(tmp_path, SentencePieceConfig.model_validate(ours.config.model_dump()))
    assert again.encode(corpus[0]) == ours.encode(corpus[0])


def test_no_such_file(tmp_path: Path) -> None:
    """A file that is missing or something else is named."""
    path = tmp_path / "some.model"
    with pytest.raises(DataError, match=r"some\.model cannot be read"):
        SentencePiece.train([], SentencePieceConfig(model_file=str(path)))
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(DataError, match=r"some\.model is no SentencePiece model"):
        SentencePiece.train([], SentencePieceConfig(model_file=str(path)))
    with pytest.raises(DataError, match="cannot be read"):
        SentencePiece.train([], SentencePieceConfig(model_file=str(tmp_path)))
