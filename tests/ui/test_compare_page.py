"""The Compare tab in a real browser, over a stand-in for the SDK."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

LONG = "100000"


def arrive(page: Any, tokens: str) -> Any:
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_selector(".sd-compare-about")
    for number in (1, 2):
        page.locator(f"#sd-compare-{number}-sampling > button").click()
        box = page.locator(f"#sd-compare-{number}-option-max-tokens input[type=number]")
        # A box that has just been made shows its first value once more, milliseconds later.
        while box.input_value() != tokens:
            box.fill(tokens)
            box.press("Tab")
            page.wait_for_timeout(100)
        page.locator(f"#sd-compare-{number}-sampling > button").click()
    return page


def ask(page: Any, message: str) -> None:
    page.fill("#sd-compare-input textarea", message)
    page.press("#sd-compare-input textarea", "Enter")


def judged(page: Any, exchanges: int = 1) -> None:
    page.wait_for_function("n => document.querySelectorAll('.sd-matrix').length === n", arg=exchanges)


def test_side_by_side_and_one_is_kept(site: Any) -> None:
    """Two models answer the same message, are scored, go on with the next, and one becomes a conversation."""
    site.source.nasty = ["<b>bold</b>"]
    page = arrive(site.open(), "5")
    ask(page, "<i>hi</i>")
    judged(page)
    assert page.locator(".sd-asked .sd-bubble").inner_text() == "<i>hi</i>"
    assert [one.strip() for one in page.locator(".sd-cell .sd-body").all_inner_texts()] == [
        "the sea was calm,",
        "床前明月光",
    ]
    notes = page.locator(".sd-cell .sd-note").first.inner_text()
    for shown in ("5 tokens", "tokens/s", "16.4 kB", "seed ", "token limit"):
        assert shown in notes
    assert page.locator(".sd-matrix tbody tr").count() == 2
    assert page.locator(".sd-matrix td").first.inner_text().count("\n") == 1
    assert "only bits per byte compare across models" in page.locator(".sd-matrix .sd-hint").inner_text()
    assert page.locator("#sd-compare-input textarea").input_value() == ""
    ask(page, "ho")
    judged(page, 2)
    page.get_by_role("button", name="Keep this one: 2 · 诗词").click()
    page.get_by_role("button", name="Open 2 · 诗词 in the chat").click()
    page.wait_for_function("document.querySelectorAll('#sd-conversation .sd-model').length === 2")
    assert page.locator("#sd-conversation .sd-bubble").all_inner_texts() == ["<i>hi</i>", "ho"]
    assert site.errors == []


def test_they_stream_together_and_stop_together(site: Any) -> None:
    """Both replies grow at the same time; Stop all ends both, and they keep what they have."""
    site.source.delay = 0.15
    page = arrive(site.open(), LONG)
    ask(page, "hi")
    page.wait_for_function(
        "[...document.querySelectorAll('.sd-cell .sd-body')].filter(one => one.textContent.length > 8).length === 2"
    )
    assert page.locator(".sd-cell.sd-streaming").count() == 2
    assert not page.locator("#sd-compare-send").is_visible()
    assert page.locator("#sd-compare-stop").is_visible()
    page.keyboard.press("Escape")
    judged(page)
    assert page.locator(".sd-cell.sd-streaming").count() == 0
    for notes in page.locator(".sd-cell .sd-note").all_inner_texts():
        assert "stopped by you" in notes
    assert site.source.generated < int(LONG) / 10


def test_an_error_is_one_columns_own(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that does not load says so in its column; the other one answers, and both stand side by side."""
    from seqdemo.errors import CheckpointError
    from seqdemo.ui.loader import Loader

    get = Loader.get

    def broken(loader: Loader, name: str) -> Any:
        if name == "诗词":
            raise CheckpointError("诗词 is truncated. Copy it again.")
        return get(loader, name)

    monkeypatch.setattr(Loader, "get", broken)
    page = arrive(site.open(), "5")
    ask(page, "hi")
    page.wait_for_selector(".sd-cell .sd-error")
    site.says(page, "#sd-compare .sd-announcer", "finished")
    assert page.locator(".sd-comparing, .sd-streaming").count() == 0
    assert "truncated" in page.locator(".sd-cell").nth(1).inner_text()
    assert "the sea was calm" in page.locator(".sd-cell").first.inner_text()
    ask(page, "")
    site.says(page, "#sd-compare .sd-notice[role=status]", "empty")


def test_a_reload_finds_the_comparison_and_a_closed_page_ends_it(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies go on over a reload; once the page is closed no row works on."""
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 60.0)  # however long a reload takes here
    site.source.delay = 0.15
    page = arrive(site.open(), LONG)
    ask(page, "hi")
    page.wait_for_function("document.querySelector('.sd-cell .sd-body')?.textContent.length > 20")
    page.reload()
    page.wait_for_selector("#sd-status dd")
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_selector(".sd-cell .sd-body", state="attached")
    before = len(page.locator(".sd-cell .sd-body").first.text_content())
    page.wait_for_function("n => document.querySelector('.sd-cell .sd-body').textContent.length > n + 20", arg=before)
    assert before > 20
    assert page.locator(".sd-cell.sd-streaming").count() == 2
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.5)
    page.close()
    site.rests()
    assert site.source.generated < int(LONG) / 10


def test_three_columns_names_and_a_phone(site: Any) -> None:
    """A third column comes when it is asked for; all has a name; on a phone columns stand below each other."""
    page = arrive(site.open(color_scheme="dark"), "5")
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_label("3", exact=True).check()
    page.wait_for_selector("#sd-compare-model-3")
    for role, name in (
        ("combobox", "Model 1"),
        ("combobox", "Model 3"),
        ("textbox", "Message to all"),
        ("checkbox", "Raw text"),
        ("button", "Compare"),
        ("button", "New"),
        ("region", "Replies side by side"),
    ):
        assert page.locator(".sd-compare").get_by_role(role, name=name, exact=name == "New").count() == 1, (role, name)
    page.get_by_label("2", exact=True).check()
    ask(page, "hi")
    judged(page)
    tops = [box["y"] for box in (one.bounding_box() for one in page.locator(".sd-cell").all())]
    assert tops[0] < tops[1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="New", exact=True).click()
    page.wait_for_selector(".sd-compare-about")
    composer = page.locator(".sd-compare-foot .sd-composer").bounding_box()
    assert composer["y"] + composer["height"] > 844 - 30
