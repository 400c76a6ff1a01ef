"""What the database holds of a conversation, as plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from seqdemo.errors import StoreError
from seqdemo.plugin import Done, Token, Usage

__all__ = [
    "Conversation",
    "Node",
    "Reply",
    "pack_done",
    "unpack_done",
]


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
