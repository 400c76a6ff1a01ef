"""Configs of the built-in tokenizers."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from seqdemo.plugin import TokenizerConfig

__all__ = ["BytesConfig", "CharConfig", "SentencePieceConfig", "TextConfig", "WordsConfig"]

LARGEST = 2_000_000
"""No vocabulary may be larger than this."""

_RESERVED = re.compile(r"<unk>|</s>|<0x[0-9A-F]{2}>|.*[\0\u2581\u2585].*", re.DOTALL)


class BytesConfig(TokenizerConfig):
    """UTF-8 bytes."""

    end_token: Annotated[
        bool, Field(description="Add a token that ends every text, so that a model learns where texts end.")
    ] = False


class TextConfig(TokenizerConfig):
    """What the tokenizers over characters and words have in common."""

    lowercase: Annotated[bool, Field(description="Turn text into lower case first.")] = False
    letters_only: Annotated[
        bool,
        Field(
            description="First turn each run of anything but A-Z and a-z into one space, "
            "as d2l.ai prepares The Time Machine (with lowercase)."
        ),
    ] = False
    min_count: Annotated[
        int, Field(ge=1, description="Leave out what occurs fewer times than this in the training text.")
    ] = 1
    end_token: Annotated[
        bool, Field(description="Add a token that ends every text, so that a model learns where texts end.")
    ] = False


class CharConfig(TextConfig):
    """Characters, that is, Unicode code points."""

    vocab_size: Annotated[
        int | None,
        Field(ge=2, le=LARGEST, description="At most this many tokens; the rarest characters are left out."),
    ] = None
    unknown: Annotated[
        Literal["error", "unk"],
        Field(description="A character outside the vocabulary is an error, or becomes the token <unk>."),
    ] = "error"


class WordsConfig(TextConfig):
    """Whole words, each with the one space before it; unknown words become ``<unk>``."""

    vocab_size: Annotated[
        int, Field(ge=8, le=LARGEST, description="At most this many tokens; the rarest words are left out.")
    ] = 20_000
    keep_spaces: Annotated[
        bool,
        Field(
            description="Keep white space as it stands. Without it every word and mark has one space before it and so "
            "is the same token wherever it stands: enough for a classifier."
        ),
    ] = True


class SentencePieceConfig(TokenizerConfig):
    """Subwords by SentencePiece (Kudo and Richardson 2018), with single bytes for all else, so no text is lost."""

    algorithm: Annotated[
        Literal["unigram", "bpe"],
        Field(description="Unigram language model (Kudo 2018) or byte-pair encoding (Sennrich et al. 2016)."),
    ] = "unigram"
    vocab_size: Annotated[
        int, Field(ge=1, le=LARGEST, description="Exactly this many tokens, of which 256 are single bytes.")
    ] = 2_000
    character_coverage: Annotated[
        float,
        Field(ge=0.98, le=1.0, description="Share of the training text's characters that get a token of their own."),
    ] = 0.9995
    user_symbols: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        Field(max_length=1_000, description="Texts that always are one token, e.g. the marks of a chat template."),
    ] = ()
    max_lines: Annotated[
        int,
        Field(ge=101, le=100_000_000, description="Learn from at most this many lines, drawn evenly, always the same."),
    ] = 500_000
    end_token: Annotated[
        bool,
        Field(description="Close every text with the token </s>, so that a model learns where texts end."),
    ] = True
    model_file: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Take this SentencePiece .model file instead of training one; it is copied into the "
            "checkpoint, and of the options above only end_token applies.",
        ),
    ] = None

    @field_validator("user_symbols")
    @classmethod
    def _usable(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(symbols)) < len(symbols):
            raise ValueError("a symbol is listed twice")
        for symbol in symbols:
            if _RESERVED.fullmatch(symbol):
                raise ValueError(f"{symbol!r} is SentencePiece's own, or holds a character that is (NUL, ▁ or ▅)")
        return symbols
