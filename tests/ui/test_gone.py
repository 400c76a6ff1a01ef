"""A checkpoint whose folder is deleted while it is in use, on the real page: a clear line, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqdemo

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]


class Folder:
    """A checkpoint's folder, which can be taken away and put back."""

    def __init__(self, path: Path) -> None:
        self.path, self._elsewhere = path, path.parents[1] / "away"

    def delete(self) -> None:
        shutil.move(self.path, self._elsewhere)

    def put_back(self) -> None:
        shutil.move(self._elsewhere, self.path)


@pytest.fixture
def mine(site: Any, own_home: Path, make_pipeline: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Two checkpoints on disk, found and read as they are by everyone; only what they say is scripted."""
    for name in ("mine", "other"):
        make_pipeline().save(own_home / "checkpoints" / name, summary=f"This is {name}.")
    scripted = site.source.load

    def listed() -> list[Any]:
        return [record for record in seqdemo.available("checkpoints") if record.source == "user"]

    def load(name: str) -> Any:
        seqdemo.load(name, device="cpu")
        return scripted(name)

    for name, does in (("checkpoints", listed), ("installed", listed), ("load", load)):
        monkeypatch.setattr(site.source, name, does)
    return Folder(own_home / "checkpoints" / "mine")


def said(page: Any, *messages: str) -> None:
    """Wait until these were said, each has its reply, and nothing streams."""
    page.wait_for_function(
        """wanted => !document.body.classList.contains("sd-busy")
            && document.querySelectorAll(".sd-seed").length === wanted.length
            && JSON.stringify([...document.querySelectorAll(".sd-bubble")].map(one => one.textContent))
                === JSON.stringify(wanted)""",
        arg=list(messages),
    )


def notice(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('#sd-notice')?.textContent.includes(text)", arg=text)


def unload(page: Any, deleted: bool) -> None:
    page.get_by_role("tab", name="Models").click()
    page.wait_for_selector("#sd-models .sd-checkpoint")
    assert ("Its folder is gone." in page.locator("#sd-models").inner_text()) is deleted
    page.get_by_role("button", name="Unload mine").click()
    page.wait_for_function("!document.querySelector('#sd-models [data-name=mine] [data-do=unload]')")
    page.get_by_role("tab", name="Chat").click()


def test_a_checkpoint_deleted_while_in_use(site: Any, mine: Folder) -> None:
    """A reply under way and those after it go on from memory. Once it is unloaded, a line says what to do and the
    message stays in its box; with the folder back it is sent, without it the conversation can be read, and another
    model talked to."""
    page = site.open()
    site.say(page, "one", 4)
    said(page, "one")
    site.source.delay = 0.2
    site.say(page, "two", 100_000)
    page.wait_for_function("document.querySelectorAll('.sd-body')[1]?.textContent")
    mine.delete()
    site.grows(page)
    page.keyboard.press("Escape")
    said(page, "one", "two")
    site.source.delay = 0.01
    site.say(page, "three", 4)
    said(page, "one", "two", "three")

    unload(page, deleted=True)
    site.say(page, "four", 4)
    notice(page, "mine is not on disk any more. Put its folder back and try again, or choose another model;")
    assert page.locator("#sd-input textarea").input_value() == "four"
    page.wait_for_function("document.querySelectorAll('.sd-bubble').length === 3")
    mine.put_back()
    page.press("#sd-input textarea", "Enter")
    said(page, "one", "two", "three", "four")
    shown = page.locator(".sd-body").all_text_contents()

    mine.delete()
    unload(page, deleted=True)
    page.reload()
    notice(page, "can only be read here: its model mine is not on disk any more.")
    assert page.locator(".sd-body").all_text_contents() == shown
    page.get_by_role("button", name="New chat").click()
    page.wait_for_selector(".sd-intro")
    assert page.locator("#sd-model input").input_value() == "other"
    site.say(page, "hello", 4)
    said(page, "hello")

    mine.put_back()
    page.locator("#sd-sidebar").get_by_text("one", exact=True).click()
    said(page, "one", "two", "three", "four")
    page.wait_for_function("document.querySelector('#sd-model input').value === 'mine'")
    site.say(page, "five", 4)
    said(page, "one", "two", "three", "four", "five")
    assert page.locator(".sd-body").all_text_contents()[:4] == shown
    assert site.errors == []
