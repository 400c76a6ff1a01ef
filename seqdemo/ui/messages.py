"""What was said, as the page shows it: read off the tree of a conversation."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from seqdemo.plugin import Done, Token

if TYPE_CHECKING:
    from seqdemo.decoding.tree import Point, Tree

__all__ = ["Message", "said"]


@dataclass(slots=True)
class Message:
    """What one side said.

    Attributes:
        role: ``"user"`` or ``"model"``.
        text: what the user wrote; empty for the model, whose text is its tokens' (and ``done.text``).
        tokens: the model's tokens so far.
        done: how the model's message ended; None while it streams, or where one stands inside it.
        nodes: its numbers in the tree, several for a reply that was gone on with; none while it streams.
        starts: of which of its tokens on each of them begins.
        version: which of several it is, from 0 on.
        versions: where the lines end, or the messages, that it has for versions, oldest first, itself among them.
        count: how many versions there are.
    """

    role: Literal["user", "model"]
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    done: Done | None = None
    nodes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()
    version: int = 0
    versions: tuple[Point, ...] = ()
    count: int = 1

    @property
    def content(self) -> str:
        """The whole text."""
        return self.text + "".join(token.text for token in self.tokens) + (self.done.text if self.done else "")

    def place(self, token: int) -> tuple[int, int]:
        """The node one of its tokens is in, and the token's number there."""
        which = bisect_right(self.starts, token) - 1
        return self.nodes[which], token - self.starts[which]


def said(tree: Tree, here: Point) -> list[Message]:
    """Everything from the beginning of a conversation to a place in it."""
    from seqdemo.decoding.lines import endings, version_at
    from seqdemo.decoding.tree import Point

    found: list[Message] = []
    for node, count in list(tree.upward(here))[::-1]:
        if node.role == "user":
            versions = tree.versions(node)
            found.append(Message("user", node.text, nodes=(node.id,)))
            _count(found[-1], tuple(one.end for one in versions), versions.index(node))
            continue
        if not found or found[-1].role == "user":
            found.append(Message("model"))
        reply = found[-1]
        reply.starts = (*reply.starts, len(reply.tokens))
        reply.nodes = (*reply.nodes, node.id)
        reply.tokens.extend(node.tokens[:count])
        reply.done = node.done if count == len(node.ids) else None
        lines = endings(tree, tree.get(reply.nodes[0]).parent)
        _count(reply, lines, version_at(tree, lines, Point(node.id, count)))
    return found


def _count(message: Message, versions: tuple[Point, ...], version: int) -> None:
    message.version, message.count = version, len(versions)
    message.versions = versions if len(versions) > 1 else ()
