"""The page for every reader: its language, a name for every control, colours that can be read, a focus that is seen."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

DATA = {"English", "seqdemo", "stories", "诗词", "hello there", "Top k", "Top p", "Min p"}
"""Names that are the same in every language: what users, models and plugins are called or wrote."""

FOCUS = """() => {
  const style = document.createElement("style");
  style.textContent = "* { transition: none !important }";
  document.head.append(style);
  const look = (node) => [node, node.nextElementSibling, node.parentElement, node.parentElement.parentElement]
    .filter(Boolean)
    .map((one) => {
      const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(one);
      return [parseFloat(outlineWidth) && outlineStyle !== "none" ? outlineColor : "", boxShadow, borderColor];
    });
  const areas = "#sd-tabs > .tab-wrapper, #sd-sidebar, .sd-top, #sd-conversation, .sd-composer, .sd-side";
  const before = new Map();
  window.rest = () => {
    const found = document.querySelectorAll("button, a, summary, input, textarea, [tabindex]");
    for (const node of found) if (node !== document.activeElement) before.set(node, JSON.stringify(look(node)));
  };
  window.focused = () => {
    const node = document.activeElement;
    const area = node.closest(areas);
    const box = node.getBoundingClientRect();
    return {
      name: `${node.tagName} ${node.id || node.className} ${node.textContent.trim().slice(0, 20)}`,
      seen: before.get(node) !== JSON.stringify(look(node)) && box.width > 0 && box.height > 0,
      area: area && areas.split(", ").find((one) => area.matches(one)),
      end: node === document.body,
    };
  };
}"""


def talked(site: Any, **options: Any) -> Any:
    """A page on which a message was answered, and a token of the answer chosen."""
    page = site.open(**options)
    box = page.locator("#sd-option-max-tokens input[type=number]")
    box.fill("4")
    box.press("Tab")
    page.fill("#sd-input textarea", "hello there")
    page.press("#sd-input textarea", "Enter")
    page.wait_for_selector(".sd-seed")
    page.locator(".sd-token").nth(1).click()
    page.wait_for_selector(".sd-open")
    return page


def tabs(page: Any) -> Any:
    """Go to each tab in turn, the first one last."""
    found = page.get_by_role("tab")
    for number in [*range(1, found.count()), 0]:
        found.nth(number).click()
        page.wait_for_function(
            "at => document.querySelectorAll('[role=tab]')[at].getAttribute('aria-selected') === 'true'", arg=number
        )
        page.wait_for_timeout(300)
        yield found.nth(number).inner_text()


def test_the_page_speaks_the_browsers_language(site: Any, reading: Any) -> None:
    """In Chinese every control of every tab is named in Chinese, notices too; the switch makes it English for good."""
    page = talked(site, locale="zh-CN")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    for tab in tabs(page):
        assert reading.HAN.search(tab)
        assert reading.foreign(page, DATA) == [], tab
    assert "4 个词元" in page.locator(".sd-note").inner_text()
    assert "读" in page.locator("#sd-status").inner_text()
    page.fill("#sd-option-seed input, #sd-option-seed textarea", "12a")
    page.fill("#sd-input textarea", "hello there")
    page.press("#sd-input textarea", "Enter")
    page.wait_for_selector("#sd-notice .sd-error")
    assert "seed = '12a' 不是整数。" in page.locator("#sd-notice").inner_text()
    page.get_by_role("button", name="English").click()
    page.wait_for_selector("html[lang=en]")
    page.wait_for_selector(".sd-seed")
    assert page.get_by_role("tab").first.inner_text() == "Chat"
    assert page.get_by_role("button", name="Continue this reply").count() == 1
    page.reload()
    page.wait_for_selector(".sd-seed")
    assert page.locator("html").get_attribute("lang") == "en"
    assert site.errors == []


def test_every_control_has_a_name_and_shows_the_focus(site: Any, reading: Any) -> None:
    """No control of any tab is without a name; the Tab key reaches them in the order of the page, and shows where."""
    page = talked(site)
    for tab in tabs(page):
        assert reading.nameless(page) == [], tab
    page.evaluate(FOCUS)
    page.locator("#sd-language button").focus()
    passed: list[dict[str, Any]] = []
    while not passed or not passed[-1]["end"]:
        page.evaluate("rest()")
        page.keyboard.press("Tab")
        passed.append(page.evaluate("focused()"))
        assert len(passed) < 100
    passed.pop()
    assert [one["name"] for one in passed if not one["seen"]] == []
    areas = list(dict.fromkeys(one["area"] for one in passed if one["area"]))
    assert areas == [
        "#sd-tabs > .tab-wrapper", "#sd-sidebar", ".sd-top", "#sd-conversation", ".sd-composer", ".sd-side"
    ]  # fmt: skip
    assert len(passed) > 25


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(site: Any, reading: Any, scheme: str) -> None:
    """On every tab each text differs from its background by WCAG's 4.5 : 1, or 3 : 1 where it is large."""
    page = talked(site, color_scheme=scheme)
    page.press("#sd-input textarea", "Enter")
    page.wait_for_selector("#sd-notice .sd-notice")
    for tab in tabs(page):
        assert reading.unreadable(page) == [], tab
