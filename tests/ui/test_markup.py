"""Nothing that comes from a model, a user or a plugin is read as HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.plugin import Alternative, Classification, Done, Generation, Result, Token, Usage
from seqdemo.ui.inspector import token_view
from seqdemo.ui.markup import Markup, element, visible
from seqdemo.ui.plugins import plugins_view
from seqdemo.ui.results import render
from seqdemo.ui.status import bytes_text, notice

NASTY = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&amp;'


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=40))
def test_text_and_attributes_come_out_as_they_went_in(text: str) -> None:
    """Whatever the text, there is one element, and a browser reads back the text itself."""
    found = read(element("p", text, title=text))
    assert (found.tags, found.text, found.attributes) == (["p"], text, [("title", text)])


def test_attributes_may_be_bare_absent_or_dashed() -> None:
    """True is a bare attribute, None and False are none, underscores are dashes."""
    assert element("a", class_="x", aria_label="y", hidden=True, title=None, open=False) == (
        '<a class="x" aria-label="y" hidden></a>'
    )
    assert isinstance(element("a"), Markup)


def test_white_space_of_a_token_can_be_seen() -> None:
    """Spaces, new lines and control characters have a sign, and so has no text at all."""
    assert visible(" a\n\x00月") == "␣a↵\\u0000月"
    assert visible("") == "∅"


def _token(**changes: Any) -> Token:
    values: dict[str, Any] = {"id": 3, "text": NASTY, "logprob": math.log(0.25), "entropy": math.log(2), "position": 9}
    return Token(**{**values, **changes})


def test_the_panel_about_a_token_shows_both_probabilities() -> None:
    """Each alternative has its raw probability and the one after the rules; the chosen one is marked."""
    found = read(token_view(_token(alternatives=(Alternative(3, NASTY, 0.25, 0.5), Alternative(4, "b", 0.1, 0.0)))))
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert NASTY.replace(" ", "␣") in found.text
    for shown in ("25.0 %", "50.0 %", "10.0 %", "0 %", "1.00 bits", "chosen"):
        assert shown in found.text
    assert found.tags.count("tr") == 3


def test_a_chosen_token_below_the_alternatives_is_listed_too() -> None:
    """The token that was taken, which decoding reports last when it is not among the likeliest, is marked there."""
    found = read(token_view(_token(alternatives=(Alternative(1, "a", 0.5, 0.75), Alternative(3, NASTY, 0.25, 0.125)))))
    assert found.tags.count("tr") == 3
    assert found.text.index("50.0 %") < found.text.index("chosen") < found.text.index("12.5 %")


def test_no_alternatives_are_said_to_be_missing() -> None:
    """Without recorded alternatives the panel says how to have them."""
    assert "alternatives" in read(token_view(_token())).text
    assert "table" not in read(token_view(None)).tags


@dataclass(frozen=True)
class Forecast(Result):
    series: tuple[float, ...]
    label: str
    scores: dict[str, float]
    nothing: None = None


def test_an_unknown_result_is_shown_field_by_field() -> None:
    """Every field of a result that no renderer knows is there, as text."""
    found = read(render(Forecast((1.5, 2.25), NASTY, {"up": 0.123456})))
    for shown in ("series", "1.5", "2.25", "label", NASTY, "scores", "up", "0.1235", "nothing", "none"):
        assert shown in found.text
    assert not {"script", "img"} & set(found.tags)


def test_results_are_rendered_by_their_nearest_type() -> None:
    """What derives from a type the page knows is rendered as that type; a long list is cut short."""

    @dataclass(frozen=True)
    class Stars(Classification):
        stars: int = 0

    assert "sd-classified" in render(Stars("up", {"up": 1.0}))
    assert "and 50 more" in render(Forecast(tuple(range(100)), "", {}))


def test_a_generation_shows_its_text_and_seed() -> None:
    """Prompt, text and seed of a generation are shown, escaped."""
    found = read(render(Generation("<i>", NASTY, (), Done("length", Usage(1, 2, 0.5, 0.1, 8), seed=2**62 + 1))))
    assert f"<i>{NASTY}" in found.text
    assert str(2**62 + 1) in found.text


def test_failed_plugins_come_first_with_their_tracebacks(source: Any) -> None:
    """A failed plugin says why; its traceback is there for the owner of the machine only."""
    plugins = source.plugins()
    page = read(plugins_view(plugins))
    assert page.text.index("broken") < page.text.index("builtin")
    assert "<b>ModuleNotFoundError</b>" in page.text
    assert "2 plugins, 1 failed." in page.text
    assert "Traceback" not in read(plugins_view(plugins, inside=False)).text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (16_384, "16.4 kB"), (3_000_000, "3.0 MB")])
def test_sizes_are_readable(size: int, text: str) -> None:
    """Bytes are given in the unit that suits them."""
    assert bytes_text(size) == text


def test_notices_are_escaped_and_announced() -> None:
    """An error is announced as an alert, anything else politely."""
    assert read(notice(NASTY)).text == NASTY
    assert ("role", "alert") in read(notice("x")).attributes
    assert ("role", "status") in read(notice("x", "progress")).attributes
