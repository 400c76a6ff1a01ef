"""The tree of a conversation. Token ids are the truth here; states are kept elsewhere, as a cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from seqdemo.errors import SessionError
from seqdemo.plugin import Done, SamplingOptions, Token

__all__ = ["ROOT", "Message", "Node", "Point", "Tree"]


class Point(NamedTuple):
    """A place to stand: after ``tokens`` tokens of a node."""

    node: int
    tokens: int


ROOT = Point(0, 0)
"""Before anything was read."""


@dataclass(frozen=True, slots=True)
class Node:
    """One message, or one part of a reply that was gone on with.

    Attributes:
        id: its number in the session, from 1 on; a node's parent has a smaller one.
        parent: where it was read or written: the end of another node, or within a reply.
        start: tokens read before it.
        role: who wrote it.
        text: what was said or generated, without templates and stop strings.
        ids: every token id the model read for it, templates and stop strings included.
        tokens: of a reply, one event for each id.
        options: of a reply, those it was generated with; its seed is in ``done``.
        done: of a reply, why it ended and what it cost.
        closed: of a reply, whether it ended as the template ends replies.
    """

    id: int
    parent: Point
    start: int
    role: Literal["user", "reply"]
    text: str
    ids: tuple[int, ...]
    tokens: tuple[Token, ...] = ()
    options: SamplingOptions | None = None
    done: Done | None = None
    closed: bool = False

    @property
    def end(self) -> Point:
        """The place after all of it."""
        return Point(self.id, len(self.ids))

    def certain(self, tokens: int) -> str:
        """The text that was certain after that many tokens of a reply."""
        return "".join(token.text for token in self.tokens[:tokens])


class Message(NamedTuple):
    """A message as a reader sees it: a reply that was gone on with is one message of several nodes."""

    role: Literal["user", "reply"]
    text: str
    nodes: tuple[int, ...]


class Tree:
    """Nodes by id. Nothing is ever removed or changed."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._children: dict[Point, list[int]] = {}
        self._below: dict[int, list[int]] = {}

    @property
    def next_id(self) -> int:
        """The number of the next node."""
        return max(self.nodes, default=0) + 1

    def add(self, node: Node) -> None:
        """Put a node below its parent."""
        self.nodes[node.id] = node
        self._children.setdefault(node.parent, []).append(node.id)
        self._below.setdefault(node.parent.node, []).append(node.id)

    def join(self, node: Node) -> None:
        """Put a node that was read from somewhere below its parent.

        Raises:
            SessionError: it has no place in this tree.
        """
        parent = node.parent
        if node.id in self.nodes or (parent != ROOT and self.point(*parent) != parent):
            raise SessionError(f"node {node.id} has no place in the tree")
        if node.start != self.position(parent):
            raise SessionError(f"node {node.id} does not begin where its parent ends")
        self.add(node)

    def get(self, node: int) -> Node:
        """The node of that number.

        Raises:
            SessionError: there is none.
        """
        if node not in self.nodes:
            known = f"its nodes are {', '.join(map(str, sorted(self.nodes)[:20]))}" if self.nodes else "it has none yet"
            raise SessionError(f"There is no node {node!r} in this session; {known}.")
        return self.nodes[node]

    def point(self, node: int, tokens: int | None = None) -> Point:
        """The place after so many tokens of a node; at its end when None.

        Raises:
            SessionError: there is no such place.
        """
        found = self.get(node)
        if tokens is None or tokens == len(found.ids):
            return found.end
        if found.role == "user":
            raise SessionError(f"Node {node} is a user message: one can stand at its end only, not inside it.")
        if not 0 <= tokens < len(found.ids):
            raise SessionError(f"Node {node} has {len(found.ids)} tokens: there is no place after {tokens} of them.")
        return Point(node, tokens) if tokens else found.parent

    def children(self, point: Point) -> tuple[Node, ...]:
        """Nodes that go on from a place, oldest first."""
        return tuple(self.nodes[child] for child in self._children.get(point, ()))

    def versions(self, node: Node) -> tuple[Node, ...]:
        """A node and its siblings of the same role, oldest first."""
        return tuple(other for other in self.children(node.parent) if other.role == node.role)

    def below(self, node: Node) -> tuple[Node, ...]:
        """Nodes that go on from a node, at its end or within it, oldest first."""
        return tuple(self.nodes[child] for child in self._below.get(node.id, ()))

    def newest(self, point: Point) -> Point:
        """The end of the line of conversation last begun at a place.

        What else was replied from the end of a reply is that line only where nobody said anything there.
        """
        children = self.children(point)
        said = [child for child in children if child.role == "user"] or children
        if not said:
            return point
        node = said[-1]
        while below := self._below.get(node.id):
            node = self.nodes[below[-1]]
        return node.end

    def branches(self, point: Point) -> bool:
        """Whether more than one node goes on from a place."""
        return len(self._children.get(point, ())) > 1

    def position(self, point: Point) -> int:
        """Tokens read up to a place."""
        return 0 if point == ROOT else self.nodes[point.node].start + point.tokens

    def upward(self, point: Point) -> Iterator[tuple[Node, int]]:
        """From a place to the beginning: each node on the way and how many tokens of it were read."""
        while point != ROOT:
            node = self.nodes[point.node]
            yield node, point.tokens
            point = node.parent

    def recent(self, point: Point, count: int) -> tuple[int, ...]:
        """The last ids read up to a place, oldest first, at most ``count``."""
        parts: list[tuple[int, ...]] = []
        for node, tokens in self.upward(point):
            if count <= 0:
                break
            parts.append(node.ids[max(tokens - count, 0) : tokens])
            count -= len(parts[-1])
        return tuple(token for part in reversed(parts) for token in part)

    def messages(self, point: Point) -> tuple[Message, ...]:
        """What a reader sees from the beginning to a place."""
        messages: list[Message] = []
        path = list(self.upward(point))[::-1]
        for index, (node, tokens) in enumerate(path):
            continued = index + 1 < len(path) and path[index + 1][0].role == "reply"
            # What was held back at the end was said only if nothing followed: otherwise it is in the next part's text.
            whole = node.role == "user" or (tokens == len(node.ids) and not continued)
            text = node.text if whole else node.certain(tokens)
            if messages and node.role == messages[-1].role == "reply":
                before = messages.pop()
                messages.append(Message("reply", before.text + text, (*before.nodes, node.id)))
            else:
                messages.append(Message(node.role, text, (node.id,)))
        return tuple(messages)
