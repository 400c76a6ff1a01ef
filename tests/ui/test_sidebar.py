"""The list of conversations in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]


def told(page: Any, *messages: str) -> None:
    """Begin a conversation with each message."""
    for number, message in enumerate(messages):
        if number:
            fresh(page)
        box = page.locator("#sd-option-max-tokens input[type=number]").first
        box.fill("4")
        box.press("Tab")
        page.fill("#sd-input textarea", message)
        page.press("#sd-input textarea", "Enter")
        page.wait_for_selector(".sd-seed")
        page.wait_for_selector(f".sd-kept .sd-title[aria-current]:text-is('{message}')")


def fresh(page: Any) -> None:
    page.get_by_role("button", name="New chat").click()
    page.wait_for_selector(".sd-intro")


def titles(page: Any) -> list[str]:
    return list(page.locator(".sd-title").all_inner_texts())


def act(page: Any, title: str, action: str) -> None:
    page.get_by_role("button", name=f"Actions for {title}").click()
    page.get_by_role("button", name=f"{action} {title}", exact=False).first.click()


def listed(page: Any, *wanted: str) -> None:
    page.wait_for_function(
        "wanted => JSON.stringify([...document.querySelectorAll('.sd-title')].map(one => one.textContent)) === wanted",
        arg=json.dumps(list(wanted), ensure_ascii=False, separators=(",", ":")),
    )


def test_new_open_and_search(site: Any) -> None:
    """Each conversation is listed by its first words, opens where it stood, and is found by what was said in it."""
    page = site.open()
    assert page.locator(".sd-none").inner_text() == "Conversations are kept here."
    told(page, "the old fox", "a house <b>by</b> the sea")
    listed(page, "a house <b>by</b> the sea", "the old fox")
    page.get_by_role("button", name="the old fox", exact=True).click()
    page.wait_for_function("document.querySelector('.sd-bubble')?.textContent === 'the old fox'")
    page.wait_for_function("document.querySelectorAll('.sd-token').length === 4")
    page.wait_for_selector(".sd-title[aria-current]:text-is('the old fox')")
    page.get_by_role("searchbox", name="Search conversations").fill("house calm")
    listed(page, "a house <b>by</b> the sea")
    page.wait_for_function("/calm|house/.test(document.querySelector('.sd-found')?.innerText)")
    page.get_by_role("searchbox", name="Search conversations").fill("zebra")
    page.wait_for_selector(".sd-none")
    assert page.locator(".sd-none").inner_text() == "Nothing found."
    assert site.errors == []


def test_rename_and_pin(site: Any) -> None:
    """A new title stays, also after a reload; Esc leaves the old one. A pinned one is on top."""
    page = site.open()
    told(page, "one", "two")
    act(page, "one", "Rename")
    with page.expect_response(lambda response: "component_server" in response.url):
        page.evaluate("document.dispatchEvent(new CustomEvent('seqdemo:changed'))")
    page.get_by_role("textbox", name="New title of one").fill("first of all")
    page.keyboard.press("Enter")
    listed(page, "two", "first of all")
    act(page, "two", "Rename")
    page.keyboard.type("nothing")
    page.keyboard.press("Escape")
    listed(page, "two", "first of all")
    act(page, "first of all", "Pin")
    listed(page, "first of all", "two")
    assert page.locator(".sd-group").all_inner_texts() == ["Pinned", "Today"]
    page.reload()
    page.wait_for_selector(".sd-user")
    listed(page, "first of all", "two")
    act(page, "first of all", "Unpin")
    listed(page, "two", "first of all")


def test_delete_undo_and_delete_for_good(site: Any) -> None:
    """Deleting hides and can be undone, at once or later; deleted for good it is gone from the files too."""
    page = site.open()
    told(page, "keep", "zebracrossing")
    act(page, "zebracrossing", "Delete")
    listed(page, "keep")
    page.wait_for_selector(".sd-intro")
    page.get_by_role("button", name="Undo deleting zebracrossing").click()
    page.wait_for_selector(".sd-user")
    listed(page, "zebracrossing", "keep")
    act(page, "zebracrossing", "Delete")
    listed(page, "keep")
    deleted = page.get_by_role("button", name="Deleted", exact=True)
    deleted.click()
    listed(page, "zebracrossing")
    act(page, "zebracrossing", "Restore")
    listed(page)
    deleted.click()
    listed(page, "zebracrossing", "keep")
    act(page, "zebracrossing", "Delete")
    listed(page, "keep")
    deleted.click()
    listed(page, "zebracrossing")
    page.get_by_role("button", name="Actions for zebracrossing").click()
    page.get_by_role("button", name="Delete zebracrossing for good").click()
    listed(page)
    held = b"".join(path.read_bytes() for path in site.source.folder.rglob("*") if path.is_file())
    assert b"zebracrossing" not in held
    assert b"keep" in held


def test_a_conversation_brings_its_model(site: Any) -> None:
    """Opening one chooses the checkpoint it was held with, which goes on with it."""
    page = site.open()
    told(page, "hi")
    page.click("#sd-model input")
    page.get_by_role("option", name="诗词").click()
    page.wait_for_selector(".sd-example:text-is('床前明月光')")
    page.get_by_role("button", name="hi", exact=True).click()
    page.wait_for_function("document.querySelector('#sd-model input').value === 'stories'")
    page.fill("#sd-input textarea", "more")
    page.click("#sd-send")
    page.wait_for_function("document.querySelectorAll('.sd-seed').length === 2")
    assert page.locator(".sd-body").nth(1).inner_text().startswith(" the sea")


def test_export_and_import(site: Any, tmp_path: Path) -> None:
    """A conversation leaves as a file and comes back from it, to another visitor too; a cut off one is refused."""
    page = site.open()
    told(page, "hi <there>/../you")
    page.get_by_role("button", name="Actions for hi <there>/../you").click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Export hi <there>/../you as a file").click()
    assert started.value.suggested_filename == "hi there you.safetensors"
    started.value.save_as(tmp_path / "whole")
    other = site.open()
    other.set_input_files(".sd-file", tmp_path / "whole")
    other.wait_for_selector(".sd-user")
    assert other.locator(".sd-bubble").inner_text() == "hi <there>/../you"
    assert other.locator(".sd-token").count() == 4
    listed(other, "hi <there>/../you")
    (tmp_path / "half").write_bytes((tmp_path / "whole").read_bytes()[:-100])
    other.set_input_files(".sd-file", tmp_path / "half")
    other.wait_for_function("document.querySelector('.sd-toast').textContent.startsWith('This file is not')")
    listed(other, "hi <there>/../you")
    assert site.errors == []


def test_a_drawer_where_there_is_no_room(site: Any) -> None:
    """On a phone the list is away until asked for, Esc and a choice close it, and nothing scrolls sideways."""
    page = site.open(viewport={"width": 390, "height": 844})
    opener = page.get_by_role("button", name="Conversations")
    shelf = page.get_by_role("navigation", name="Conversations")
    assert not shelf.is_visible()
    page.fill("#sd-input textarea", "hi")
    page.click("#sd-send")
    page.wait_for_selector(".sd-seed")
    opener.click()
    shelf.wait_for(state="visible")
    assert opener.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    shelf.wait_for(state="hidden")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="New chat").click()
    page.wait_for_selector(".sd-intro")
    opener.click()
    page.get_by_role("button", name="hi", exact=True).click()
    shelf.wait_for(state="hidden")
    page.wait_for_selector(".sd-user")
