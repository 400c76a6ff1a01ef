"""Conversations: what was written is what is read, by whom it belongs to, and nobody overwrites anybody."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seqdemo.errors import SessionError, StaleError, StoreError
from seqdemo.store import Conversations, Database, Reply

from .conftest import done, message, reply, token


def begun(conversations: Conversations, visitor: str = "ada") -> tuple[str, int]:
    """A conversation of one message and a reply of two tokens."""
    new = conversations.create(visitor, "stories", "f1", {"seed": None})
    revision = conversations.say(visitor, new, 0, message(1, (0, 0), 0, "Once upon\n a time"))
    revision = conversations.begin(visitor, new, revision, reply(2, (1, 3), 3))
    conversations.append(new, 2, 0, [token(3, "the")])
    conversations.append(new, 2, 1, [token(4, "re")])
    conversations.end(new, 2, "there!", done("!"), True, (2, 2))
    return new, revision


def test_a_conversation_comes_back(conversations: Conversations) -> None:
    """Messages, events, options, ends and the place one stands at are read as they were written."""
    new, revision = begun(conversations)
    found = conversations.read("ada", new)
    assert (found.title, found.checkpoint, found.fingerprint) == ("Once upon a time", "stories", "f1")
    assert (found.here, found.revision, found.defaults) == ((2, 2), revision, {"seed": None})
    assert found.nodes[0] == message(1, (0, 0), 0, "Once upon\n a time")
    assert found.nodes[1] == Reply(
        2,
        (1, 3),
        3,
        "reply",
        "there!",
        (3, 4),
        (token(3, "the"), token(4, "re")),
        {"temperature": 0.5, "stop": ["\n"]},
        done("!"),
        True,
    )


def test_an_unfinished_reply_keeps_what_was_written(conversations: Conversations) -> None:
    """A reply without its end has its tokens, their text, and no ``done``; one without tokens is not there."""
    new = conversations.create("ada", "stories", "f1", {})
    revision = conversations.say("ada", new, 0, message(1, (0, 0), 0, "hello"))
    revision = conversations.begin("ada", new, revision, reply(2, (1, 3), 3))
    assert [node.id for node in conversations.read("ada", new).nodes] == [1]
    conversations.append(new, 2, 0, [token(3, "half"), token(4, " a")])
    found = conversations.read("ada", new).nodes[1]
    assert isinstance(found, Reply)
    assert (found.text, found.ids, found.done) == ("half a", (3, 4), None)


def test_a_missing_piece_is_noticed(conversations: Conversations, database: Database) -> None:
    """Tokens that are gone from the middle of a reply are an error, not another text."""
    new, _ = begun(conversations)
    with database.write() as run:
        run.execute("DELETE FROM events WHERE start = 0")
    with pytest.raises(StoreError, match="missing"):
        conversations.read("ada", new)


def test_a_reply_without_tokens_leaves_no_trace(conversations: Conversations) -> None:
    """One stands where one stood; its number is free again, even if its process was killed."""
    new = conversations.create("ada", "stories", "f1", {})
    revision = conversations.say("ada", new, 0, message(1, (0, 0), 0, "hello"))
    revision = conversations.begin("ada", new, revision, reply(2, (0, 0), 0))
    assert conversations.read("ada", new).here == (0, 0)
    conversations.drop(new, 2, (1, 3))
    found = conversations.read("ada", new)
    assert ([node.id for node in found.nodes], found.here) == ([1], (1, 3))
    revision = conversations.begin("ada", new, revision, reply(2, (1, 3), 3))
    conversations.say("ada", new, revision, message(2, (1, 3), 3, "in its place"))
    assert [node.text for node in conversations.read("ada", new).nodes] == ["hello", "in its place"]


def test_the_second_writer_is_told(conversations: Conversations) -> None:
    """Two tabs: the one that does not know of the other's message writes nothing."""
    new, revision = begun(conversations)
    conversations.say("ada", new, revision, message(3, (2, 2), 5, "first"))
    with pytest.raises(StaleError, match="Reload"):
        conversations.say("ada", new, revision, message(4, (2, 2), 5, "second"))
    with pytest.raises(StaleError):
        conversations.stand("ada", new, revision, (1, 3))
    assert [node.text for node in conversations.read("ada", new).nodes] == ["Once upon\n a time", "there!", "first"]


def test_visitors_know_their_own_only(conversations: Conversations) -> None:
    """Whatever someone else asks for is not there, and nothing happens to it."""
    new, revision = begun(conversations)
    asked = (
        lambda: conversations.read("eve", new),
        lambda: conversations.summary("eve", new),
        lambda: conversations.fork("eve", new, [1], (1, 3)),
        lambda: conversations.say("eve", new, revision, message(3, (2, 2), 5, "x")),
        lambda: conversations.stand("eve", new, revision, (1, 3)),
        lambda: conversations.rename("eve", new, "mine"),
        lambda: conversations.pin("eve", new, True),
        lambda: conversations.delete("eve", new),
        lambda: conversations.restore("eve", new),
        lambda: conversations.purge("eve", new),
    )
    before = conversations.read("ada", new)
    for one in asked:
        with pytest.raises(SessionError, match="no conversation"):
            one()
    assert conversations.summaries("eve") == []
    assert conversations.read("ada", new) == before


def test_the_list_is_in_order(conversations: Conversations) -> None:
    """Pinned ones come first, then the last changed."""
    made = [begun(conversations)[0] for _ in range(3)]
    conversations.pin("ada", made[1], True)
    conversations.rename("ada", made[0], "  A new\nname ")
    listed = conversations.summaries("ada")
    assert [one.id for one in listed] == [made[1], made[2], made[0]]
    assert [one.title for one in listed] == ["Once upon a time", "Once upon a time", "A new name"]
    assert [one.messages for one in listed] == [2, 2, 2]
    assert [conversations.summary("ada", one.id) for one in listed] == listed
    with pytest.raises(SessionError, match="empty"):
        conversations.rename("ada", made[0], " \n ")


@pytest.mark.parametrize(
    ("query", "found"),
    [("upon", True), ("THERE once", True), ("100%", False), ("_", False), ("once never", False), ("\\", False)],
)
def test_searching(conversations: Conversations, query: str, found: bool) -> None:
    """All words must occur somewhere in it; signs that mean something to the database mean themselves."""
    begun(conversations)
    listed = conversations.summaries("ada", query)
    assert bool(listed) == found
    if found:
        assert query.split()[0].lower() in listed[0].found.lower()


def test_deleting_hides_and_can_be_undone(conversations: Conversations) -> None:
    """What is deleted is in no list and cannot be read, until it is restored."""
    new, _ = begun(conversations)
    before = conversations.read("ada", new)
    conversations.delete("ada", new)
    assert conversations.summaries("ada") == []
    assert [one.id for one in conversations.summaries("ada", hidden=True)] == [new]
    assert conversations.summaries("eve", hidden=True) == []
    for look in (conversations.read, conversations.summary):
        with pytest.raises(SessionError):
            look("ada", new)
    conversations.restore("ada", new)
    assert conversations.read("ada", new) == before
    assert conversations.summaries("ada", hidden=True) == []


def test_deleting_for_good_leaves_no_text(conversations: Conversations, database: Database) -> None:
    """No file holds the words any more."""
    new = conversations.create("ada", "stories", "f1", {})
    conversations.say("ada", new, 0, message(1, (0, 0), 0, "a very private sentence " * 50))
    begun(conversations)

    def holds() -> bool:
        return any(b"very private" in path.read_bytes() for path in database.path.parent.iterdir())

    assert holds()
    conversations.purge("ada", new)
    assert not holds()
    assert len(conversations.summaries("ada")) == 1


def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """SIGKILL in mid-reply: every piece that was appended before is there."""
    path = tmp_path / "conversations.db"
    script = f"""
import os, signal
from pathlib import Path
from seqdemo.plugin import Token
from seqdemo.store import Conversations, Database, Node, Reply
found = Conversations(Database(Path({str(path)!r})))
new = found.create("ada", "stories", "f1", {{}})
revision = found.say("ada", new, 0, Node(1, (0, 0), 0, "user", "hello", (1,)))
found.begin("ada", new, revision, Reply(2, (1, 1), 1, "reply", "", ()))
for start in range(20):
    found.append(new, 2, start, [Token(5, f"{{start}} ", -1.0, 0.5, (), start + 1)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    found = Conversations(Database(path))
    (summary,) = found.summaries("ada")
    assert found.read("ada", summary.id).nodes[1].text == "".join(f"{start} " for start in range(20))
