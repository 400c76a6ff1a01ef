"""How classifications and translations look."""

from __future__ import annotations

import re
from html import unescape

import pytest

from seqdemo.plugin import Classification, Hypothesis, Translation
from seqdemo.ui.results import render
from seqdemo.ui.words import CHINESE

NASTY = "<script>window.hacked = 1</script>"


def texts(html: str, css: str) -> list[str]:
    """The texts of the elements of a class that hold nothing but text."""
    return [unescape(found) for found in re.findall(rf'class="[^"]*\b{css}\b[^"]*"[^>]*>([^<]*)<', html)]


def explained(text: str, tokens: tuple[str, ...], shares: tuple[float, ...]) -> Classification:
    return Classification("up", {"up": 0.9, "down": 0.1}, text, tokens, shares, 0.0, None)


@pytest.mark.parametrize(
    ("text", "tokens", "shown"),
    [
        ("I waited, HERE.", ("i", "<unk>", ",", " here", "<unk>"), ["I", " waited", ",", " HERE", "."]),
        ("好电影！ Fine", ("好", "<unk>", "影", "！", " fine"), ["好", "电", "影", "！", " Fine"]),
        ("two  spaces ", (" two", " spaces"), ["two", "  spaces "]),
        ("it's odd", ("<unk>", " odd"), ["it's", " odd"]),
        ("not the same", (" other", " words"), [" other", " words"]),
        ("", (), []),
    ],
)
def test_words_stand_as_they_were_written(text: str, tokens: tuple[str, ...], shown: list[str]) -> None:
    """Capitals, spaces and unknown words come from the text, where the tokens are found in it."""
    html = render(explained(text, tokens, (0.5,) * len(tokens)))
    assert texts(html, "sd-piece") == shown
    assert html.count("sd-unknown") == tokens.count("<unk>")


def test_parts_of_a_character_are_one() -> None:
    """Tokens without a text of their own are added to the one that completes their character."""
    html = render(explained("好的", ("", "", "好", "的"), (0.25, 0.25, 0.5, -0.5)))
    assert texts(html, "sd-piece") == ["好", "的"]
    assert re.findall(r'data-share="([^"]*)"', html) == ["+1.00", "−0.50"]


def test_contributions_are_tinted_by_sign_and_size() -> None:
    """The largest has the whole tint, the others their share of it, each on its own side."""
    html = render(explained("a b c", ("a", " b", " c"), (2.0, -1.0, 0.0)))
    tints = re.findall(r"--sd-for:([\d.]+);--sd-against:([\d.]+)", html)
    assert [tuple(map(float, pair)) for pair in tints] == [(1, 0), (0, 0.5), (0, 0)]


def test_the_running_prediction_is_a_line() -> None:
    """A point for each token, at the height of its probability; the strong line is the result's own class."""
    running = {"up": (0.5, 0.75), "down": (0.5, 0.25)}
    html = render(Classification("up", {"up": 0.75, "down": 0.25}, "a b", ("a", " b"), None, None, running))
    assert '<polyline points="25.00,50.00 75.00,25.00" class="sd-own">' in html
    assert html.count("<polyline") == 2
    assert re.findall(r'data-after="([^"]*)"', html) == ["50.0 %", "75.0 %"]
    assert "data-share" not in html


def test_many_classes_are_cut_short() -> None:
    """Twelve bars, and how many more there are; never a bar for a class that is not there."""
    scores = {f"class {number}": 1 / 40 for number in range(40)}
    html = render(Classification("class 0", scores, "x"))
    assert html.count("<tr") == 12
    assert "28" in html
    assert "polyline" not in html


def test_an_alignment_is_a_table_of_both_texts() -> None:
    """A cell for each pair, darker with more attention; parts of a character are one row and one column: a row is
    their mean, a column their sum."""
    alignment = ((0.5, 0.25, 0.25), (0.0, 0.5, 0.5), (1.0, 0.0, 0.0))
    result = Translation("a好", "x的", -1.5, ("a", "", "好"), ("x", "", "的"), alignment)
    html = render(result)
    cells = re.findall(r"--sd-weight:([\d.]+)", html)
    assert list(map(float, cells)) == [0.5, 0.5, 0.5, 0.5]
    assert texts(html, "sd-word") == ["a", "好", "x", "的"]
    assert html.count('tabindex="0"') == 1
    assert "−1.50" in html
    assert "alternatives" not in html


def test_names_of_columns_that_have_a_way_up_keep_it() -> None:
    """Chinese stands upright above its column, whatever the page's language; Latin lies on its side."""
    html = render(Translation("a好", "x", -1.5, ("a", "好"), ("x",), ((0.5, 0.5),)))
    assert re.findall(r'<th scope="col" data-at="\d"([^>]*)><span>(.)', html) == [
        ("", "a"),
        (' class="sd-upright"', "好"),
    ]


def test_texts_found_stand_with_their_scores() -> None:
    """Where a search gave several, each has a row."""
    found = (Hypothesis("x", -0.5, -1.0), Hypothesis(NASTY, -0.75, -2.0))
    html = render(Translation("a", "x", -0.5, alternatives=found))
    assert texts(html, "sd-number") == ["−0.50", "−1.00", "−0.75", "−2.00"]


def test_nothing_is_read_as_markup() -> None:
    """Texts, labels and tokens are escaped wherever they stand."""
    both = (
        render(Translation(NASTY, NASTY, 0.0, (NASTY,), (NASTY,), ((1.0,),), (Hypothesis(NASTY, 0, 0),) * 2)),
        render(Classification(NASTY, {NASTY: 1.0}, NASTY, (NASTY,), (1.0,), 0.0, {NASTY: (1.0,)})),
    )
    for html in both:
        assert "<script" not in html
        assert "&lt;script" in html


def test_a_grid_that_is_too_large_is_not_drawn() -> None:
    """Beyond some thousand cells there is a hint in place of the table."""
    tokens = tuple(f"w{number} " for number in range(90))
    html = render(Translation("".join(tokens), "".join(tokens), 0.0, tokens, tokens, ((1 / 90,) * 90,) * 90))
    assert "<td" not in html
    assert "90 × 90" in html


def test_results_speak_chinese() -> None:
    """What the page itself says is in the reader's language."""
    html = render(explained("a", ("a",), (1.0,)), CHINESE)
    assert "支持“up”" in unescape(html)
