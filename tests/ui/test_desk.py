"""A visitor's notebook on the server: kept while it is written, read no further back than it changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seqdemo.errors import StaleError, StoreError, TokenizerError
from seqdemo.store import Notebooks
from seqdemo.ui.desk import Desk, Desks
from seqdemo.ui.loader import Loader
from seqdemo.ui.notebook import _sound, _units, _whole
from seqdemo.ui.words import ENGLISH, PageError

OPTIONS = {"max_tokens": 5, "temperature": 0.0}


@pytest.fixture
def desk(source: Any) -> Desk:
    return Desks(source.database).of("ada")


@pytest.fixture
def pipe(source: Any) -> Any:
    source.delay = 0.0
    return source.load("stories")


def test_what_is_written_is_kept(desk: Desk, pipe: Any) -> None:
    """Text and passage are in the database, undo and redo go between them."""
    assert desk.write("stories", pipe, 0, "Once", OPTIONS).join(30)
    sheet = desk.sheet
    assert (sheet.text, sheet.checkpoint, sheet.earlier) == ("Once the sea was calm,\n", "stories", 1)
    desk.back(sheet.revision)
    assert desk.sheet.text == "Once"
    desk.forth(desk.sheet.revision)
    assert desk.sheet.text == sheet.text
    assert desk.tokens("stories", "Once the sea") == len("Once") + 2
    assert desk.tokens("诗词", "Once") is None


def test_appended_words_are_all_that_is_read(desk: Desk, pipe: Any) -> None:
    """A second passage reads the words between, and a text taken back is not read again."""
    desk.write("stories", pipe, 0, "Once", OPTIONS).join(30)
    sheet = desk.sheet
    reply = desk.write("stories", pipe, sheet.revision, sheet.text + "and", OPTIONS)
    assert reply.join(30)
    assert reply.message.done is not None
    assert reply.message.done.usage.prompt_tokens == 3
    reply = desk.write("stories", pipe, desk.sheet.revision, "Once", OPTIONS)
    assert reply.join(30)
    assert reply.message.done is not None
    assert reply.message.done.usage.prompt_tokens == 0


def test_a_killed_server_loses_half_a_second(desk: Desk, pipe: Any, source: Any, until: Any) -> None:
    """While it is written, the database follows; nobody else changes the text meanwhile."""
    source.delay = 0.02
    reply = desk.write("stories", pipe, 0, "Once", {**OPTIONS, "max_tokens": 10_000})
    until(lambda: len(Notebooks(source.database()).read("ada").text) > 40, "half a line in the database")
    assert desk.busy
    with pytest.raises(PageError, match="still writing"):
        desk.save(desk.sheet.revision, "other")
    desk.cancel()
    assert reply.join(30)
    assert desk.sheet.text == "Once" + reply.message.content
    assert reply.message.done is not None
    assert reply.message.done.reason == "cancelled"


def test_what_cannot_be_gone_on_with_changes_nothing(desk: Desk, pipe: Any) -> None:
    """An unknown revision and a text outside the vocabulary leave the notebook as it is."""
    revision = desk.save(0, "mine")
    with pytest.raises(StaleError):
        desk.write("stories", pipe, 0, "late", OPTIONS)
    pipe.head.output_tokenizer.encode = _refuse
    with pytest.raises(TokenizerError):
        desk.write("stories", pipe, revision, "☠", OPTIONS)
    assert (desk.sheet.text, desk.sheet.revision, desk.busy) == ("mine", revision, False)
    assert desk.tokens("stories", "☠") is None


def _refuse(text: str) -> list[int]:
    raise TokenizerError("no")


def test_a_database_that_is_gone_at_the_end_is_said(desk: Desk, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passage is on the page, and the page says that it was not kept."""

    def full(*given: Any) -> int:
        raise StoreError("the disk is full")

    desk.write("stories", pipe, 0, "Once", {**OPTIONS, "max_tokens": 0}).join(30)
    monkeypatch.setattr(Notebooks, "save", full)
    reply = desk.write("stories", pipe, desk.sheet.revision, "Once", OPTIONS)
    assert reply.join(30)
    assert reply.error is None
    assert "disk is full" in str(desk.trouble)


def test_an_unloaded_checkpoint_is_let_go_of(source: Any, desk: Desk, pipe: Any) -> None:
    """Its states go with it; the text is read again by what is loaded next."""
    desks, loader = Desks(source.database), Loader(source)
    loader.leaving.append(desks.release)
    own = desks.of("ada")
    assert desks.of("ada") is own
    own.write("stories", loader.get("stories"), 0, "Once", OPTIONS).join(30)
    loader.unload("stories")
    assert own.tokens("stories", "Once") is None
    reply = own.write("stories", loader.get("stories"), own.sheet.revision, "Once", OPTIONS)
    assert reply.join(30)
    assert reply.message.done is not None
    assert reply.message.done.usage.prompt_tokens == 4


def test_visitors_are_separate(source: Any, pipe: Any) -> None:
    """Each has a text of their own, and none sees what another one writes."""
    desks = Desks(source.database)
    ada, grace = desks.of("ada"), desks.of("grace")
    ada.write("stories", pipe, 0, "Once", OPTIONS).join(30)
    assert grace.sheet.text == ""
    assert _whole(grace, "stories", ENGLISH)["text"] == ""
    assert json.dumps(_whole(ada, "stories", ENGLISH))


def test_half_characters_are_none() -> None:
    """What a browser sends is made into characters, and measured as browsers measure; too much is refused."""
    assert _sound("a\ud800b\U0001f600") == "a\ufffdb\U0001f600"
    assert _units("a\U0001f600") == 3
    with pytest.raises(PageError, match="4,000,001"):
        _sound("x" * 4_000_001)
