"""One text for each visitor, and the way back to what it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from seqdemo.errors import StaleError
from seqdemo.store import Conversations, Database, Notebooks, Sheet
from seqdemo.store.database import _FIRST


@pytest.fixture
def kept(tmp_path: Path) -> Notebooks:
    return Notebooks(Database(tmp_path / "conversations.db"))


def test_a_text_is_there_again(kept: Notebooks) -> None:
    """What was saved is read by another opening; other visitors have their own."""
    assert kept.read("ada") == Sheet()
    revision = kept.save("ada", 0, "Once <b>\n\x00 ☃")
    again = Notebooks(Database(kept.database.path))
    assert again.read("ada") == Sheet("Once <b>\n\x00 ☃", "", revision)
    assert again.read("grace") == Sheet()


def test_whoever_does_not_know_the_last_change_is_refused(kept: Notebooks) -> None:
    """A second writer with an old revision changes nothing, whatever it wants to do."""
    first = kept.save("ada", 0, "one")
    kept.begin("ada", first, "two", "stories")
    before = kept.read("ada")
    for late in (
        lambda: kept.save("ada", 0, "three"),
        lambda: kept.begin("ada", first, "three", "stories"),
        lambda: kept.back("ada", first),
    ):
        with pytest.raises(StaleError, match="another tab"):
            late()
    assert kept.read("ada") == before


def test_back_and_forth(kept: Notebooks) -> None:
    """Undo gives the text before each passage, redo the text before the undo, edits by hand included."""
    at = kept.begin("ada", 0, "a", "stories")
    at = kept.save("ada", at, "ab")
    at = kept.begin("ada", at, "abX", "poems")
    at = kept.save("ada", at, "abXc")
    assert kept.read("ada") == Sheet("abXc", "poems", at, 2, 0)
    at = kept.save("ada", at, "abXc!")
    at = kept.back("ada", at)
    at = kept.back("ada", at)
    assert kept.read("ada") == Sheet("a", "poems", at, 0, 2)
    assert kept.back("ada", at) == at
    at = kept.forth("ada", kept.forth("ada", at))
    assert kept.read("ada") == Sheet("abXc!", "poems", at, 2, 0)
    at = kept.back("ada", at)
    at = kept.begin("ada", at, "abXd", "poems")
    assert kept.read("ada") == Sheet("abXd", "poems", at, 1, 0)


def test_a_passage_of_nothing_is_no_step(kept: Notebooks) -> None:
    """Where nothing was generated, undo goes to the text before that."""
    at = kept.save("ada", kept.begin("ada", 0, "a", "stories"), "ab")
    at = kept.begin("ada", kept.begin("ada", at, "ab", "stories"), "ab", "stories")
    assert kept.read("ada").earlier == 1
    at = kept.back("ada", at)
    assert kept.read("ada") == Sheet("a", "stories", at, 0, 1)
    assert kept.back("ada", at) == at
    at = kept.forth("ada", at)
    assert kept.read("ada") == Sheet("ab", "stories", at, 1, 0)


def test_there_is_an_end_to_what_is_remembered(kept: Notebooks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest texts go first, by number and by length; the last one stays."""
    monkeypatch.setattr("seqdemo.store.notebooks.STEPS", 3)
    at = 0
    for number in range(5):
        at = kept.save("ada", kept.begin("ada", at, f"{number}", "stories"), "new")
    assert kept.read("ada").earlier == 3
    monkeypatch.setattr("seqdemo.store.notebooks.CHARACTERS", 10)
    at = kept.save("ada", kept.begin("ada", at, "x" * 9, "stories"), "new")
    assert kept.read("ada").earlier == 2
    at = kept.save("ada", kept.begin("ada", at, "x" * 20, "stories"), "new")
    assert kept.read("ada").earlier == 1


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """What it holds stays, and notebooks are added."""
    path = tmp_path / "conversations.db"
    with sqlite3.connect(path) as run:
        run.executescript(_FIRST + "PRAGMA user_version = 1;")
        run.execute(
            "INSERT INTO conversations (id, visitor, title, checkpoint, fingerprint, defaults, created, changed) "
            "VALUES ('c', 'ada', 'Kept', 'stories', 'f', '{}', 0, 0)"
        )
    run.close()
    database = Database(path)
    assert [one.title for one in Conversations(database).summaries("ada")] == ["Kept"]
    assert Notebooks(database).save("ada", 0, "new") == 1
