"""A tokenizer of Hugging Face's format as one of seqdemo's. ``V`` is the number of rows of the model's embedding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer as Backend

from seqdemo.errors import CheckpointError, TokenizerError
from seqdemo.plugin import TextDecoder, Tokenizer, TokenizerConfig

from .token_bytes import reader, strips_first_space

__all__ = ["PretrainedTokenizer"]

_NAMED = ("unk", "pad", "bos", "eos")
_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


class _Decoder(TextDecoder):
    """Takes away the space that encoding puts before a text, as the vocabulary's own decoder does.

    ``pending`` tells the beginning of a text, where that space is still to come, by a byte UTF-8 never uses; ``b""``
    is the middle of a text, where every space counts.
    """

    _BEGINNING = b"\xff"

    def __init__(self, tokenizer: PretrainedTokenizer) -> None:
        super().__init__(tokenizer)
        self._strips = tokenizer.strips
        self._begun = not self._strips

    def push(self, token: int) -> str:
        piece = self._tokenizer.token_bytes(token)
        if not self._begun and piece:
            piece, self._begun = piece.removeprefix(b" "), True
        return self._utf8.decode(piece)

    @property
    def pending(self) -> bytes:
        return super().pending if self._begun else self._BEGINNING

    @pending.setter
    def pending(self, held: bytes) -> None:
        self._begun = not self._strips or held != self._BEGINNING
        self._utf8.setstate((b"" if held == self._BEGINNING else held, 0))


class PretrainedTokenizer(Tokenizer):
    """Wraps what ``AutoTokenizer`` read.

    ``encode`` takes a text as text: what looks like a special token in it is spelled out, so that nobody's message can
    pretend to be another's. ``encode_marked`` and ``encode_prompt`` take special tokens as such.

    Args:
        source: a tokenizer with a ``tokenizers`` backend.
        rows: ``V``, at least one for each token; ids that no token has stand for nothing.
    """

    config = TokenizerConfig()

    def __init__(self, source: Any, rows: int) -> None:
        self._source = source
        backend = source.backend_tokenizer
        layout = json.loads(backend.to_str())
        self._marked = Backend.from_str(backend.to_str())
        self._plain = Backend.from_str(backend.to_str())
        self._marked.encode_special_tokens = False
        self._plain.encode_special_tokens = True
        for one in (self._marked, self._plain):
            one.no_truncation()
            one.no_padding()
        self._rows = rows
        self._specials = {number for number, token in backend.get_added_tokens_decoder().items() if token.special}
        self._read = reader(layout.get("decoder"))
        self.strips = strips_first_space(layout.get("decoder"))
        added = {number for number in backend.get_added_tokens_decoder() if number not in self._specials}
        self._bytes = {
            number: b"" if number in self._specials else token.encode() if number in added else self._read(token)
            for token, number in backend.get_vocab(with_added_tokens=True).items()
        }

    @classmethod
    def train(cls, texts: Iterable[str], config: Any) -> Self:
        raise TokenizerError("A pretrained tokenizer is not trained: it comes with its model's folder.")

    @classmethod
    def load(cls, folder: Path, config: Any) -> Self:
        """Read a folder's tokenizer.

        Raises:
            CheckpointError: there is none, or none that has a ``tokenizers`` backend.
        """
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path, rows: int = 0) -> Self:
        """:meth:`load`, for a model whose embedding has so many rows (as many as there are tokens when 0)."""
        from transformers import AutoTokenizer

        if not any((folder / name).is_file() for name in _FILES):  # the library would make an empty one up
            raise CheckpointError(f"{folder} has no tokenizer: it holds none of {', '.join(_FILES)}. Fetch it again.")
        try:
            source = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:  # the library raises what it likes
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(
                f"The tokenizer of {folder} cannot be read: {type(error).__name__}: {reason} "
                "It needs a tokenizer.json, or files transformers can make one of."
            ) from error
        if not getattr(source, "is_fast", False):
            raise CheckpointError(
                f"The tokenizer of {folder} is a {type(source).__name__}, which has no tokenizer.json. "
                "Save it once with transformers' fast tokenizer, then load the folder again."
            )
        found = source.backend_tokenizer.get_vocab(with_added_tokens=True)
        return cls(source, max(rows, max(found.values(), default=-1) + 1))

    def save(self, folder: Path) -> None:
        self._source.save_pretrained(folder)

    @property
    def vocab_size(self) -> int:
        return self._rows

    @cached_property
    def special_tokens(self) -> Mapping[str, int]:
        """``unk``, ``pad``, ``bos``, ``eos``, and the others by what they read."""
        known = self._plain.get_added_tokens_decoder()
        others = {known[number].content: number for number in sorted(self._specials)}
        named = {name: getattr(self._source, f"{name}_token_id", None) for name in _NAMED}
        return others | {name: number for name, number in named.items() if number is not None}

    @property
    def unnamed(self) -> frozenset[int]:
        """Rows of the embedding that belong to no token."""
        return frozenset(range(self._rows)) - self._bytes.keys()

    @property
    def chat_template(self) -> str | None:
        """The template for conversations, if the tokenizer brings one."""
        template = getattr(self._source, "chat_template", None)
        if isinstance(template, dict):
            template = template.get("default")
        return template if isinstance(template, str) else None

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """A conversation by the chat template, up to where the reply begins; in transformers' sandbox.

        Raises:
            TokenizerError: the template refuses.
        """
        try:
            text = self._source.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        except Exception as error:
            raise TokenizerError(f"This model's chat template refuses the message: {error}.") from error
        return str(text)

    def encode(self, text: str) -> list[int]:
        return self._ids(self._plain, text)

    def encode_marked(self, text: str) -> list[int]:
        """Token ids of a text whose special tokens are meant, without those that begin a text."""
        return self._ids(self._marked, text)

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a text that begins here, as the model's own tokenizer gives them."""
        return self._ids(self._marked, text, begin=True)

    def _ids(self, backend: Backend, text: str, begin: bool = False) -> list[int]:
        self.check_text(text)
        return list(backend.encode(text, add_special_tokens=begin).ids)

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self._rows:
            raise TokenizerError(f"There is no token {token}: ids are 0 to {self._rows - 1}.")
        return self._bytes.get(token, b"")

    def decoder(self) -> TextDecoder:
        return _Decoder(self)
