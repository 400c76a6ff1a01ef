"""What was said, as the page shows it: read off the tree of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from seqdemo.plugin import Done, Token

if TYPE_CHECKING:
    from seqdemo.decoding.tree import Node, Point, Tree

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
        version: which of several it is, from 0 on.
        versions: of which of its nodes there are others, oldest first, itself among them.
        count: how many versions there are.
    """

    role: Literal["user", "model"]
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    done: Done | None = None
    nodes: tuple[int, ...] = ()
    version: int = 0
    versions: tuple[int, ...] = ()
    count: int = 1

    @property
    def content(self) -> str:
        """The whole text."""
        return self.text + "".join(token.text for token in self.tokens) + (self.done.text if self.done else "")


def said(tree: Tree, here: Point) -> list[Message]:
    """Everything from the beginning of a conversation to a place in it."""
    found: list[Message] = []
    for node, count in list(tree.upward(here))[::-1]:
        if node.role == "user":
            found.append(Message("user", node.text, nodes=(node.id,)))
        else:
            if not found or found[-1].role == "user":
                found.append(Message("model"))
            reply = found[-1]
            reply.tokens.extend(node.tokens[:count])
            reply.done = node.done if count == len(node.ids) else None
            reply.nodes = (*reply.nodes, node.id)
        _count(found[-1], tree.versions(node), node)
    return found


def _count(message: Message, versions: tuple[Node, ...], node: Node) -> None:
    """Arrows go between the versions of the last of a message's nodes that has any."""
    if len(versions) > 1:
        message.versions = tuple(one.id for one in versions)
        message.version, message.count = message.versions.index(node.id), len(versions)
