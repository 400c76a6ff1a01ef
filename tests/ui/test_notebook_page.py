"""The Notebook tab in a real browser, over a stand-in for the SDK."""

from __future__ import annotations

from typing import Any

import pytest

from seqdemo.store import Notebooks

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

PAPER = ".sd-paper"
LONG = "100000"


def arrive(page: Any) -> Any:
    page.get_by_role("tab", name="Notebook").click()
    page.wait_for_function("!document.querySelector('.sd-pad-go')?.disabled && document.querySelector('.sd-pad-go')")
    page.wait_for_function("document.querySelector('.sd-pad-facts').textContent.includes('token')")
    return page


def limit(page: Any, tokens: str) -> None:
    box = page.locator("#sd-pad-option-max-tokens input[type=number]")
    box.fill(tokens)
    box.press("Tab")


def text(page: Any) -> str:
    return str(page.locator(PAPER).input_value())


def written(page: Any) -> None:
    page.wait_for_selector(".sd-pad-facts .sd-seed")


def test_it_goes_on_reads_what_is_new_and_goes_back(site: Any) -> None:
    """Ctrl+Enter writes at the end; appended words are all that is read; undo and redo; the text outlives a reload."""
    page = arrive(site.open())
    limit(page, "5")
    page.fill(PAPER, "Once")
    page.press(PAPER, "Control+Enter")
    written(page)
    first = "Once the sea was calm,\n"
    assert text(page) == first
    assert "4 tokens were new and read" in page.locator(".sd-pad-facts").inner_text()
    page.locator(PAPER).press("Control+End")
    page.keyboard.type("and")
    page.locator(".sd-pad-go").click()
    written(page)
    assert text(page) == first + "and the sea was calm,\n"
    assert "3 tokens were new and read" in page.locator(".sd-pad-facts").inner_text()
    page.locator(".sd-pad-tools").get_by_role("button", name="Undo").click()
    page.wait_for_function("t => document.querySelector('.sd-paper').value === t", arg=first + "and")
    page.locator(".sd-pad-tools").get_by_role("button", name="Redo").click()
    page.wait_for_function("t => document.querySelector('.sd-paper').value.startsWith(t)", arg=first + "and the")
    page.locator(PAPER).fill("Mine\n<b>")
    page.reload()
    page.wait_for_selector("#sd-status dd")
    arrive(page)
    page.wait_for_function("document.querySelector('.sd-paper').value === 'Mine\\n<b>'")
    assert site.errors == []


def test_it_streams_and_stops(site: Any) -> None:
    """Text grows in the area, which is not edited meanwhile; Esc stops the work; all that was made is there."""
    site.source.delay = 0.05
    page = arrive(site.open())
    limit(page, LONG)
    page.fill(PAPER, "Once")
    page.press(PAPER, "Control+Enter")
    page.wait_for_function("document.querySelector('.sd-paper').value.length > 40")
    assert page.locator(PAPER).evaluate("area => area.readOnly")
    assert page.locator(".sd-pad-stop").is_visible()
    page.keyboard.press("Escape")
    written(page)
    made = text(page)
    assert made == "Once" + (" the sea was calm,\n" * 1000)[: len(made) - 4]
    assert site.source.generated < int(LONG) / 10
    site.until(lambda: made in _kept(site), "the last word in the database")


def _kept(site: Any) -> list[str]:
    database = site.source.database()
    with database.read() as run:
        visitors = [visitor for (visitor,) in run.execute("SELECT visitor FROM notebooks")]
    return [Notebooks(database).read(visitor).text for visitor in visitors]


def test_a_closed_page_frees_its_row_and_a_reload_finds_its_text(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload in mid-passage sees it grow on; once the page is closed the work ends."""
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 60.0)  # however long a reload takes here
    site.source.delay = 0.05
    page = arrive(site.open())
    limit(page, LONG)
    page.fill(PAPER, "Once")
    page.press(PAPER, "Control+Enter")
    page.wait_for_function("document.querySelector('.sd-paper').value.length > 40")
    page.reload()
    page.wait_for_selector("#sd-status dd")
    page.get_by_role("tab", name="Notebook").click()
    page.wait_for_function("document.querySelector('.sd-paper')?.value.length > 40")
    before = len(text(page))
    page.wait_for_function("n => document.querySelector('.sd-paper').value.length > n", arg=before + 40)
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.5)
    page.close()
    site.rests()
    assert site.source.generated < int(LONG) / 10


def test_visitors_and_tabs(site: Any) -> None:
    """Another visitor has another text; in another tab of the same one, an old text overwrites nothing."""
    context = site.context()
    first = arrive(site.open(context))
    first.fill(PAPER, "mine")
    site.until(lambda: "mine" in _kept(site), "the text in the database")
    other = arrive(site.open())
    assert text(other) == ""
    second = arrive(site.open(context))
    assert text(second) == "mine"
    second.fill(PAPER, "mine, changed")
    site.until(lambda: "mine, changed" in _kept(site), "the change in the database")
    first.fill(PAPER, "late")
    first.wait_for_selector("#sd-pad .sd-notice.sd-error")
    assert "changed in another tab" in first.locator("#sd-pad .sd-notice").inner_text()
    assert "late" not in _kept(site)


def test_names_and_a_phone(site: Any) -> None:
    """Everything has an accessible name, and nothing needs sideways scrolling on a phone."""
    page = arrive(site.open())
    page.set_viewport_size({"width": 390, "height": 844})
    for role, name in (("textbox", "Text"), ("button", "Generate at"), ("button", "Undo"), ("button", "Redo")):
        assert page.locator(".sd-notebook").get_by_role(role, name=name, exact=name == "Text").count() == 1, (
            role,
            name,
        )
    assert page.get_by_role("combobox", name="Model of the notebook").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
