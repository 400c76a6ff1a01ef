"""Versions of messages in a real browser: nothing that was said is lost by saying something else."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]


def set_option(page: Any, name: str, value: str) -> None:
    box = page.locator(f"#sd-option-{name} :is(input[type=number], input[data-testid=textbox])").first
    box.fill(value)
    box.press("Tab")


def say(page: Any, text: str, tokens: int) -> None:
    set_option(page, "max-tokens", str(tokens))
    page.fill("#sd-input textarea", text)
    page.press("#sd-input textarea", "Enter")


def reads(page: Any, *messages: str) -> None:
    """Wait until the conversation is this, and nothing streams."""
    page.wait_for_function(
        """wanted => !document.body.classList.contains('sd-busy') && JSON.stringify(wanted) === JSON.stringify(
            [...document.querySelectorAll('.sd-bubble, .sd-body')].map(one => one.textContent))""",
        arg=list(messages),
    )


def use(page: Any, name: str, which: int = -1) -> None:
    buttons = page.get_by_role("button", name=name)
    (buttons.last if which < 0 else buttons.nth(which)).click()


def count(page: Any) -> list[str]:
    return list(page.locator(".sd-count").all_inner_texts())


def test_regenerate_keeps_the_older_reply(site: Any) -> None:
    """Arrows and arrow keys go between versions, each with what followed it; it is so after a reload too."""
    page = site.open()
    say(page, "hi", 2)
    reads(page, "hi", " the sea")
    say(page, "more", 1)
    reads(page, "hi", " the sea", "more", " the")
    use(page, "Undo")
    reads(page, "hi", " the sea")
    site.holds(page, "more")
    page.fill("#sd-input textarea", "")
    set_option(page, "max-tokens", "3")
    use(page, "Regenerate")
    reads(page, "hi", " the sea was")
    assert count(page) == ["2/2"]
    assert page.get_by_role("button", name="Later version").is_disabled()
    use(page, "Earlier version")
    reads(page, "hi", " the sea", "more", " the")
    assert count(page) == ["1/2"]
    page.locator("#sd-input textarea").focus()
    page.keyboard.press("ArrowRight")
    reads(page, "hi", " the sea was")
    page.get_by_role("button", name="Earlier version").focus()
    page.keyboard.press("ArrowLeft")
    reads(page, "hi", " the sea", "more", " the")
    assert page.evaluate("!!document.activeElement.closest('.sd-versions, .sd-tools')")
    page.reload()
    reads(page, "hi", " the sea", "more", " the")
    assert count(page) == ["1/2"]
    assert site.errors == []


def test_edit_any_message(site: Any) -> None:
    """A message said otherwise gets a new reply, an edited reply is as it was written, and both are one arrow away."""
    page = site.open()
    say(page, "hi", 2)
    reads(page, "hi", " the sea")
    say(page, "more", 2)
    reads(page, "hi", " the sea", "more", " the sea")
    use(page, "Edit this message", 0)
    box = page.get_by_role("textbox", name="Edited message")
    assert box.input_value() == "hi"
    box.fill("<b>hello</b>")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("you")
    page.keyboard.press("Enter")
    reads(page, "<b>hello</b>\nyou", " the sea")
    assert count(page) == ["2/2"]
    use(page, "Edit this reply")
    page.get_by_role("textbox", name="Edited reply").fill("as I say")
    page.get_by_role("button", name="Save").click()
    reads(page, "<b>hello</b>\nyou", "as I say")
    assert "written by you" in page.locator(".sd-note").inner_text()
    assert count(page) == ["2/2", "2/2"]
    use(page, "Edit this reply")
    page.get_by_role("textbox", name="Edited reply").fill("never mind")
    page.keyboard.press("Escape")
    reads(page, "<b>hello</b>\nyou", "as I say")
    use(page, "Earlier version", 0)
    reads(page, "hi", " the sea", "more", " the sea")


def test_continue_and_start_the_reply_with(site: Any) -> None:
    """Going on lengthens the reply; given first words begin it, and every version of it."""
    page = site.open()
    page.get_by_role("textbox", name="Start the reply with").fill("Well,")
    say(page, "hi", 2)
    reads(page, "hi", "Well, the sea")
    use(page, "Continue")
    reads(page, "hi", "Well, the sea was calm")
    page.get_by_role("textbox", name="Start the reply with").fill("But")
    use(page, "Regenerate")
    reads(page, "hi", "But the sea")
    assert count(page) == ["2/2"]
    page.locator(".sd-token").first.click()
    page.wait_for_selector("#sd-inspector .sd-facts")


def test_fork_begins_another_conversation(site: Any) -> None:
    """It has everything up to the message; what is said in it leaves the first one alone."""
    page = site.open()
    say(page, "hi", 2)
    reads(page, "hi", " the sea")
    say(page, "more", 2)
    reads(page, "hi", " the sea", "more", " the sea")
    use(page, "Fork", 0)
    reads(page, "hi", " the sea")
    page.wait_for_selector(".sd-title[aria-current]:text-is('Fork of hi')")
    say(page, "else", 2)
    reads(page, "hi", " the sea", "else", " the sea")
    page.get_by_role("button", name="hi", exact=True).click()
    reads(page, "hi", " the sea", "more", " the sea")


def test_presets_dice_and_reset(site: Any) -> None:
    """A preset sets what goes together, the dice a seed, Reset what the checkpoint prefers."""
    page = site.open()

    def shows(name: str, value: str) -> None:
        page.wait_for_function(
            "([name, value]) => document.querySelector(`#sd-option-${name} input`).value === value", arg=[name, value]
        )

    shows("temperature", "0")
    page.get_by_role("button", name="Careful").click()
    shows("temperature", "0.5")
    shows("top-p", "0.9")
    page.get_by_role("button", name="New seed").click()
    page.wait_for_function("/^[0-9]+$/.test(document.querySelector('#sd-option-seed input').value)")
    page.get_by_role("button", name="Reset").click()
    shows("temperature", "0")
    shows("top-p", "1")
    shows("seed", "")
