"""How the token events of a reply are packed: column by column.

A server that streams to many packs thousands a second, beside the model and in the same interpreter. As JSON, where
most of a token are the digits of its alternatives' probabilities, that took six times as long. So it was written
before version 3 of the file, and is read.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from seqdemo.errors import StoreError
from seqdemo.plugin import Alternative, Token
from seqdemo.plugin.events import unread

__all__ = ["pack_ids", "pack_tokens", "unpack_ids", "unpack_tokens"]

_MOST_BYTES = 1 << 28
_COLUMNS = b"\x01"
"""First byte of what is packed so; of zlib's own it is another one."""

_SIZES = struct.Struct("<II")
"""Of tokens, and bytes of the texts."""


def _bytes(numbers: array[Any]) -> bytes:
    """Little-endian."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(kind: str, data: bytes) -> array[Any]:
    numbers = array(kind)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def pack_ids(ids: Iterable[int]) -> bytes:
    """Token ids as little-endian 32-bit numbers."""
    return _bytes(array("i", ids))


def unpack_ids(data: bytes) -> tuple[int, ...]:
    """The inverse of :func:`pack_ids`."""
    return tuple(_numbers("i", data))


def pack_tokens(tokens: Sequence[Token]) -> bytes:
    """Token events, compressed."""
    texts: dict[float, str] = {}
    likely: list[bytes] = []
    for token in tokens:
        found = unread(token)
        if found is not None:
            numbers, known = found
            for one in array("d", numbers[: len(numbers) // 3]):
                if one not in texts:
                    texts[one] = known[int(one)]
        else:
            others = token.alternatives
            if any(texts.setdefault(other.id, other.text) != other.text for other in others):
                return _as_rows(tokens)  # one id, two texts
            columns = zip(*((other.id, other.raw, other.ruled) for other in others), strict=True)
            numbers = array("d", chain.from_iterable(columns)).tobytes()
        likely.append(numbers)
    said = [[token.text for token in tokens], [int(one) for one in texts], [*texts.values()]]
    spelled = _json(said)
    whole = (
        _SIZES.pack(len(tokens), len(spelled)),
        spelled,
        pack_ids(token.id for token in tokens),
        _bytes(array("q", [token.position for token in tokens])),
        _bytes(array("d", [token.logprob for token in tokens])),
        _bytes(array("d", [token.entropy for token in tokens])),
        pack_ids(len(numbers) // 24 for numbers in likely),
        _bytes(array("d", b"".join(likely))),
    )
    return _COLUMNS + zlib.compress(b"".join(whole), 1)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _as_rows(tokens: Sequence[Token]) -> bytes:
    rows = []
    for token in tokens:
        others = [[other.id, other.text, other.raw, other.ruled] for other in token.alternatives]
        rows.append([token.id, token.text, token.logprob, token.entropy, others, token.position])
    return zlib.compress(_json(rows), 1)


def unpack_tokens(data: bytes) -> list[Token]:
    """The inverse of :func:`pack_tokens`.

    Raises:
        StoreError: the bytes are not such.
    """
    try:
        if data[:1] == _COLUMNS:
            return _of_columns(_expanded(data[1:]))
        return _of_rows(json.loads(_expanded(data).decode("utf-8", "surrogatepass")))
    except (ValueError, TypeError, KeyError, OverflowError, struct.error, zlib.error) as error:
        raise StoreError(f"The tokens of a reply are damaged: {error}.") from error


def _expanded(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    found = stream.decompress(data, _MOST_BYTES)
    if not stream.eof:
        raise ValueError("they are cut off, or too many")
    return found


def _of_columns(data: bytes) -> list[Token]:
    count, size = _SIZES.unpack_from(data)
    at = _SIZES.size + size
    texts, known, spelled = json.loads(data[_SIZES.size : at].decode("utf-8", "surrogatepass"))
    text_of = dict(zip(known, spelled, strict=True))

    def column(kind: str, length: int) -> list[Any]:
        nonlocal at
        start, at = at, at + length * array(kind).itemsize
        return _numbers(kind, data[start:at]).tolist()

    ids, positions, logprobs, entropies, counts = (column(kind, count) for kind in "iqddi")
    numbers = column("d", 3 * sum(counts))
    if at != len(data) or min(counts, default=0) < 0:
        raise ValueError("their columns do not fit together")
    likely, last = [], 0
    for few in counts:
        first, last = last, last + 3 * few
        others, raw, ruled = (numbers[first + few * k : first + few * (k + 1)] for k in range(3))
        likely.append(tuple(map(Alternative, map(int, others), map(text_of.__getitem__, others), raw, ruled)))
    return list(map(Token, ids, texts, logprobs, entropies, likely, positions))


def _of_rows(rows: Any) -> list[Token]:
    """As JSON."""
    return [
        Token(number, piece, logprob, entropy, tuple(Alternative(*other) for other in others), position)
        for number, piece, logprob, entropy, others, position in rows
    ]
