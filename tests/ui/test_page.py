"""The real page in a real browser, over a stand-in for the SDK."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

LONG = 100_000


def say(page: Any, text: str) -> None:
    page.fill("#sd-input textarea", text)
    page.press("#sd-input textarea", "Enter")


def finished(page: Any, replies: int = 1) -> None:
    page.wait_for_function("n => document.querySelectorAll('.sd-seed').length === n", arg=replies)


def set_option(page: Any, name: str, value: str) -> None:
    box = page.locator(f"#sd-option-{name} :is(input[type=number], input[data-testid=textbox], textarea)").first
    box.fill(value)
    box.press("Tab")


def test_it_talks_and_nothing_leaves_this_machine(site: Any) -> None:
    """A message is answered token by token, its seed is shown, and every request goes to 127.0.0.1."""
    page = site.open()
    set_option(page, "max-tokens", "12")
    say(page, "Once upon a time")
    finished(page)
    assert page.locator(".sd-user .sd-bubble").inner_text() == "Once upon a time"
    assert page.locator(".sd-token").count() == 12
    assert page.locator(".sd-body").inner_text().startswith(" the sea was calm,")
    note = page.locator(".sd-note").inner_text()
    assert "12 tokens" in note
    assert "seed " in note
    site.says(page, "#sd-status", "28 tokens", "12 tokens", "tokens/s", "16.4 kB, constant", "cpu, fp32")
    page.get_by_role("tab", name="Plugins").click()
    page.wait_for_selector(".sd-plugins")
    outside = [url for url in site.requests if not url.startswith((site.url, "data:", "blob:"))]
    assert outside == []
    assert site.errors == []


def test_a_reply_streams(site: Any) -> None:
    """Tokens are on the page long before the last one is made, and Send gives way to Stop meanwhile."""
    site.source.delay = 0.1
    page = site.open()
    set_option(page, "max-tokens", str(LONG))
    say(page, "hi")
    page.wait_for_selector(".sd-token")
    first = page.locator(".sd-token").count()
    site.until(lambda: page.locator(".sd-token").count() > first, "more text")
    assert page.locator("#sd-stop").is_visible()
    assert not page.locator("#sd-send").is_visible()
    page.click("#sd-stop")
    finished(page)
    page.wait_for_selector("#sd-send")


@pytest.mark.parametrize("how", ["button", "escape", "close", "other model"])
def test_stop_really_stops(site: Any, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Stop button, Esc, a closed tab and another model each end the work itself."""
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.5)
    site.source.delay = 0.1
    page = site.open()
    set_option(page, "max-tokens", str(LONG))
    say(page, "hi")
    page.wait_for_selector(".sd-token")
    if how == "button":
        page.click("#sd-stop")
    elif how == "escape":
        page.keyboard.press("Escape")
    elif how == "close":
        page.close()
    else:
        page.click("#sd-model input")
        page.get_by_role("option", name="诗词").click()
    site.rests()
    assert site.source.generated < LONG / 10
    if how in ("button", "escape"):
        finished(page)
        assert "stopped by you" in page.locator(".sd-note").inner_text()
        site.until(lambda: page.locator(".sd-token").count() == site.source.generated, "the last token")


def test_a_reload_finds_its_reply_still_growing(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens made before, during and after the reload are all there, once each; Stop still stops."""
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 60.0)  # however long a reload takes here
    site.source.delay = 0.1
    page = site.open()
    set_option(page, "max-tokens", str(LONG))
    say(page, "hi")
    page.wait_for_selector(".sd-token")
    before = page.locator(".sd-token").count()
    page.reload()
    page.wait_for_selector(".sd-token")
    page.wait_for_function("n => document.querySelectorAll('.sd-token').length > n + 10", arg=before)
    page.click("#sd-stop")
    finished(page)
    site.until(lambda: page.locator(".sd-token").count() == site.source.generated, "the last token")


def test_regenerate_undo_and_new_chat(site: Any) -> None:
    """Regenerate shows another version, Undo gives the message back, New chat begins again."""
    page = site.open()
    set_option(page, "max-tokens", "5")
    say(page, "first")
    finished(page)
    before = page.locator(".sd-seed").inner_text()
    page.get_by_role("button", name="Regenerate").click()
    page.wait_for_function("old => (document.querySelector('.sd-seed')?.textContent ?? old) !== old", arg=before)
    assert page.locator(".sd-model").count() == 1
    say(page, "second")
    finished(page, 2)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("document.querySelectorAll('.sd-model').length === 1")
    site.holds(page, "second")
    page.get_by_role("button", name="New chat").click()
    page.wait_for_selector(".sd-intro")
    assert page.locator(".sd-message").count() == 0


def test_a_token_shows_its_alternatives(site: Any) -> None:
    """A click or the arrow keys choose a token; the panel has its alternatives with both probabilities."""
    page = site.open()
    set_option(page, "max-tokens", "6")
    say(page, "hi")
    finished(page)
    page.locator(".sd-token").nth(1).click()
    page.wait_for_selector("#sd-inspector tbody tr.sd-chosen")
    row = page.locator("#sd-inspector tr.sd-chosen").inner_text()
    assert "␣sea" in row
    assert "50.0 %" in row
    assert "100.0 %" in row
    assert page.locator("#sd-inspector tbody tr").count() == 5
    assert "<b>" in page.locator("#sd-inspector tbody").inner_text()
    page.get_by_role("button", name="Next token").click()
    page.wait_for_function("document.querySelector('#sd-inspector h2').textContent.includes('was')")
    page.locator(".sd-body").focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('#sd-inspector h2').textContent.includes('the')")
    page.get_by_role("button", name="Close").click()
    page.wait_for_selector("#sd-inspector .sd-idle")


def test_markup_of_models_and_users_is_text(site: Any) -> None:
    """Scripts, images, Markdown, LaTeX and templates in a message, a reply, an example or an error stay text."""
    nasty = site.source.nasty
    site.source.scripts["stories"] = nasty
    site.source.records[0].examples = (nasty[1],)
    site.source.records[0].summary = nasty[0]
    page = site.open()
    assert page.locator(".sd-example").inner_text() == nasty[1]
    assert nasty[0] in page.locator(".sd-intro").inner_text()
    set_option(page, "max-tokens", str(len(nasty)))
    say(page, "\n".join(nasty))
    finished(page)
    assert page.locator(".sd-bubble").text_content() == "\n".join(nasty)
    assert page.locator(".sd-body").text_content() == "".join(nasty)
    for number, text in enumerate(nasty):
        page.locator(".sd-token").nth(number).click()
        site.says(page, "#sd-inspector h2", text.split(" ")[0])
    say(page, "☠")
    page.wait_for_selector("#sd-notice .sd-error")
    assert "<i>is not</i>" in page.locator("#sd-notice").inner_text()
    assert page.locator("#sd-input textarea").input_value() == "☠"
    assert page.evaluate("window.hacked") is None
    assert page.locator("#sd-conversation img, #sd-inspector img, #sd-conversation b").count() == 0
    assert site.errors == []


def test_enter_sends_and_shift_enter_is_a_new_line(site: Any) -> None:
    """Shift+Enter makes a new line; Enter sends both lines and empties the box."""
    page = site.open()
    set_option(page, "max-tokens", "3")
    page.locator("#sd-input textarea").press_sequentially("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert page.locator(".sd-message").count() == 0
    page.keyboard.press("Enter")
    finished(page)
    assert page.locator(".sd-bubble").inner_text() == "one\ntwo"
    assert page.locator("#sd-input textarea").input_value() == ""


def test_a_new_tab_begins_anew_and_a_reload_keeps(site: Any) -> None:
    """A second tab begins with nothing, a reload finds its conversation again, tokens included."""
    context = site.context()
    first = site.open(context)
    set_option(first, "max-tokens", "4")
    say(first, "mine")
    finished(first)
    other = site.open(context)
    assert other.locator(".sd-message").count() == 0
    first.reload()
    first.wait_for_selector(".sd-user")
    assert first.locator(".sd-bubble").inner_text() == "mine"
    assert first.locator(".sd-token").count() == 4
    set_option(first, "max-tokens", "4")
    say(first, "more")
    finished(first, 2)
    first.locator(".sd-token").nth(5).click()
    first.wait_for_selector("#sd-inspector table")


def test_another_model_begins_another_conversation(site: Any) -> None:
    """Choosing another model shows that one's beginning. Examples fill the box."""
    page = site.open()
    set_option(page, "max-tokens", "4")
    say(page, "hi")
    finished(page)
    page.click("#sd-model input")
    page.get_by_role("option", name="诗词").click()
    page.wait_for_selector(".sd-intro")
    page.locator(".sd-example").click()
    page.wait_for_function("document.querySelector('#sd-input textarea').value === '床前明月光'")
    set_option(page, "max-tokens", "8")
    page.click("#sd-send")
    finished(page)
    assert page.locator(".sd-body").inner_text() == "床前明月光，疑是"


def test_wrong_options_and_seeds(site: Any) -> None:
    """A wrong option is one calm line; a reply's seed can be put back and is kept to the last digit."""
    page = site.open()
    set_option(page, "max-tokens", "3")
    set_option(page, "seed", "12a")
    say(page, "hi")
    page.wait_for_selector("#sd-notice .sd-error")
    assert "seed = '12a' is not a whole number." in page.locator("#sd-notice").inner_text()
    set_option(page, "seed", "")
    page.click("#sd-send")
    finished(page)
    page.wait_for_function("!document.querySelector('#sd-notice .sd-error')")
    seed = page.locator(".sd-seed").inner_text().removeprefix("seed ")
    page.locator(".sd-seed").click()
    page.wait_for_function("s => document.querySelector('#sd-option-seed input').value === s", arg=seed)


def test_nothing_found_says_how_to_train(site: Any) -> None:
    """Without checkpoints the page says so, with the command; a damaged one is named with its reason."""
    for record in site.source.records:
        record.problem = "seqdemo.json cannot be read"
    context = site.context()
    page = context.new_page()
    page.goto(site.url)
    page.wait_for_selector(".sd-command")
    shown = page.locator(".sd-intro").inner_text()
    assert "seqdemo train generation" in shown
    assert "checkpoints/my-model" in shown
    assert "stories: seqdemo.json cannot be read" in shown


def test_a_model_that_does_not_load_is_one_line(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that cannot be loaded is said in a line, and the next one can be chosen."""
    from seqdemo.errors import CheckpointError

    load = site.source.load

    def broken(name: str) -> Any:
        if name == "broken":
            raise CheckpointError("broken is truncated. Copy it again.")
        return load(name)

    monkeypatch.setattr(site.source, "load", broken)
    site.source.records = [type(site.source.records[0])("broken"), site.source.records[0]]
    page = site.context().new_page()
    page.goto(site.url)
    page.wait_for_selector("#sd-notice .sd-error")
    assert "broken is truncated" in page.locator("#sd-notice").inner_text()
    page.click("#sd-model input")
    page.get_by_role("option", name="stories").click()
    page.wait_for_selector("#sd-status dd")


def test_plugins_can_be_scanned_again(site: Any) -> None:
    """The Plugins tab lists what failed; its button scans again."""
    page = site.open()
    page.get_by_role("tab", name="Plugins").click()
    page.wait_for_selector(".sd-health.sd-failed")
    assert "No module named 'nowhere'" in page.locator("#sd-plugins").inner_text()
    page.click("#sd-rescan")
    site.until(lambda: site.source.scans == 1, "a second scan")


def test_controls_have_names(site: Any) -> None:
    """Everything that can be used has an accessible name."""
    page = site.open()
    set_option(page, "max-tokens", "3")
    say(page, "hi")
    finished(page)
    for role, name in (
        ("combobox", "Model"),
        ("textbox", "Message"),
        ("button", "Send"),
        ("button", "Regenerate"),
        ("button", "Undo"),
        ("button", "New chat"),
        ("navigation", "Conversations"),
        ("searchbox", "Search conversations"),
        ("region", "Conversation"),
        ("spinbutton", "Max tokens"),
        ("slider", "range slider for Temperature"),
        ("textbox", "Seed"),
        ("button", "Continue"),
        ("button", "Fork"),
        ("button", "Edit this message"),
        ("button", "Edit this reply"),
        ("textbox", "Start the reply with"),
        ("button", "Balanced"),
        ("button", "Reset"),
        ("button", "New seed"),
    ):
        assert page.get_by_role(role, name=name).count() == 1, (role, name)


def test_a_phone_needs_no_sideways_scrolling(site: Any) -> None:
    """At 390 pixels the page fits, sampling is folded away, and a token's panel comes from below."""
    page = site.open(viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.locator("#sd-option-temperature").is_visible()
    page.get_by_role("button", name="Sampling").click()
    page.wait_for_selector("#sd-option-temperature")
    set_option(page, "max-tokens", "3")
    say(page, "hi")
    finished(page)
    page.locator(".sd-token").first.click()
    page.wait_for_function("Math.abs(document.querySelector('.sd-open')?.getBoundingClientRect().bottom - 844) <= 2")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 21, 20)"
