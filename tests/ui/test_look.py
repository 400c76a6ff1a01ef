"""Looking into replies and back into a conversation, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]


def limit(page: Any, tokens: int) -> None:
    box = page.locator("#sd-option-max-tokens input[type=number]").first
    box.fill(str(tokens))
    box.press("Tab")


def say(page: Any, text: str, tokens: int) -> None:
    limit(page, tokens)
    page.fill("#sd-input textarea", text)
    page.press("#sd-input textarea", "Enter")


def reads(page: Any, *messages: str) -> None:
    """Wait until the conversation is this, and nothing streams."""
    page.wait_for_function(
        """wanted => !document.body.classList.contains('sd-busy') && JSON.stringify(wanted) === JSON.stringify(
            [...document.querySelectorAll('.sd-log :is(.sd-bubble, .sd-body)')].map(one => one.textContent))""",
        arg=list(messages),
    )


def shade(page: Any, token: int) -> str:
    found = page.locator(".sd-token").nth(token).evaluate("one => getComputedStyle(one).backgroundColor")
    return str(found)


def test_a_reply_goes_on_from_another_token(site: Any) -> None:
    """Colours by either scale, with a legend; by keyboard to a token's alternatives, and on with one of them."""
    page = site.open()
    say(page, "hi", 4)
    reads(page, "hi", " the sea was calm")
    plain = shade(page, 1)
    page.locator(".sd-colours label", has_text="Surprise").click()
    page.wait_for_selector(".sd-shades:not([hidden])")
    assert page.locator(".sd-shade").count() == 6
    assert (
        shade(page, 1) == page.locator(".sd-shade-1").evaluate("one => getComputedStyle(one).backgroundColor") != plain
    )
    page.reload()
    reads(page, "hi", " the sea was calm")
    page.wait_for_selector(".sd-shades:not([hidden])")
    assert shade(page, 1) != plain
    limit(page, 4)
    page.get_by_role("radio", name="Surprise").press("ArrowLeft")
    page.wait_for_selector("body.sd-by-chance")
    assert shade(page, 1) == page.locator(".sd-shade-2").evaluate("one => getComputedStyle(one).backgroundColor")
    page.locator(".sd-body").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.classList.contains('sd-on')")
    button = page.get_by_role("button", name="Go on from here with ␣moon")
    button.press("Enter")
    reads(page, "hi", " the sea was moon,\n the sea was")
    assert page.locator(".sd-count").inner_text() == "2/2"
    page.get_by_role("button", name="Earlier version").click()
    reads(page, "hi", " the sea was calm")
    page.wait_for_selector("#sd-inspector .sd-idle")
    page.locator(".sd-token").nth(1).click()
    site.says(page, "#sd-inspector h2", "sea")
    page.get_by_role("button", name="Stand here").click()
    reads(page, "hi", " the sea")
    assert "the rest of it is in the map" in page.locator(".sd-note").inner_text()
    page.get_by_role("button", name="Edit this reply").click()
    page.get_by_role("textbox", name="Edited reply").fill("ah")
    page.get_by_role("button", name="Save").click()
    reads(page, "hi", "ah")
    page.wait_for_selector("#sd-inspector .sd-idle")
    page.locator(".sd-token").first.click()
    page.get_by_role("button", name="Go on from here with <b>").click()
    reads(page, "hi", "<b> sea was calm,\n")
    assert site.errors == []


def test_the_map_leads_anywhere(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By keyboard to any message and back; two compared; a state that was let go is read again, and that is shown."""
    site.source.scripts["stories"] = site.source.nasty
    page = site.open()
    say(page, "hi", 2)
    script = "".join(site.source.nasty[:2])
    reads(page, "hi", script)
    say(page, "more", 2)
    reads(page, "hi", script, "more", script)
    page.get_by_role("button", name="Undo").click()
    reads(page, "hi", script)
    say(page, "<i>else</i>", 1)
    reads(page, "hi", script, "<i>else</i>", site.source.nasty[0])
    page.get_by_role("button", name="Map", exact=True).click()
    page.wait_for_selector(".sd-node")
    assert page.locator(".sd-node").count() == 7
    assert page.locator(".sd-node[aria-current] .sd-node-note").inner_text() == "you are here"
    page.locator(".sd-node[aria-current]").focus()
    page.keyboard.press("c")
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert "more" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    page.wait_for_selector(".sd-beside[open]")
    assert page.locator(".sd-branch-text.sd-bubble").all_text_contents() == ["You wrote:<i>else</i>", "You wrote:more"]
    facts = page.locator(".sd-branch").last.locator(".sd-facts").inner_text().split("\n")
    assert facts[facts.index("perplexity") + 1] == "2.00"
    assert facts[facts.index("log-probability") + 1] == "−1.39"
    page.keyboard.press("Escape")
    with monkeypatch.context() as patch:
        patch.setattr("seqdemo.decoding.cache.SnapshotCache.__contains__", lambda cache, point: False)
        site.source.delay = 0.4
        page.locator(".sd-node[aria-current]").focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('#sd-notice').textContent.includes('reading it again')")
        reads(page, "hi", script, "<i>else</i>")
    page.wait_for_function("document.activeElement.ariaCurrent === 'true'")
    page.keyboard.press("Escape")
    assert not page.locator(".sd-map").is_visible()
    assert page.evaluate("window.hacked") is None
    assert page.locator("#sd-travel :is(b, i, script, img)").count() == 0
    assert site.errors == []
