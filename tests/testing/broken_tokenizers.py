"""One sound tokenizer, and copies of it with one mistake each."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from seqdemo.errors import CheckpointError, TokenizerError
from seqdemo.plugin import TextDecoder, Tokenizer, TokenizerConfig

EOS = 256


class SoundConfig(TokenizerConfig):
    """No fields."""


class BareConfig(SoundConfig):
    extra: int = 3


class Sound(Tokenizer):
    """The 256 bytes, an end token, and the characters of the training text that have several bytes."""

    def __init__(self, config: SoundConfig, characters: Iterable[str]) -> None:
        self.config = config
        self.characters = list(characters)
        self.ids = {character: EOS + 1 + place for place, character in enumerate(self.characters)}

    @classmethod
    def train(cls, texts: Iterable[str], config: SoundConfig) -> Self:
        return cls(config, sorted({character for text in texts for character in text if ord(character) > 127}))

    @classmethod
    def load(cls, folder: Path, config: SoundConfig) -> Self:
        try:
            return cls(config, json.loads((folder / "characters.json").read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder} holds no characters.") from error

    def save(self, folder: Path) -> None:
        (folder / "characters.json").write_text(json.dumps(self.characters), "utf-8")

    @property
    def vocab_size(self) -> int:
        return EOS + 1 + len(self.characters)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return {"eos": EOS}

    def encode(self, text: str) -> list[int]:
        self.check_text(text)
        return [token for character in text for token in self.spell(character)]

    def spell(self, character: str) -> list[int]:
        return [self.ids[character]] if character in self.ids else list(character.encode())

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size:
            raise TokenizerError(f"There is no token {token}.")
        if token < EOS:
            return bytes([token])
        return b"" if token == EOS else self.characters[token - EOS - 1].encode()


class Bare(Sound):
    def __init__(self, config: BareConfig, characters: Iterable[str]) -> None:
        super().__init__(config, characters)


class TrainsNothing(Sound):
    @classmethod
    def train(cls, texts: Iterable[str], config: SoundConfig) -> Any:
        return None


class TextForBytes(Sound):
    def token_bytes(self, token: int) -> Any:
        return "" if token == EOS else super().token_bytes(token)


class LetsIndexErrorThrough(Sound):
    def token_bytes(self, token: int) -> bytes:
        return super().token_bytes(token) if token < self.vocab_size else b""[token : token + 1] + [b""][token]


class NumpyIds(Sound):
    def encode(self, text: str) -> Any:
        return [np.int64(token) for token in super().encode(text)]


class AlwaysSomething(Sound):
    def encode(self, text: str) -> list[int]:
        return super().encode(text) or [32]


class AnyOrder(Sound):
    @classmethod
    def train(cls, texts: Iterable[str], config: SoundConfig) -> Self:
        made = super().train(texts, config)
        return cls(config, random.SystemRandom().sample(made.characters, len(made.characters)))


class SpellsEnd(Sound):
    def token_bytes(self, token: int) -> bytes:
        return b"</s>" if token == EOS else super().token_bytes(token)


class AddsEnd(Sound):
    def encode(self, text: str) -> list[int]:
        ids = super().encode(text)
        return [*ids, EOS] if ids else ids


class _Careless(TextDecoder):
    def push(self, token: int) -> str:
        return self._tokenizer.token_bytes(token).decode("utf-8", "replace")


class Halves(Sound):
    def spell(self, character: str) -> list[int]:
        return list(character.encode())

    def decoder(self) -> TextDecoder:
        return _Careless(self)


class Strips(Sound):
    def decode(self, tokens: Any) -> str:
        return super().decode(tokens).rstrip("\n")


class _Late(TextDecoder):
    held = ""

    def push(self, token: int) -> str:
        said, self.held = self.held, super().push(token)
        return said

    def finish(self) -> str:
        return self.held + super().finish()


class HoldsMore(Sound):
    def decoder(self) -> TextDecoder:
        return _Late(self)


class Lowers(Sound):
    def encode(self, text: str) -> list[int]:
        return super().encode(text.lower())


class Drops(Sound):
    def spell(self, character: str) -> list[int]:
        return super().spell(character) if character in self.ids or ord(character) < 128 else []


class LetsSurrogatesThrough(Sound):
    def encode(self, text: str) -> list[int]:
        return super().encode(text.encode("utf-8", "ignore").decode())


class LoadsBackwards(Sound):
    @classmethod
    def load(cls, folder: Path, config: SoundConfig) -> Self:
        return cls(config, super().load(folder, config).characters[::-1])


class Pickles(Sound):
    def save(self, folder: Path) -> None:
        (folder / "characters.bin").write_bytes(pickle.dumps(self.characters))

    @classmethod
    def load(cls, folder: Path, config: SoundConfig) -> Self:
        try:
            return cls(config, pickle.loads((folder / "characters.bin").read_bytes()))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{folder} holds no characters.") from error


class LetsJsonErrorThrough(Sound):
    @classmethod
    def load(cls, folder: Path, config: SoundConfig) -> Self:
        return cls(config, json.loads((folder / "characters.json").read_text("utf-8")))


class SharedBuffer(Sound):
    def __init__(self, config: SoundConfig, characters: Iterable[str]) -> None:
        super().__init__(config, characters)
        self.buffer: list[int] = []

    def encode(self, text: str) -> list[int]:
        self.check_text(text)
        self.buffer = []
        for character in text:
            self.buffer.extend(self.spell(character))
        return list(self.buffer)


BROKEN: list[tuple[str, type[Sound]]] = [
    ("config_described", Bare),
    ("builds", TrainsNothing),
    ("every_id_has_bytes", TextForBytes),
    ("unknown_ids_refused", LetsIndexErrorThrough),
    ("ids_in_range", NumpyIds),
    ("empty_text", AlwaysSomething),
    ("encoding_repeats", AnyOrder),
    ("special_tokens_silent", SpellsEnd),
    ("text_gives_no_special_tokens", AddsEnd),
    ("no_half_characters", Halves),
    ("decoder_equals_decode", Strips),
    ("decoder_resumes", HoldsMore),
    ("lossless", Lowers),
    ("unseen_text_accounted_for", Drops),
    ("lone_surrogates_refused", LetsSurrogatesThrough),
    ("saves_and_loads", LoadsBackwards),
    ("nothing_pickled", Pickles),
    ("damaged_files_refused", LetsJsonErrorThrough),
    ("two_threads", SharedBuffer),
]
