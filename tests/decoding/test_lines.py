"""Versions of replies, and two lines of a conversation beside each other."""

from __future__ import annotations

from math import exp, log
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding.lines import Parting, endings, parting, version_at
from seqdemo.decoding.tree import ROOT, Node, Point, Tree
from seqdemo.plugin import Token


def letter(text: str, chance: float = 0.5) -> Token:
    return Token(ord(text), text, log(chance), 0.0)


def grown(*steps: tuple[Point, str, str]) -> Tree:
    """A tree of nodes: parent, role, and text with a token for each letter."""
    tree = Tree()
    for parent, role, text in steps:
        ids = tuple(map(ord, text))
        tokens = tuple(map(letter, text)) if role == "reply" else ()
        number = tree.next_id
        tree.add(Node(number, parent, tree.position(parent), role, text, ids, tokens))  # type: ignore[arg-type]
    return tree


def test_versions_of_a_reply() -> None:
    """Made anew, gone on with, gone on from within, and cut short by a message: each has its place, by age."""
    tree = grown(
        (ROOT, "user", "hi"),
        (Point(1, 2), "reply", "abcde"),
        (Point(1, 2), "reply", "xyz"),
        (Point(2, 5), "reply", "fgh"),
        (Point(2, 2), "reply", "q"),
        (Point(3, 2), "user", "what?"),
        (Point(5, 1), "reply", "r"),
    )
    versions = endings(tree, Point(1, 2))
    assert versions == ((4, 3), (3, 3), (7, 1), (3, 2))
    for place, version in (((4, 3), 0), ((4, 1), 0), ((2, 5), 0), ((2, 1), 0), ((3, 1), 3), ((3, 3), 1), ((5, 1), 2)):
        assert version_at(tree, versions, Point(*place)) == version, place
    assert endings(tree, Point(7, 1)) == ()


def test_a_reply_that_both_ends_and_goes_on_is_two_versions() -> None:
    """One was answered by a message, then the reply went on from there."""
    tree = grown(
        (ROOT, "user", "hi"),
        (Point(1, 2), "reply", "ab"),
        (Point(2, 2), "user", "and?"),
        (Point(2, 2), "reply", "cd"),
    )
    assert endings(tree, Point(1, 2)) == ((2, 2), (4, 2))
    assert tree.newest(Point(2, 2)) == (3, 4)
    assert tree.newest(Point(4, 2)) == (4, 2)
    assert tree.newest(Point(2, 1)) == (2, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_each_place_has_one_version_and_each_version_a_text_of_its_own(seed: int) -> None:
    """In trees grown at random: every leaf of a reply is a version, none comes twice, and all places find theirs."""
    random, tree = Random(seed), grown((ROOT, "user", "hi"))
    for _ in range(random.randint(1, 14)):
        node = random.choice(list(tree.nodes.values()))
        inside = node.role == "reply" and random.random() < 0.5
        parent = tree.point(node.id, random.randint(0, len(node.ids)) if inside else None)
        number, role = tree.next_id, random.choice(("user", "reply", "reply"))
        text = "".join(random.choice("ab") for _ in range(random.randint(1, 4)))
        tokens = tuple(map(letter, text)) if role == "reply" and parent != ROOT else ()
        kind: Any = "reply" if tokens else "user"
        tree.add(Node(number, parent, tree.position(parent), kind, text, tuple(map(ord, text)), tokens))
    for begin in [node.end for node in tree.nodes.values() if node.role == "user"]:
        versions = endings(tree, begin)
        assert len(set(versions)) == len(versions)
        replies = [node for node in tree.nodes.values() if node.role == "reply" and reply_from(tree, node) == begin]
        assert {node.end for node in replies if not tree.below(node)} <= set(versions)
        for node in replies:
            for tokens_read in range(1, len(node.ids) + 1):
                assert 0 <= version_at(tree, versions, Point(node.id, tokens_read)) < len(versions)


def reply_from(tree: Tree, node: Node) -> Point:
    while node.parent != ROOT and tree.get(node.parent.node).role == "reply":
        node = tree.get(node.parent.node)
    return node.parent


def spelled(found: Parting) -> str:
    return "".join(token.text for token in found.shared)


def test_two_lines_from_their_last_common_token() -> None:
    """Two versions begin alike: what they share is told apart from where each goes on, with its own numbers."""
    tree = grown(
        (ROOT, "user", "hi"),
        (Point(1, 2), "reply", "abcde"),
        (Point(1, 2), "reply", "abx"),
        (Point(3, 3), "user", "more"),
        (Point(4, 4), "reply", "yz"),
    )
    found = parting(tree, Point(2, 5), Point(5, 2))
    assert (found.common, spelled(found)) == ((1, 2), "ab")
    left, right = found.branches
    assert left.said == (("reply", "cde"),)
    assert right.said == (("reply", "x"), ("user", "more"), ("reply", "yz"))
    assert [token and token.text for token in found.tokens] == ["c", "x"]
    assert left.logprob == pytest.approx(3 * log(0.5))
    assert left.perplexity == pytest.approx(exp(-left.logprob / 3)) == pytest.approx(2.0)
    assert [token.text for token in right.tokens] == list("xyz")
    tree.add(Node(6, Point(2, 2), 4, "reply", "c", (ord("c"),), (letter("c"),)))
    tree.add(Node(7, Point(6, 1), 5, "reply", "dz", (ord("d"), ord("z")), (letter("d"), letter("z"))))
    onward = parting(tree, Point(2, 5), Point(7, 2))
    assert (onward.common, spelled(onward)) == ((2, 2), "cd")
    assert [branch.said for branch in onward.branches] == [(("reply", "e"),), (("reply", "z"),)]
    swapped = parting(tree, Point(5, 2), Point(2, 5))
    assert (swapped.common, swapped.branches) == (found.common, (right, left))


def test_a_branch_from_within_a_reply_and_one_inside_the_other() -> None:
    """The common place may lie inside a node; a place on the way to another has nothing of its own."""
    tree = grown(
        (ROOT, "user", "hi"),
        (Point(1, 2), "reply", "abcde"),
        (Point(2, 2), "reply", "xy"),
        (Point(2, 5), "reply", "fg"),
    )
    found = parting(tree, Point(4, 2), Point(3, 2))
    assert (found.common, spelled(found)) == ((2, 2), "")
    assert [branch.said for branch in found.branches] == [(("reply", "cdefg"),), (("reply", "xy"),)]
    inside = parting(tree, Point(2, 3), Point(4, 2))
    assert inside.common == (2, 3)
    assert [branch.said for branch in inside.branches] == [(), (("reply", "defg"),)]
    assert inside.branches[0].perplexity is None
    assert [token and token.text for token in inside.tokens] == [None, "d"]
    assert parting(tree, Point(1, 2), Point(1, 2)).branches[0].said == ()


def test_two_first_messages_have_nothing_in_common() -> None:
    """Their common place is the beginning."""
    tree = grown((ROOT, "user", "hi"), (ROOT, "user", "ho"), (Point(1, 2), "reply", "a"))
    found = parting(tree, Point(3, 1), Point(2, 2))
    assert found.common == ROOT
    assert [branch.said for branch in found.branches] == [(("user", "hi"), ("reply", "a")), (("user", "ho"),)]
    assert found.tokens == (None, None)
