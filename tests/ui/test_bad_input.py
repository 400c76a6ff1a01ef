"""What bad input gets on the real page: it stays what it is, a problem is one clear line, and nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from seqdemo.store import Database

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]


def tell(page: Any, text: str) -> None:
    page.fill("#sd-input textarea", text)
    page.press("#sd-input textarea", "Enter")


def notice(page: Any, text: str) -> None:
    """Wait for a line with a text in it."""
    page.wait_for_function("text => document.querySelector('#sd-notice').textContent.includes(text)", arg=text)


def replies(page: Any, count: int) -> None:
    page.wait_for_function("n => document.querySelectorAll('.sd-seed').length === n", arg=count)


def set_tokens(page: Any, number: int) -> None:
    box = page.locator("#sd-option-max-tokens input[type=number]")
    box.fill(str(number))
    box.press("Tab")


@pytest.fixture
def database(site: Any) -> Database:
    """The page's own, giving up soon when another program writes."""
    found: Database = site.source.database()
    with found.read() as run:
        run.execute("PRAGMA busy_timeout = 200")
    return found


def room(database: Database, more: int) -> None:
    """How many pages the database's file may grow by."""
    with database.read() as run:
        (pages,) = run.execute("PRAGMA page_count").fetchone()
        run.execute(f"PRAGMA max_page_count = {pages + more}")


def test_strange_texts_stay_what_they_are(site: Any) -> None:
    """Escape codes, other directions, joined emoji and markup come back letter by letter, from users and models."""
    strange = site.source.strange
    site.source.scripts["stories"] = strange
    page = site.open()
    set_tokens(page, len(strange))
    said = "\n".join(strange)
    tell(page, said)
    replies(page, 1)
    assert page.locator(".sd-bubble").text_content() == said
    assert page.locator(".sd-body").text_content() == "".join(strange)
    page.get_by_role("button", name="Undo: take back the last message and its reply").click()
    page.wait_for_selector(".sd-intro")
    site.holds(page, said)
    assert site.errors == []


def test_a_paste_of_a_megabyte_can_be_stopped_and_stays(site: Any) -> None:
    """Reading it shows progress and can be stopped; its beginning stays on the page, Edit and Undo give it all back."""
    page = site.open()
    tell(page, "0123456789" * 100_000)
    page.wait_for_function("/of 1,000,000 tokens/.test(document.querySelector('#sd-status').textContent)")
    page.click("#sd-stop")
    page.wait_for_selector("#sd-send")
    read = page.locator("#sd-status").inner_text()
    assert "1,000,000 tokens" in read
    page.reload()
    page.wait_for_selector(".sd-user")
    assert page.locator(".sd-bubble").inner_text().startswith("0123456789")
    assert "980,000 more characters" in page.locator(".sd-bubble").inner_text()
    page.get_by_role("button", name="Edit this message").click()
    page.wait_for_function("document.querySelector('.sd-edit')?.value.length === 1000000")
    page.get_by_role("button", name="Cancel").click()
    assert "980,000 more characters" in page.locator(".sd-bubble").inner_text()
    page.get_by_role("button", name="Undo: take back").click()
    page.wait_for_function("document.querySelector('#sd-input textarea').value.length === 1000000")
    assert site.errors == []


def test_a_database_in_use_and_a_full_disk(site: Any, database: Database) -> None:
    """A message is refused with the reason and stays in its box; a reply that could not be kept is kept later."""
    page = site.open()
    set_tokens(page, 300)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        tell(page, "first")
        notice(page, "another program is writing")
        assert page.locator("#sd-input textarea").input_value() == "first"
        other.execute("ROLLBACK")
    page.press("#sd-input textarea", "Enter")
    replies(page, 1)
    site.source.delay = 0.02
    tell(page, "second")
    page.wait_for_function("document.querySelectorAll('.sd-body')[1]?.textContent")
    room(database, 0)
    notice(page, "disk is full")
    page.wait_for_selector("body:not(.sd-busy)")
    shown = page.locator(".sd-body").nth(1).text_content()
    assert page.locator(".sd-body").nth(1).locator(".sd-token").count() == 300
    page.press("#sd-input textarea", "Enter")
    notice(page, "empty")  # so that what is said of the next one can be told from what was said of the last
    tell(page, "third")
    notice(page, "disk is full")
    assert page.locator("#sd-input textarea").input_value() == "third"
    room(database, 1_000_000)
    site.source.delay = 0.0
    page.press("#sd-input textarea", "Enter")
    replies(page, 3)
    page.reload()
    replies(page, 3)
    assert page.locator(".sd-body").nth(1).text_content() == shown
    assert site.errors == []
