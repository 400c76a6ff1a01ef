"""Long conversations, several tabs and several browsers, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from seqdemo.library import Library

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

LONG = 100_000


def shows(page: Any, *messages: str) -> None:
    """Wait until the conversation ends like this, and nothing streams."""
    page.wait_for_function(
        """wanted => !document.body.classList.contains('sd-busy') && JSON.stringify(wanted) === JSON.stringify(
            [...document.querySelectorAll(".sd-bubble, .sd-body")].map(one => one.textContent).slice(-wanted.length)
        )""",
        arg=list(messages),
    )


def held(site: Any, page: Any, turns: int) -> None:
    """Show a conversation of so many turns, which the page's visitor is given."""
    name = page.context.cookies()[0]["value"].partition(".")[0]
    pipe = site.source.load("stories")
    session = Library(site.source.database(), f"cookie:{name}").begin(pipe)
    for turn in range(turns):
        for _ in session.stream(f"message {turn}", max_tokens=2, temperature=0.0):
            pass
    page.evaluate("id => sessionStorage.setItem('seqdemo.conversation', id)", session.id)
    page.evaluate("sessionStorage.removeItem('seqdemo.tab')")
    page.reload()
    shows(page, f"message {turns - 1}", " the sea")


def test_earlier_messages_come_when_they_are_asked_for(site: Any) -> None:
    """The last forty are on the page; more come above what one reads, which stays in its place and can be used."""
    site.source.delay = 0.0
    page = site.open()
    held(site, page, 45)
    bubbles = page.locator(".sd-bubble")
    assert page.locator(".sd-message").count() == 40
    assert bubbles.first.inner_text() == "message 25"
    page.evaluate("document.querySelector('.sd-log').scrollTop = 0")
    before = bubbles.first.bounding_box()["y"]
    page.get_by_role("button", name="Show earlier messages (50)").click()
    page.wait_for_function("document.querySelectorAll('.sd-message').length === 80")
    assert bubbles.nth(20).inner_text() == "message 25"
    assert bubbles.nth(20).bounding_box()["y"] == pytest.approx(before, abs=2)
    page.get_by_role("button", name="Show earlier messages (10)").click()
    page.wait_for_function("document.querySelectorAll('.sd-message').length === 90")
    assert page.get_by_role("button", name="Show earlier messages").count() == 0
    page.locator(".sd-body").nth(1).locator(".sd-token").nth(1).click()
    page.wait_for_function("document.querySelector('#sd-inspector h2').textContent.includes('sea')")
    site.say(page, "more", 2)
    shows(page, "message 44", " the sea", "more", " the sea")
    assert page.locator(".sd-message").count() == 40
    page.get_by_role("button", name="Fork").nth(-2).click()
    shows(page, "message 44", " the sea")
    assert site.errors == []


def test_another_tab_follows_a_reply(site: Any) -> None:
    """It is on both tabs while it streams, also on one opened meanwhile; either may stop it, and both go on."""
    site.source.delay = 0.2
    context = site.context()
    first = site.open(context)
    site.say(first, "one", 2)
    shows(first, "one", " the sea")
    with context.expect_page() as opened:
        first.evaluate("window.open(location.href)")
    second = opened.value
    shows(second, "one", " the sea")
    site.say(first, "two", LONG)
    second.wait_for_selector("body.sd-busy")
    site.grows(second)
    with context.expect_page() as opened:
        first.evaluate("window.open(location.href)")
    third = opened.value
    third.wait_for_selector("body.sd-busy")
    site.grows(third)
    third.close()
    site.grows(first)
    second.click("#sd-stop")
    for page in (first, second):
        page.wait_for_function("document.querySelectorAll('.sd-seed').length === 2")
    both = [page.locator(".sd-body").last.text_content() for page in (first, second)]
    assert both[0] == both[1]
    second.wait_for_function("!document.body.classList.contains('sd-busy')")
    site.say(second, "three", 2)
    shows(second, "three", " the sea")
    shows(first, "three", " the sea")
    site.say(first, "four", 2)
    shows(first, "three", " the sea", "four", " the sea")


def test_four_browsers_at_once(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is refreshed and one closed in mid-reply: each sees its own text only, and the closed one's work is freed."""
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 60.0)  # however long a reload takes here
    site.source.delay = 0.2
    pages = [site.open() for _ in range(4)]
    for number, page in enumerate(pages):
        site.say(page, f"visitor {number}", LONG)
    for page in pages:
        page.wait_for_selector(".sd-token", state="attached")
    pages[1].reload()
    pages[1].wait_for_selector("body.sd-busy .sd-token", state="attached")
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.5)
    pages[0].close()
    for page in pages[1:]:
        site.grows(page)
    for number, page in enumerate(pages[1:], 1):
        assert page.locator(".sd-bubble").all_inner_texts() == [f"visitor {number}"]
        page.click("#sd-stop")
        page.wait_for_selector(".sd-seed")
    site.rests()  # the closed one's reply has ended too
    assert site.errors == []
