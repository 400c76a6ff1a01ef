"""What the database holds of a conversation, as plain data, and how token events are packed."""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from seqdemo.errors import StoreError
from seqdemo.plugin import Alternative, Done, Token, Usage

__all__ = [
    "Conversation",
    "Node",
    "Reply",
    "pack_done",
    "pack_ids",
    "pack_tokens",
    "unpack_done",
    "unpack_ids",
    "unpack_tokens",
]

_MOST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Node:
    """A message, or one part of a reply.

    Attributes:
        id: its number in the conversation, from 1 on.
        parent: node and tokens of the place it goes on from; ``(0, 0)`` is the beginning.
        start: tokens read before it.
        role: who wrote it.
        text: what was said; of a reply that was cut off, what is known of it.
        ids: every token id read for it.
    """

    id: int
    parent: tuple[int, int]
    start: int
    role: Literal["user", "reply"]
    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reply(Node):
    """A part of a reply.

    Attributes:
        tokens: one event for each id.
        options: those it was generated with, as JSON holds them.
        done: how it ended; None where the process ended before it did.
        closed: whether it ended as the template ends replies.
    """

    tokens: tuple[Token, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    done: Done | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole conversation.

    Attributes:
        id: known to its visitor only.
        visitor: whose it is.
        title: as the sidebar shows it.
        checkpoint: what it was held with.
        fingerprint: of that checkpoint's weights.
        defaults: options of its replies.
        here: where it stands.
        revision: counts its changes; a writer must know the last one.
        nodes: in the order they were made.
    """

    id: str
    visitor: str
    title: str
    checkpoint: str
    fingerprint: str
    defaults: dict[str, Any]
    here: tuple[int, int]
    revision: int
    nodes: tuple[Node, ...]


def pack_ids(ids: Iterable[int]) -> bytes:
    """Token ids as little-endian 32-bit numbers."""
    numbers = array("i", ids)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack_ids(data: bytes) -> tuple[int, ...]:
    """The inverse of :func:`pack_ids`."""
    numbers = array("i")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)


def pack_tokens(tokens: Sequence[Token]) -> bytes:
    """Token events, compressed."""
    rows = [
        [
            token.id,
            token.text,
            token.logprob,
            token.entropy,
            [[other.id, other.text, other.raw, other.ruled] for other in token.alternatives],
            token.position,
        ]
        for token in tokens
    ]
    return zlib.compress(
        json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"), 1
    )


def unpack_tokens(data: bytes) -> list[Token]:
    """The inverse of :func:`pack_tokens`.

    Raises:
        StoreError: the bytes are not such.
    """
    try:
        stream = zlib.decompressobj()
        text = stream.decompress(data, _MOST_BYTES)
        if not stream.eof:
            raise ValueError("they are cut off, or too many")
        return [
            Token(number, piece, logprob, entropy, tuple(Alternative(*other) for other in others), position)
            for number, piece, logprob, entropy, others, position in json.loads(text.decode("utf-8", "surrogatepass"))
        ]
    except (ValueError, TypeError, zlib.error) as error:
        raise StoreError(f"The tokens of a reply are damaged: {error}.") from error


def pack_done(done: Done | None) -> str | None:
    """How a reply ended, as JSON."""
    return None if done is None else json.dumps(asdict(done), ensure_ascii=False)


def unpack_done(text: str | None) -> Done | None:
    """The inverse of :func:`pack_done`."""
    if text is None:
        return None
    try:
        fields = json.loads(text)
        return Done(**fields | {"usage": Usage(**fields["usage"])})
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"The end of a reply is damaged: {error}.") from error
