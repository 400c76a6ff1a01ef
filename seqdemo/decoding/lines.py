"""Lines of a conversation's tree: the versions of a reply, and two lines beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from math import exp
from typing import Literal

from seqdemo.plugin import Token

from .tree import ROOT, Node, Point, Tree

__all__ = ["Branch", "Parting", "endings", "parting", "version_at"]


def endings(tree: Tree, begin: Point) -> tuple[Point, ...]:
    """Places at which a reply that begins somewhere ends, one for each of its versions, oldest first.

    A reply may be gone on with, from its end or from within. A version ends where nobody replied on, or where a
    message was said.
    """
    found: list[tuple[int, Point]] = []
    waiting = [(node.id, node) for node in tree.children(begin) if node.role == "reply"]
    while waiting:
        age, node = waiting.pop()
        below = tree.below(node)
        said: dict[Point, int] = {}
        for child in below:
            if child.role == "user":
                said.setdefault(child.parent, child.id)
        longer = next((child for child in below if child.role == "reply" and child.parent == node.end), None)
        if longer is None:
            said.setdefault(node.end, age)
        found += [(age if point == node.end else first, point) for point, first in said.items()]
        # What was gone on with is still the same version, as old as it was, unless a message was said before.
        heir = longer if node.end not in said else None
        waiting += [(age if child is heir else child.id, child) for child in below if child.role == "reply"]
    return tuple(point for _, point in sorted(found))


def version_at(tree: Tree, versions: tuple[Point, ...], point: Point) -> int:
    """Which version a place within a reply belongs to."""
    while point not in versions:
        node = tree.get(point.node)
        after = [one for one in versions if one.node == node.id and one.tokens >= point.tokens]
        longer = (child for child in tree.children(node.end) if child.role == "reply")
        point = min(after) if after else next(longer).end
    return versions.index(point)


@dataclass(frozen=True, slots=True)
class Branch:
    """One of two lines, from the place on at which they part.

    Attributes:
        said: who said what; the first may be the rest of a reply.
        tokens: of its replies, in order.
    """

    said: tuple[tuple[Literal["user", "reply"], str], ...]
    tokens: tuple[Token, ...]

    @property
    def logprob(self) -> float:
        """Natural log-probability of all its tokens, as the model gave it when they came."""
        return sum(token.logprob for token in self.tokens)

    @property
    def perplexity(self) -> float | None:
        """exp of minus the mean log-probability of its tokens; None where there is none."""
        return exp(-self.logprob / len(self.tokens)) if self.tokens else None


@dataclass(frozen=True, slots=True)
class Parting:
    """Two lines beside each other.

    Attributes:
        common: the last place that both have in the tree.
        shared: tokens after it that are the same on both; the events are the left one's.
        branches: the rest of each.
        tokens: where they part: the tokens that come there, None where a line ends or a message was said.
    """

    common: Point
    shared: tuple[Token, ...]
    branches: tuple[Branch, Branch]
    tokens: tuple[Token | None, Token | None]


def parting(tree: Tree, left: Point, right: Point) -> Parting:
    """Two places, and what was said on the way to each since the ways parted."""
    ways = _way(tree, left), _way(tree, right)
    same = list(takewhile(lambda pair: pair[0] == pair[1], zip(*ways, strict=False)))
    common = same[-1][0] if same else ROOT
    following = [way[len(same)] if len(way) > len(same) else None for way in ways]
    if following[0] and following[1] and following[0].node == following[1].node:
        common = min(following[0], following[1])
    parts = [list(_since(tree, way, common)) for way in ways]
    first = [list(_opening(part)) for part in parts]
    count = sum(1 for _ in takewhile(lambda pair: pair[0].id == pair[1].id, zip(*first, strict=False)))
    branches = [_branch(part, count) for part in parts]
    at = [tokens[count] if len(tokens) > count else None for tokens in first]
    return Parting(common, tuple(first[0][:count]), (branches[0], branches[1]), (at[0], at[1]))


@dataclass(frozen=True, slots=True)
class _Part:
    """A node on a line: its tokens there, and whether they are all up to its end."""

    node: Node
    tokens: tuple[Token, ...]
    ended: bool


def _way(tree: Tree, point: Point) -> list[Point]:
    """From the beginning to a place: each node on the way and how much of it."""
    return [Point(node.id, tokens) for node, tokens in tree.upward(point)][::-1]


def _since(tree: Tree, way: Iterable[Point], common: Point) -> Iterator[_Part]:
    """What lies on a way after a place."""
    beyond = common == ROOT
    for point in way:
        node = tree.get(point.node)
        begin = common.tokens if point.node == common.node else 0
        if (beyond or point.node == common.node) and point.tokens > begin:
            yield _Part(node, node.tokens[begin : point.tokens], point == node.end)
        beyond = beyond or point.node == common.node


def _opening(parts: list[_Part]) -> Iterator[Token]:
    """Tokens of the reply that a line begins with."""
    for part in takewhile(lambda part: part.node.role == "reply", parts):
        yield from part.tokens


def _branch(parts: list[_Part], skip: int) -> Branch:
    """A line without the first tokens of the reply it begins with."""
    said: list[tuple[Literal["user", "reply"], str]] = []
    tokens: list[Token] = []
    for part, after in zip_longest(parts, parts[1:]):
        own, skip = part.tokens[skip:], max(skip - len(part.tokens), 0)
        text = part.node.text if part.node.role == "user" else "".join(token.text for token in own)
        # What was held back at a reply's end was said only if the reply went no further.
        if part.ended and part.node.done is not None and (after is None or after.node.role == "user"):
            text += part.node.done.text
        if said and part.node.role == said[-1][0] == "reply":
            text = said.pop()[1] + text
        if text:
            said.append((part.node.role, text))
        tokens += own
    return Branch(tuple(said), tuple(tokens))
