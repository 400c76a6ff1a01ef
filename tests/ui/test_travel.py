"""What the map of a conversation shows, and two of its lines beside each other."""

from __future__ import annotations

import json
import shutil
import subprocess
from math import exp, log
from random import Random
from typing import Any

import pytest

from seqdemo.decoding.tree import ROOT, Node, Point, Tree
from seqdemo.errors import SessionError
from seqdemo.plugin import Alternative, Token
from seqdemo.ui.assets import asset
from seqdemo.ui.travel import beside, chart
from seqdemo.ui.words import CHINESE, ENGLISH


def grown(*steps: tuple[Point, str, str]) -> Tree:
    """A tree of nodes: parent, role, and text with a token of probability 1/4 for each letter."""
    tree = Tree()
    for parent, role, text in steps:
        tokens = tuple(Token(ord(one), one, log(0.25), 0.0, (Alternative(ord(one), one, 0.25, 0.5),)) for one in text)
        ids = tuple(map(ord, text))
        number = tree.next_id
        events = tokens if role == "reply" else ()
        tree.add(Node(number, parent, tree.position(parent), role, text, ids, events))  # type: ignore[arg-type]
    return tree


def test_parts_of_one_reply_are_one_message_of_the_map() -> None:
    """What only goes on from an end is one row; a branch from within names the token it leaves at."""
    tree = grown(
        (ROOT, "user", "hi"),
        (Point(1, 2), "reply", "abcde"),
        (Point(2, 5), "reply", "fg"),
        (Point(3, 2), "reply", "h"),
        (Point(3, 1), "reply", "x"),
        (Point(4, 1), "user", "and\n\nthen"),
    )
    found = chart(tree, Point(3, 2))
    assert found["nodes"] == [
        [1, 0, 0, "user", "hi", 2],
        [4, 1, 2, "reply", "abcdefgh", 8],
        [5, 4, 6, "reply", "x", 1],
        [6, 4, 8, "user", "and then", 9],
    ]
    assert (found["path"], found["here"]) == ([1, 4], [4, 7])
    tree.add(Node(7, Point(2, 5), 7, "user", "no", (1, 2)))
    found = chart(tree, ROOT)
    assert [row[:2] for row in found["nodes"]] == [[1, 0], [2, 1], [4, 2], [5, 4], [6, 4], [7, 2]]
    assert (found["path"], found["here"]) == ([], [0, 0])


def test_two_lines_with_their_numbers() -> None:
    """Texts from the common place on, log-probability and perplexity of each, and the tokens at which they part."""
    tree = grown((ROOT, "user", "hi"), (Point(1, 2), "reply", "a<b>"), (Point(2, 1), "reply", "xy"))
    tree.add(Node(4, Point(3, 2), 5, "user", "more", (1, 2)))
    found = beside(tree, 2, 4, ENGLISH)
    assert found["common"] == "Both have the first 3 tokens in common."
    assert (found["before"], found["shared"]) == ("a", "")
    left, right = found["branches"]
    assert left["said"] == [("reply", "<b>")]
    assert right["said"] == [("reply", "xy"), ("user", "more")]
    assert dict(left["facts"]) == {
        "tokens of replies": "3",
        "log-probability": f"{3 * log(0.25):.2f}".replace("-", "−"),
        "perplexity": f"{exp(-log(0.25)):.2f}",
        "bits per token": "2.00",
        "parts with": "<  25.0 %",
    }
    assert dict(right["facts"])["parts with"] == "x  25.0 %"
    assert beside(tree, 2, 4, CHINESE)["common"] != found["common"]
    with pytest.raises(SessionError, match="no node 9"):
        beside(tree, 2, 9, ENGLISH)


def arranged(nodes: list[dict[str, Any]], path: list[int]) -> list[dict[str, Any]]:
    """Rows as the script of the page makes them."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    script = asset("tree.js") + f"console.log(JSON.stringify(arrange({json.dumps(nodes)}, new Set({path}))))"
    ran = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True, timeout=60)
    rows: list[dict[str, Any]] = json.loads(ran.stdout)
    return rows


def test_a_map_of_many_nodes_stays_narrow() -> None:
    """However 3,000 nodes hang together: each is drawn once, below its parent, with all lines whole, in few lanes."""
    random = Random(5)
    parents = [0] + [random.choice((number, number, random.randint(0, number))) for number in range(1, 3000)]
    nodes = [{"id": number + 1, "parent": parent} for number, parent in enumerate(parents)]
    here, path = 2500, []
    while here:
        path.append(here)
        here = parents[here - 1]
    rows = arranged(nodes, path)
    at = {row["node"]["id"]: number for number, row in enumerate(rows)}
    assert sorted(at) == list(range(3001))
    assert max(row["lane"] for row in rows) <= 12  # log2 of their number, rounded up
    lanes = [{row["lane"], *(rail["lane"] for rail in row["rails"])} for row in rows]
    for child in nodes:
        upper, lower = at[child["parent"]], at[child["id"]]
        assert upper < lower
        assert rows[lower]["lane"] - rows[upper]["lane"] == rows[lower]["side"]
        assert all(rows[upper]["lane"] in lanes[between] for between in range(upper, lower + 1))
    assert {row["node"]["id"] for row in rows if row["lit"]} == {0, *path}


def test_the_picture_of_a_small_tree() -> None:
    """The longest line keeps its lane, others come before it, oldest first; the line one stands on is lit."""
    nodes = [{"id": n, "parent": p} for n, p in ((1, 0), (2, 1), (3, 1), (4, 1), (5, 4))]
    rows = arranged(nodes, [1, 3])
    assert [(row["node"]["id"], row["lane"], row["side"]) for row in rows] == [
        (0, 0, False),
        (1, 0, False),
        (2, 1, True),
        (3, 1, True),
        (4, 0, False),
        (5, 0, False),
    ]
    assert [row["rails"] for row in rows[2:4]] == [[{"lane": 0, "lit": True}], [{"lane": 0, "lit": False}]]
    assert [row["onward"] for row in rows] == [True, True, False, False, False, False]


def test_the_shades_of_both_scales() -> None:
    """From the number that is sent for a token to its shades, at the bounds of the legend."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    numbers = [0, 15, 16, 99, 100, 101, 199, 201, 333, 890, 900, 9999]
    script = asset("shades.js") + f"console.log(JSON.stringify({numbers}.map(shades)))"
    ran = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True, timeout=60)
    chances = [0, 0, 1, 2, 2, 3, 3, 4, 5, 5, 5, 5]
    surprises = [0, 0, 0, 0, 1, 1, 1, 2, 2, 4, 5, 5]
    expected = [f"sd-chance-{one} sd-surprise-{other}" for one, other in zip(chances, surprises, strict=True)]
    assert json.loads(ran.stdout) == expected
