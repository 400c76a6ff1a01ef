"""Snapshots on disk: a cache under a budget, which never lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.store import Conversations, Database, Place, Snapshots, Tags

TAGS = Tags("f1", "layout", "fp32")


@pytest.fixture
def talk(conversations: Conversations) -> str:
    """A conversation's id."""
    return conversations.create("ada", "stories", "f1", {})


def files(snapshots: Snapshots) -> list[str]:
    """Names of all files, sorted."""
    return sorted(path.name for path in snapshots.folder.rglob("*") if path.is_file())


def test_what_was_put_comes_back(database: Database, talk: str) -> None:
    """The same bytes, for the same weights, layout and precision only."""
    snapshots = Snapshots(database)
    assert snapshots.put(talk, 1, 5, TAGS, b"state")
    assert snapshots.get(talk, 1, 5, TAGS) == b"state"
    assert snapshots.places(talk, TAGS) == {(1, 5)}
    for other in (Tags("f2", "layout", "fp32"), Tags("f1", "wide", "fp32"), Tags("f1", "layout", "int8")):
        assert snapshots.get(talk, 1, 5, other) is None
        assert snapshots.places(talk, other) == set()
    assert snapshots.get(talk, 1, 6, TAGS) is None
    assert snapshots.get(talk, 1, 5, TAGS) == b"state"


@pytest.mark.parametrize("torn", [b"", b"stat", b"other"])
def test_a_torn_file_counts_as_missing(database: Database, talk: str, torn: bytes) -> None:
    """Bytes that are not the ones written are never handed out, and the index forgets them."""
    snapshots = Snapshots(database)
    snapshots.put(talk, 1, 5, TAGS, b"state")
    next(snapshots.folder.rglob("*.safetensors")).write_bytes(torn)
    assert snapshots.get(talk, 1, 5, TAGS) is None
    assert snapshots.places(talk, TAGS) == set()
    assert snapshots.nbytes() == 0


def test_least_recently_used_go_first_and_branches_last(database: Database, talk: str) -> None:
    """Under a budget of three, a used one outlives an unused one, and a branching place outlives both."""
    snapshots = Snapshots(database, budget=30)
    for tokens in range(3):
        snapshots.put(talk, 1, tokens, TAGS, b"0123456789")
    snapshots.mark_branch(talk, 1, 0)
    snapshots.get(talk, 1, 1, TAGS)
    snapshots.put(talk, 1, 3, TAGS, b"0123456789")
    assert snapshots.places(talk, TAGS) == {(1, 0), (1, 1), (1, 3)}
    snapshots.put(talk, 1, 4, TAGS, b"0123456789")
    assert snapshots.places(talk, TAGS) == {(1, 0), (1, 3), (1, 4)}
    assert files(snapshots) == ["1-0.safetensors", "1-3.safetensors", "1-4.safetensors"]


def test_larger_than_the_budget_is_not_kept(database: Database, talk: str) -> None:
    """It would push out all others and still not fit."""
    snapshots = Snapshots(database, budget=10)
    snapshots.put(talk, 1, 0, TAGS, b"small")
    assert not snapshots.put(talk, 1, 1, TAGS, b"far too large")
    assert snapshots.places(talk, TAGS) == {(1, 0)}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12), st.booleans()), max_size=25))
def test_the_budget_holds(tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[int, int, bool]]) -> None:
    """Whatever is put, the index and the files agree, stay under the budget, and hold the last one put."""
    database = Database(tmp_path_factory.mktemp("store") / "conversations.db")
    talk = Conversations(database).create("ada", "stories", "f1", {})
    snapshots = Snapshots(database, budget=30)
    for tokens, size, branch in puts:
        snapshots.put(talk, 1, tokens, TAGS, bytes(size), branch)
        assert snapshots.get(talk, 1, tokens, TAGS) == bytes(size)
        assert snapshots.nbytes() <= 30
        assert snapshots.nbytes() == sum(path.stat().st_size for path in snapshots.folder.rglob("*.safetensors"))
    database.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 12)), max_size=9, unique_by=lambda one: one[0])),
    st.integers(1, 4),
)
def test_many_at_once_are_what_they_are_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int]]], together: int
) -> None:
    """The same are kept, in the same order of use, however many a transaction takes; too large ones are passed over."""
    found = []
    for at_once in (False, True):
        database = Database(tmp_path_factory.mktemp("store") / "conversations.db")
        snapshots = Snapshots(database, budget=30)
        talk = Conversations(database).create("ada", "stories", "f1", {})
        snapshots.put(talk, 2, 0, TAGS, bytes(7))
        kept: set[tuple[int, int]] = set()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("seqdemo.store.snapshots._TOGETHER", together)
            for batch in batches:
                places = [Place(1, tokens, bytes(4 * size)) for tokens, size in batch]
                if at_once:
                    kept |= snapshots.put_all(talk, TAGS, iter(places))
                else:
                    kept |= {(1, one.tokens) for one in places if snapshots.put(talk, 1, one.tokens, TAGS, one.data)}
        with database.read() as run:
            rows = run.execute("SELECT node, tokens, bytes FROM snapshots ORDER BY used").fetchall()
        assert files(snapshots) == sorted(f"{node}-{tokens}.safetensors" for node, tokens, _ in rows)
        found.append((kept, rows))
        database.close()
    assert found[0] == found[1]


def test_a_disk_that_cannot_be_written_costs_the_snapshot_only(database: Database, talk: str) -> None:
    """Nothing is raised: a state can be made again."""
    snapshots = Snapshots(database)
    snapshots.folder.write_text("in the way")
    assert not snapshots.put(talk, 1, 0, TAGS, b"state")
    assert snapshots.get(talk, 1, 0, TAGS) is None


def test_purging_and_sweeping(database: Database, talk: str, conversations: Conversations) -> None:
    """A purge removes a conversation's files; a sweep removes those no index knows, and no others."""
    snapshots = Snapshots(database)
    other = conversations.create("ada", "stories", "f1", {})
    for one in (talk, other):
        snapshots.put(one, 1, 0, TAGS, b"state")
    snapshots.purge(talk)
    assert (snapshots.nbytes(talk), snapshots.nbytes(other)) == (0, 5)
    stray = snapshots.folder / other / ".1-1.safetensors.0a1b2c3d"
    stray.write_bytes(b"half")
    kept = Path(snapshots.folder / "notes.txt")
    kept.write_text("not ours")
    assert snapshots.sweep() == 1
    assert files(snapshots) == ["1-0.safetensors", "notes.txt"]
    conversations.purge("ada", other)
    assert snapshots.sweep() == 1
