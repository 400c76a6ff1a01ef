"""Subwords by SentencePiece, trained from text or taken from any ``.model`` file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sentencepiece

from seqdemo.errors import CheckpointError, DataError
from seqdemo.plugin import TextDecoder, Tokenizer

from .config import LARGEST, SentencePieceConfig
from .table import TableTokenizer

__all__ = ["MODEL", "SentencePiece"]

MODEL = "sentencepiece.model"

_SPACE = "\u2581"
"""How a space is written inside pieces."""

_LINE = re.compile(r"[^\n\r\t\0\u2581\u2585]{1,1000}")
"""What the trainer is given: it drops lines above 4192 bytes and any line with its own marks without a word."""

_BLOCK = 1024
"""Characters encoded in one go: its byte-pair encoding takes more than proportional time."""

_PROBE = "  a\tﬁ Ａ e\u0301  \n\u3000\u00a0b \r\n"
"""Text that a model which normalizes in any way alters."""


class SentencePiece(TableTokenizer):
    """SentencePiece pieces. With byte pieces and without normalization, as ``train`` makes them, lossless on any text.

    A model taken from a file encodes and decodes as SentencePiece itself does with it, except that an incomplete
    character becomes one U+FFFD and not one for each byte.

    Args:
        proto: the content of a ``.model`` file.

    Raises:
        ValueError: it is not one.
    """

    config: SentencePieceConfig

    def __init__(self, config: SentencePieceConfig, proto: bytes) -> None:
        self.config = config
        self._proto = proto
        self._processor, pieces = _open(proto)
        processor = self._processor
        silent = {number for number in range(len(pieces)) if processor.is_control(number)} | {processor.unk_id()}
        byte = {number for number in range(len(pieces)) if processor.is_byte(number)}
        self._bytes = [piece.replace(_SPACE, " ").encode() for piece in pieces]
        for number in silent:
            self._bytes[number] = b""
        for number in byte:
            self._bytes[number] = bytes([int(pieces[number][3:5], 16)])
        self._special = self._named()
        self._byte_ids = {self._bytes[number]: number for number in byte}
        self._manner = _Manner.of(processor, pieces)
        normalized: str = processor.normalize(_PROBE)
        self._exact = len(self._byte_ids) == 256 and normalized == _PROBE.replace(" ", _SPACE)
        self._blocks = self._cuts(pieces) if self._exact else None

    def _named(self) -> dict[str, int]:
        ids = {name: getattr(self._processor, f"{name}_id")() for name in ("unk", "bos", "eos", "pad")}
        if not self.config.end_token:
            del ids["eos"]
        return {name: number for name, number in ids.items() if number >= 0}

    @staticmethod
    def _cuts(pieces: list[str]) -> re.Pattern[str] | None:
        """A pattern of blocks that end before a character no piece holds inside, so that no piece is cut."""
        inside = {character for piece in pieces for character in piece[1:]}
        safe = [shown for shown, character in (("\n", "\n"), (" ", _SPACE)) if character not in inside]
        return re.compile(rf"[\s\S]{{{_BLOCK},}}?(?=[{''.join(safe)}])|[\s\S]+") if safe else None

    @classmethod
    def train(cls, texts: Iterable[str], config: SentencePieceConfig) -> Self:
        """Learn pieces, or take the model file the config names; the same texts always give the same pieces.

        Raises:
            DataError: no text, too little for the vocabulary asked for, or no such model file.
        """
        if config.model_file is not None:
            made = cls._take(Path(config.model_file).expanduser(), config)
        else:
            made = cls(config, _learn(texts, config))
        made.config = config.model_copy(update={"model_file": None, "vocab_size": made.vocab_size})
        return made

    @classmethod
    def _take(cls, path: Path, config: SentencePieceConfig) -> Self:
        try:
            proto = path.read_bytes()
        except OSError as error:
            raise DataError(f"The model file {path} cannot be read: {error.strerror}.") from error
        try:
            return cls(config, proto)
        except ValueError as error:
            raise DataError(f"{path} is no SentencePiece model: {error}. Give a .model file.") from error

    @classmethod
    def load(cls, folder: Path, config: SentencePieceConfig) -> Self:
        path = folder / MODEL
        try:
            made = cls(config, path.read_bytes())
        except OSError as error:
            raise CheckpointError(f"The tokenizer's file {path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise CheckpointError(f"{path} is no SentencePiece model: {error}. Save the checkpoint again.") from error
        if made.vocab_size != config.vocab_size:
            raise CheckpointError(f"{path} has {made.vocab_size} pieces, its config says {config.vocab_size}.")
        return made

    def save(self, folder: Path) -> None:
        (folder / MODEL).write_bytes(self._proto)

    def encode(self, text: str) -> list[int]:
        """Ids of the text's pieces.

        Raises:
            TokenizerError: the text holds lone surrogates.
        """
        self.check_text(text)
        if not self._exact:
            return self._pieces(text)
        ids: list[int] = []
        for place, part in enumerate(text.split(_SPACE)):
            if place:  # a true U+2581 must not become a space, so it is written in bytes
                ids.extend(self._byte_ids[bytes([value])] for value in _SPACE.encode())
            for block in self._blocks.findall(part) if self._blocks is not None else [part]:
                ids.extend(self._pieces(block))
        return ids

    def _pieces(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(text)
        return ids

    def decoder(self) -> TextDecoder:
        return _PieceDecoder(self, self._manner)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a model decodes, asked of the model itself.

    Attributes:
        unknown, surface: the id of the unknown piece, and what is shown for it.
        spaced: ids of pieces that lose their first space at the beginning of a text.
        all_spaces: until something is left of the text; otherwise only the first of them does.
    """

    unknown: int
    surface: bytes
    spaced: frozenset[int]
    all_spaces: bool

    @classmethod
    def of(cls, processor: sentencepiece.SentencePieceProcessor, pieces: list[str]) -> Self:
        """Try out single pieces."""
        unknown, space = processor.unk_id(), processor.piece_to_id(_SPACE)
        spaced = [number for number, piece in enumerate(pieces) if piece.startswith(_SPACE)]
        if not spaced or processor.decode(spaced[:1]).startswith(" "):
            spaced = []
        surface: str = processor.decode([unknown])
        return cls(unknown, surface.encode(), frozenset(spaced), processor.decode([space, space]) == "")


class _PieceDecoder(TextDecoder):
    """Decodes as SentencePiece does: a model that puts a space before every text takes it away again.

    ``pending`` tells the beginning of a text, where that space is still to come, by a byte UTF-8 never uses; ``b""``
    is the middle of a text, where every space counts.
    """

    _BEGINNING = b"\xff"

    def __init__(self, tokenizer: Tokenizer, manner: _Manner) -> None:
        super().__init__(tokenizer)
        self._manner = manner
        self._begun = not manner.spaced

    def push(self, token: int) -> str:
        piece = self._tokenizer.token_bytes(token)
        if token == self._manner.unknown:
            piece = self._manner.surface
        elif not self._begun and token in self._manner.spaced:
            piece = piece[1:]
            self._begun = not self._manner.all_spaces
        self._begun = self._begun or bool(piece)
        return self._utf8.decode(piece)

    @property
    def pending(self) -> bytes:
        return super().pending if self._begun else self._BEGINNING

    @pending.setter
    def pending(self, held: bytes) -> None:
        self._begun = not self._manner.spaced or held != self._BEGINNING
        self._utf8.setstate((b"" if held == self._BEGINNING else held, 0))


def _open(proto: bytes) -> tuple[sentencepiece.SentencePieceProcessor, list[str]]:
    """A processor and its pieces.

    Raises:
        ValueError: not a model.
    """
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(proto)
        pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ValueError("it is damaged, or another kind of file") from error
    if not 0 < len(pieces) <= LARGEST:
        raise ValueError(f"it has {len(pieces)} pieces, and 1 to {LARGEST} are accepted")
    return processor, pieces


class _Lines:
    """The lines the trainer is given; remembers what went wrong in reading them, as the trainer does not."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.error: BaseException | None = None
        self.found = False

    def __iter__(self) -> Iterator[str]:
        try:
            for text in self._texts:
                Tokenizer.check_text(text)
                for line in _LINE.finditer(text):
                    self.found = True
                    yield line[0]
        except BaseException as error:
            self.error = error
            raise


def _learn(texts: Iterable[str], config: SentencePieceConfig) -> bytes:
    lines, model = _Lines(texts), io.BytesIO()
    options: dict[str, Any] = {
        "model_type": config.algorithm,
        "vocab_size": config.vocab_size,
        "character_coverage": config.character_coverage,
        "user_defined_symbols": [symbol.replace(" ", _SPACE) for symbol in config.user_symbols],
        "input_sentence_size": config.max_lines,
        "shuffle_input_sentence": True,  # evenly from all lines, by a seed that never changes
        "num_threads": 1,  # sums in the same order everywhere
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "unk_id": 0,
        "bos_id": -1,
        "eos_id": 1 if config.end_token else -1,
        "pad_id": -1,
        "minloglevel": 2,
    }
    try:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, **options)
    except (RuntimeError, OSError) as error:
        if lines.error is not None:
            raise lines.error from None
        raise _explain(str(error), lines.found, config) from error
    return model.getvalue()


def _explain(message: str, found: bool, config: SentencePieceConfig) -> DataError:
    asked = f"vocab_size = {config.vocab_size}"
    if not found:
        return DataError("There is no text to learn subwords from. Give some that is not empty.")
    if high := re.search(r"Vocabulary size too high \(\d+\).* <= (\d+)", message):
        return DataError(f"{asked} is more than this text allows: at most {high[1]}. Lower it, or give more text.")
    if low := re.search(r"smaller than required_chars. \d+ vs (\d+)", message):
        return DataError(
            f"{asked} is too small: this text's characters, 256 bytes and the special tokens alone are {low[1]}. "
            f"Ask for more, or lower character_coverage."
        )
    return DataError(f"SentencePiece cannot learn {asked} from this text: {message}")
