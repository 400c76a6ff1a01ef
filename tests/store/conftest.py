"""What the tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seqdemo.plugin import Alternative, Done, Token, Usage
from seqdemo.store import Conversations, Database, Node, Reply


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty one."""
    made = Database(tmp_path / "home" / "conversations.db")
    yield made
    made.close()


@pytest.fixture
def conversations(database: Database) -> Conversations:
    """In it, with a clock that ticks once for each look at it."""
    ticks = iter(range(1, 1_000_000))
    return Conversations(database, lambda: float(next(ticks)))


def token(position: int, text: str) -> Token:
    """A token event."""
    return Token(position % 7, text, -1.5, 0.25, (Alternative(3, "é", 0.5, 0.0),), position)


def message(number: int, parent: tuple[int, int], start: int, text: str) -> Node:
    """A message of three ids."""
    return Node(number, parent, start, "user", text, (1, 2, 2**30))


def reply(number: int, parent: tuple[int, int], start: int) -> Reply:
    """A reply that is about to stream."""
    return Reply(number, parent, start, "reply", "", (), options={"temperature": 0.5, "stop": ["\n"]})


def done(text: str = "") -> Done:
    """The end of a reply, with a seed that no JavaScript number holds."""
    return Done("length", Usage(3, 2, 0.5, 0.1, 4096), text, 2**63 - 1)
