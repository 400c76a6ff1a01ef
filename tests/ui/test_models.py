"""The Models tab says what there is, what is in memory and why it runs where it does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import seqdemo
from seqdemo.ui.inventory import entries
from seqdemo.ui.loader import Loader
from seqdemo.ui.models_view import models_view
from seqdemo.ui.settings import Settings
from seqdemo.ui.source import Sdk
from seqdemo.ui.words import CHINESE


class Text(HTMLParser):
    """The text of a view and its buttons."""

    def __init__(self, view: str) -> None:
        super().__init__()
        self.text = ""
        self.buttons: list[str] = []
        self.feed(view)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.text += " "
        if tag == "button" and "disabled" not in named:
            self.buttons.append(str(named["aria-label"]))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def mine(own_home: Path, make_pipeline: Callable[..., Any]) -> Path:
    """A checkpoint of the user's own."""
    return Path(make_pipeline().save(own_home / "checkpoints" / "mine", summary="<b>Small</b>"))


def test_what_is_installed_and_what_is_in_memory(mine: Path) -> None:
    """Sizes and numbers are those of the files; device, precision and memory are told of what is loaded."""
    loader = Loader(Sdk())
    pipe = loader.get("mine")
    found = {entry.name: entry for entry in entries(Sdk(), loader)}
    assert found["shakespeare"].parameters == 3_457_729
    assert (found["shakespeare"].origin, found["mine"].origin) == ("shipped", "own")
    memory = found["mine"].memory
    assert memory is not None
    assert memory.weights == 4 * pipe.parameters
    assert memory.why == pipe.stepper.description
    view = Text(models_view(list(found.values()), 123_456_789, admin=True))
    assert "1 model in memory; the whole process takes 123.5 MB." in view.text
    assert view.text.index("mine") < view.text.index("shakespeare")
    assert "<b>Small</b>" in view.text
    for shown in ("cpu: torch sees no CUDA device here", pipe.stepper.description, "3,457,729", str(mine)):
        assert shown in view.text, shown
    assert view.buttons[0] == "Unload mine"
    assert "Load shakespeare" in view.buttons
    (mine / "training").mkdir()
    (mine / "training" / "run.json").write_text("{}", "utf-8")
    assert {entry.name: entry.origin for entry in entries(Sdk(), loader)}["mine"] == "trained"


def test_a_guest_sees_no_folders_and_no_buttons(mine: Path) -> None:
    """Who may not change the server is told what there is, and nothing of its disk."""
    view = Text(models_view(entries(Sdk(), Loader(Sdk())), 1, admin=False))
    assert view.buttons == []
    assert str(mine.parent) not in view.text
    assert "mine" in view.text


def test_deleted_and_changed_while_in_use(mine: Path, make_pipeline: Callable[..., Any]) -> None:
    """A checkpoint whose folder has other weights by now, or is gone, says so as long as it is in memory."""
    loader = Loader(Sdk())
    assert loader.get("mine").generate("The", max_tokens=2).text
    make_pipeline(seed=5).save(mine)
    assert "Its folder has other weights by now." in Text(models_view(entries(Sdk(), loader), 1, True)).text
    shutil.rmtree(mine)
    found = entries(Sdk(), loader)
    assert (found[0].name, found[0].origin) == ("mine", "deleted")
    assert "Its folder is gone." in Text(models_view(found, 1, True)).text
    assert "已从磁盘删除" in Text(models_view(found, 1, True, words=CHINESE)).text
    assert loader.get("mine").generate("The", max_tokens=2).text
    assert loader.unload("mine")
    assert "mine" not in {entry.name for entry in entries(Sdk(), loader)}


def test_a_broken_one_says_why(own_home: Path) -> None:
    """A checkpoint that cannot be read is listed with the reason, and offers no button."""
    (own_home / "checkpoints" / "broken").mkdir(parents=True)
    (own_home / "checkpoints" / "broken" / "seqdemo.json").write_text("{", "utf-8")
    view = Text(models_view(entries(Sdk(), Loader(Sdk())), 1, admin=True))
    assert "cannot be read" in view.text
    assert "Load broken" not in view.buttons


def test_one_in_use_cannot_be_unloaded_from_the_page(mine: Path) -> None:
    """Its button is off, and the page says that it is in use."""
    loader = Loader(Sdk())
    with loader.using("mine"):
        view = Text(models_view(entries(Sdk(), loader), 1, admin=True))
        assert "in use" in view.text
        assert "Unload mine" not in view.buttons


def test_settings_stay(own_home: Path) -> None:
    """What was set is there again; a damaged file is as none."""
    assert Settings.read(own_home).unload_after == 15
    Settings(unload_after=60).write(own_home)
    assert Settings.read(own_home).unload_after == 60
    (own_home / "page.json").write_text('{"unload_after": -1}', "utf-8")
    assert Settings.read(own_home).unload_after == 15


def test_everything_installed_is_listed(mine: Path) -> None:
    """Every checkpoint that loads by name is in the tab, whatever its task."""
    listed = {entry.name for entry in entries(Sdk(), Loader(Sdk()))}
    assert listed == {record.name for record in seqdemo.available("checkpoints")}
    assert "mine" in listed
