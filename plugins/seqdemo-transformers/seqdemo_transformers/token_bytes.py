"""The exact bytes each entry of a ``tokenizer.json`` vocabulary stands for. Imports neither torch nor transformers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seqdemo.errors import CheckpointError

__all__ = ["reader", "strips_first_space"]

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_characters() -> dict[str, int]:
    """The printable character that stands for each byte in byte-level vocabularies (Radford et al. 2019)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTES = _byte_characters()


def _steps(decoder: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The decoders of a sequence, one by one."""
    if decoder is None:
        return
    if decoder.get("type") == "Sequence":
        for part in decoder["decoders"]:
            yield from _steps(part)
    else:
        yield decoder


def strips_first_space(decoder: Mapping[str, Any] | None) -> bool:
    """Whether decoding takes away one space at the beginning of a text, which encoding had put there."""
    for step in _steps(decoder):
        if step["type"] == "Strip" and step.get("content") == " " and step.get("start", 0) == 1:
            return True
        if step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never":
            return True
    return False


def _byte_level(token: str) -> bytes:
    """Each character is a byte; a token with any other character was added to the vocabulary as it reads."""
    if all(character in _BYTES for character in token):
        return bytes(_BYTES[character] for character in token)
    return token.encode()


def _spelled(token: str, replaced: Mapping[str, str], fallback: bool) -> bytes:
    """Signs such as ``▁`` stand for text; ``<0xE4>`` is a byte, where the vocabulary falls back to bytes."""
    byte = _BYTE.fullmatch(token) if fallback else None
    if byte is not None:
        return bytes([int(byte[1], 16)])
    for sign, text in replaced.items():
        token = token.replace(sign, text)
    return token.encode()


def reader(decoder: Mapping[str, Any] | None) -> Callable[[str], bytes]:
    """What turns a vocabulary's token into bytes, so that joining them is what its decoder does to the whole.

    Args:
        decoder: the ``decoder`` of a ``tokenizer.json``.

    Raises:
        CheckpointError: a kind of decoder whose tokens have no bytes of their own.
    """
    replaced: dict[str, str] = {}
    fallback = level = False
    for step in _steps(decoder):
        kind, pattern = step["type"], step.get("pattern", {})
        if kind == "ByteLevel":
            level = True
        elif kind == "ByteFallback":
            fallback = True
        elif kind == "Metaspace":
            replaced[step.get("replacement", "▁")] = " "
        elif kind == "Replace" and "String" in pattern:
            replaced[pattern["String"]] = step["content"]
        elif kind != "Fuse" and not (kind == "Strip" and step.get("stop", 0) == 0 and step.get("start", 0) <= 1):
            raise CheckpointError(
                f"Its tokenizer decodes by {kind!r}, whose tokens have no bytes of their own. Supported are byte-level "
                "vocabularies and those in the manner of SentencePiece, as all six families use."
            )
    if level and (replaced or fallback):
        raise CheckpointError("Its tokenizer mixes byte-level decoding with another kind, which is not supported.")
    if level:
        return _byte_level
    return lambda token: _spelled(token, replaced, fallback)
