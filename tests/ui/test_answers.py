"""Tabs made from result types, in a real browser, over heads that a plugin brings: no code of the page knows them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqdemo import manager
from seqdemo.ui.source import Sdk

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

HEADS = Path(__file__).with_name("heads.py")


class Predictors(Sdk):
    """The installed seqdemo with the plugin's checkpoints only, so that nothing else is loaded."""

    def checkpoints(self) -> list[Any]:
        return []

    def predictors(self) -> list[Any]:
        return [record for record in super().predictors() if record.name.startswith("my-")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("heads")


@pytest.fixture(scope="module")
def served_heads(home: Path, free_port: Callable[[], int]) -> Iterator[str]:
    from seqdemo.pipeline import pipeline
    from seqdemo.ui import serve

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQDEMO_HOME", str(home))
        manager.configure([HEADS])
        for name, examples in (("mood", ("good and cold", "bad")), ("phrase", ("one two three",)), ("count", ())):
            made = pipeline(name, model={}, tokenizer="bytes", device="cpu")
            made.save(home / "checkpoints" / f"my-{name}", summary=f"The {name} of a text.", examples=examples)
        demo = serve(port=free_port(), source=Predictors())
        yield demo.local_url
        demo.close(verbose=False)
        manager.configure([])


@pytest.fixture
def visit(browser: Any, served_heads: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Opens a page at its Classify tab."""
    monkeypatch.setenv("SEQDEMO_HOME", str(home))  # each test has a home of its own; the server has this one
    errors: list[str] = []
    contexts: list[Any] = []

    def opened(**options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(served_heads)
        page.click("#sd-tab-classify-button")
        page.wait_for_selector("#sd-classify-tries .sd-example")
        return page

    yield opened
    assert errors == []
    for context in contexts:
        assert context.pages[0].evaluate("window.hacked") is None
        context.close()


@pytest.fixture
def page(visit: Callable[..., Any]) -> Any:
    return visit()


def test_a_plugins_classifier_has_the_classify_tab(page: Any) -> None:
    """An example is classified with bars, tinted words and a line; keys choose words; bad input is a clear line and
    loses nothing; a text too long to be explained is classified without."""
    page.click("#sd-classify-tries .sd-example >> nth=0")
    page.wait_for_selector(".sd-classified")
    assert page.locator(".sd-classified > h3").inner_text() == "happy 66.7 %"
    assert page.locator(".sd-scores tr").count() == 2
    assert "onerror" in page.locator(".sd-scores").inner_text()
    assert page.locator(".sd-reading").inner_text() == "good and cold"
    assert page.locator("polyline").count() == 2
    page.locator(".sd-reading").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert (
        page.locator(".sd-why .sd-readout").inner_text() == "cold: −1.00 to the log-odds of “happy” · 66.7 % after it"
    )
    tints = [page.locator(".sd-piece").nth(at).evaluate("e => getComputedStyle(e).backgroundColor") for at in (0, 1, 2)]
    assert len(set(tints)) == 3
    page.fill("#sd-classify-text textarea", "  ")
    page.click("#sd-classify-go")
    page.wait_for_selector("#sd-classify-notice :text('The text is empty')")
    page.fill("#sd-classify-text textarea", "☠ good")
    page.click("#sd-classify-go")
    page.wait_for_selector("#sd-classify-notice .sd-error")
    assert "<b>cannot</b>" in page.locator("#sd-classify-notice").inner_text()
    assert page.input_value("#sd-classify-text textarea") == "☠ good"
    page.fill("#sd-classify-text textarea", "good " * 20_000)
    page.click("#sd-classify-go")
    page.wait_for_selector("#sd-classify-notice :text('left out')")
    assert page.locator(".sd-classified > h3").inner_text().startswith("happy")
    assert page.locator(".sd-reading").count() == 0


def test_a_plugins_translator_has_the_translate_tab(page: Any) -> None:
    """Texts found stand with scores; a cell that is pointed at, or walked to, lights its row, column and words."""
    page.get_by_role("tab", name="Translate").click()
    page.click("#sd-translate-tries .sd-example")
    page.wait_for_selector(".sd-heat")
    assert page.locator(".sd-target").inner_text() == "three two one"
    assert page.locator(".sd-best tbody tr").all_inner_texts()[1].split("\t") == ["three two one (1)", "−2.00", "−3.00"]
    page.hover('.sd-heat td[data-row="0"][data-at="2"]')
    readout = page.locator(".sd-alignment .sd-readout")
    assert readout.inner_text() == "three looked at three: 75%"
    assert [text.strip() for text in page.locator(".sd-word.sd-picked").all_inner_texts()] == ["three", "three"]
    assert page.locator(".sd-heat .sd-lit").count() == 3 + 3 - 1 + 2
    page.locator('.sd-heat td[tabindex="0"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert readout.inner_text() == "two looked at two: 75%"
    page.hover(".sd-word[data-side=source] >> nth=0")
    assert readout.inner_text() == "one looked at one: 75%"


def test_an_unknown_result_type_has_a_tab_of_its_own(page: Any) -> None:
    """Its fields are shown one by one."""
    page.get_by_role("tab", name="Count").click()
    page.fill("#sd-count-text textarea", "a bcd ef")
    page.click("#sd-count-go")
    page.wait_for_selector("#sd-count-view dl")
    assert page.locator("#sd-count-view dl").inner_text().split() == ["words", "3", "longest", "bcd"]


def rows_of(download: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(Path(download.path()).read_text("utf-8-sig"), newline="")))


def test_many_rows_of_a_file(page: Any, tmp_path: Path) -> None:
    """A CSV without the task's column asks for one; results are paged and downloaded, formulas guarded; a stop keeps
    what is done, and a reload finds it again; the page answers meanwhile."""
    table = tmp_path / "reviews.csv"
    table.write_text("id,review\n" + "".join(f"{n},good {n}\n" for n in range(48)) + "48,=1+1\n49,☠\n", "utf-8")
    page.get_by_role("tab", name="Many").locator("visible=true").click()
    page.set_input_files("#sd-classify-file input[type=file]", table)
    page.wait_for_selector("#sd-classify-news :text('50 rows')")
    assert "no column “text”" in page.locator("#sd-classify-news").inner_text()
    page.click("#sd-classify-start")
    page.wait_for_selector("#sd-classify-news :text('There are: id, review')")
    page.click("#sd-classify-column input")
    page.get_by_role("option", name="review").click()
    page.click("#sd-classify-start")
    page.wait_for_selector("#sd-classify-csv:visible")
    assert "50 of 50" in page.locator("#sd-classify-news").inner_text()
    assert "1 could not be read" in page.locator("#sd-classify-news").inner_text()
    assert page.locator("#sd-classify-table tbody tr").count() == 20
    page.click("#sd-classify-table button[aria-label='Last page']")
    page.wait_for_selector("#sd-classify-table .sd-wrong")
    assert page.locator("#sd-classify-table nav span").inner_text() == "41–50 of 50"
    with page.expect_download() as waiting:
        page.click("#sd-classify-csv")
    head, *rows = rows_of(waiting.value)
    assert head == ["id", "review", "label", "probability", "error"]
    assert rows[0][:3] == ["0", "good 0", "happy"]
    assert rows[48][1] == "'=1+1"
    assert rows[49][4]

    page.click("#sd-classify-file button[aria-label*='lear'], #sd-classify-file button[aria-label*='emove']")
    paste = page.locator("#sd-classify-paste textarea")
    # Not typed: a browser takes a minute to type ten thousand lines.
    paste.evaluate("e => { e.value = Array(10000).fill('slow').join('\\n'); e.dispatchEvent(new Event('input')); }")
    page.click("#sd-classify-start")
    page.wait_for_selector("#sd-classify-news :text('of 10,000')")
    page.get_by_role("tab", name="One text").locator("visible=true").click()
    page.fill("#sd-classify-text textarea", "kind")
    page.click("#sd-classify-go")
    page.wait_for_selector(".sd-classified")
    page.get_by_role("tab", name="Many").locator("visible=true").click()
    page.click("#sd-classify-stop")
    page.wait_for_selector("#sd-classify-news :text('what is done is kept')")
    with page.expect_download() as waiting:
        page.click("#sd-classify-csv")
    assert 0 < len(rows_of(waiting.value)) - 1 < 10_000
    page.reload()
    page.get_by_role("tab", name="Classify").click()
    page.get_by_role("tab", name="Many").locator("visible=true").click()
    page.wait_for_selector("#sd-classify-table tbody tr")


MINE = {"English", "seqdemo", "my-mood", "my-phrase", "my-count", "good and cold", "bad", "one two three", "Count"}
"""Names of the plugin's, which are the same in every language."""
OPTIONS = {"Explain", "Shift", "N best", "none", "all", "text", "CSV", "JSONL"}
"""Its options, and what they take."""
GRADIOS = {"Click to upload or drop files"}
"""What gradio calls its own, in every language."""


@pytest.mark.parametrize(("locale", "scheme"), [("en-US", "light"), ("zh-CN", "dark")])
def test_results_are_for_every_reader(
    visit: Callable[..., Any], reading: Any, tmp_path: Path, locale: str, scheme: str
) -> None:
    """With one result on show, and with those of many inputs, every control of the tabs has a name in the page's
    language, and every text can be read."""
    page = visit(locale=locale, color_scheme=scheme)
    table = tmp_path / "many.csv"
    table.write_text("text,source\n☠,a b\n" + "good and cold,one two\n" * 24, "utf-8")

    def check(what: str) -> None:
        assert reading.nameless(page) == [], what
        if locale == "zh-CN":
            assert reading.foreign(page, MINE | OPTIONS | GRADIOS) == [], what
        assert reading.unreadable(page) == [], what

    for tab, point in (("classify", ".sd-piece"), ("translate", ".sd-heat td[data-at]"), ("count", "dl")):
        page.click(f"#sd-tab-{tab}-button")
        page.fill(f"#sd-{tab}-text textarea", "good and cold")
        page.click(f"#sd-{tab}-go")
        page.hover(f"#sd-{tab}-view {point} >> nth=0")
        check(f"{tab}: one")
        page.click(f"#sd-{tab}-many-button")
        check(f"{tab}: many, before")
        page.set_input_files(f"#sd-{tab}-file input[type=file]", table)
        page.wait_for_selector(f"#sd-{tab}-column:visible")
        page.wait_for_function(f"document.querySelector('#sd-{tab}-column input').value")
        page.click(f"#sd-{tab}-start")
        trouble = f"#sd-{tab}-news .sd-error"
        page.wait_for_selector(f"#sd-{tab}-csv:visible, {trouble}:visible")
        assert page.locator(trouble).all_inner_texts() == [], tab
        page.wait_for_selector(f"#sd-{tab}-table nav")
        check(f"{tab}: many, after")
