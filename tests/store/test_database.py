"""The database file: what is wrong with it is said in one clear line."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from seqdemo.errors import StoreError
from seqdemo.store import Conversations, Database
from seqdemo.store.database import SCHEMA_VERSION


def test_importing_loads_nothing_heavy() -> None:
    """The store works without torch."""
    script = "import sys, seqdemo.store; sys.exit(bool({'torch', 'gradio', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_opened_again(tmp_path: Path) -> None:
    """A second opening finds what the first one wrote."""
    path = tmp_path / "conversations.db"
    first = Database(path)
    Conversations(first).create("ada", "stories", "f1", {}, "Kept")
    first.close()
    assert [one.title for one in Conversations(Database(path)).summaries("ada")] == ["Kept"]


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    """A file of a later version is named as such."""
    path = tmp_path / "conversations.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer seqdemo"):
        Database(path)
    assert path.read_bytes() == before


def test_not_a_database(tmp_path: Path) -> None:
    """Another kind of file is refused and stays as it is."""
    path = tmp_path / "conversations.db"
    path.write_text("shopping list " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Database(path)
    assert path.read_text() == "shopping list " * 100


def test_a_locked_database_is_named(database: Database) -> None:
    """While another program writes, writing fails with what to do; afterwards it works, and nothing is half done."""
    impatient = Conversations(Database(database.path, patience=0.01))
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program is writing"):
        impatient.create("ada", "stories", "f1", {})
    other.execute("ROLLBACK")
    assert impatient.summaries("ada") == []
    impatient.create("ada", "stories", "f1", {}, "Now")
    assert len(impatient.summaries("ada")) == 1


def test_a_full_database_is_named(database: Database) -> None:
    """Where no page fits any more, nothing of a change stays, and what was there is still readable."""
    conversations = Conversations(database)
    kept = conversations.create("ada", "stories", "f1", {}, "Kept")
    with database.write() as run:
        (pages,) = run.execute("PRAGMA page_count").fetchone()
    with database.read() as run:
        run.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full"):
        conversations.create("ada", "stories", "f1", {"text": "x" * 100_000})
    assert [one.id for one in conversations.summaries("ada")] == [kept]


def test_an_error_inside_a_transaction_undoes_it(database: Database) -> None:
    """Nothing of it stays, nested ones included."""
    conversations = Conversations(database)

    def fail() -> None:
        with database.write():
            conversations.create("ada", "stories", "f1", {})
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError):
        fail()
    assert conversations.summaries("ada") == []
