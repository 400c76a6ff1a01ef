"""The scripts that make and measure shipped checkpoints."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def scripts(checkpoint_scripts: Callable[..., Any]) -> Iterator[dict[str, ModuleType]]:
    with checkpoint_scripts("story_text", "prepare_stories", "report") as found:
        yield found


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("\u00e2\u20ac\u0153Hi,\u00e2\u20ac she said. It\u00e2\u20ac\u2122s", '"Hi," she said. It\'s'),
        ("“Well—now…”", '"Well--now..."'),
        ("a  b \u200bc\r\nd", "a b c\nd"),
        ("should n't I 'd . . . go", "shouldn't I'd... go"),
    ],
)
def test_characters_become_plain(scripts: dict[str, ModuleType], given: str, wanted: str) -> None:
    """Quotes, dashes, dots, spaces and double-encoded characters have one form."""
    assert scripts["story_text"].plain(given) == wanted


@pytest.mark.parametrize(
    ("given", "following", "wanted"),
    [
        ("'Come,' said he, 'don't wait.'", "", '"Come," said he, "don\'t wait."'),
        ("'I go on", "'and on.'", '"I go on'),
        ("'I go on", "He sat.", None),
        ("The boys' dogs 'barked", "x", None),
        ("'It is \"so,\"' he said.", "", "\"It is 'so,'\" he said."),
    ],
)
def test_single_quotes_become_double_where_they_pair_up(
    scripts: dict[str, ModuleType], given: str, following: str, wanted: str | None
) -> None:
    """Speech gets double quotes, apostrophes stay, and a paragraph that is unclear is left alone."""
    assert scripts["story_text"].double_quoted(given, following) == wanted


def test_markdown_marks_and_wrapping_go(scripts: dict[str, ModuleType]) -> None:
    """Emphasis, rules and glosses are dropped; hard-wrapped prose is joined and verse kept."""
    text = scripts["story_text"]
    assert text.unmarked("It was _very_ **big** [large].\n----\nYes") == "It was very big.\nYes"
    assert text.unwrapped(["a stick-\nhouse in\nthe wood", "Tip\nTop\nTom"]) == [
        "a stick-house in the wood",
        "Tip\nTop\nTom",
    ]
    assert text.rejoined(["He ran", "into it.", "Then"]) == ["He ran into it.", "Then"]


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def _prose(seed: str, count: int = 60) -> str:
    return " ".join(
        f"The {seed} went to place number {chr(97 + n % 26)}{seed}{chr(97 + n // 26)}." for n in range(count)
    )


def test_nothing_is_shared_between_the_parts(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    """Books without clear rights are left out, held-out books held out, and repeated stories kept from training."""
    book = "# Title: {0}\n\n## Author: X\n\n-------\n\n## Chapter I\r\n\r\n{1}\r\n\r\n## THE END\n"
    books = {"Ozma of Oz": "tiktok", "Black Beauty": "horse", "Heidi": "goat", "Book of Giants": "giant"}
    rows = [{"author": "X", "title": t, "text": book.format(t, _prose(w))} for t, w in books.items()]
    _write(tmp_path / "english_classics" / "children.jsonl.xz", list(rows))
    for part, word in (("train", "fox"), ("val", "giant"), ("test", "owl")):
        sentences = _prose(word).split(". ")
        _write(tmp_path / "fairytaleqa_stories" / f"{part}.jsonl.xz", [{"story": word, "sentences": sentences}])
    for part, word in (("train", "cat"), ("valid", "dog")):
        _write(tmp_path / "tinystories" / f"{part}.jsonl.xz", [{"src": "s", "text": _prose(word)}] * 2)
    train, held_out, report = scripts["prepare_stories"].prepare(tmp_path)
    assert [piece.title for piece in train] == ["Black Beauty / Chapter I", "fox", "s train 0"]
    assert [piece.title for piece in held_out] == ["Ozma of Oz / Chapter I", "giant", "owl", "s valid 0"]
    assert list(report.books_without_clear_rights) == ["Heidi"]
    assert len(report.train_rows_repeating_held_out) == 1
    assert len(report.rows_doubled) == 2


def test_a_word_cut_by_the_limit_or_begun_by_the_prompt_does_not_count(scripts: dict[str, ModuleType]) -> None:
    """Only whole generated words are looked up."""
    sample = scripts["report"].Sample
    assert sample("Once u", 0, "pon a ti", 5, "length").words == ["a"]
    assert sample("Once ", 0, "upon a time", 5, "end").words == ["upon", "a", "time"]
    assert sample("", 0, "Don't stop. It", 5, "length").words == ["don't", "stop"]


def test_shares_and_distinct_n(scripts: dict[str, ModuleType]) -> None:
    """Occurrences and kinds are counted apart, and pairs stay inside a sample."""
    report = scripts["report"]
    found = report.share(["a", "a", "b", "x"], frozenset("ab"))
    assert found["in_training_text"] == 0.75
    assert found["distinct_in_training_text"] == pytest.approx(2 / 3)
    assert report.distinct([["a", "b", "a", "b"], ["b", "a"]]) == {"distinct_1": 2 / 6, "distinct_2": 2 / 4}


def test_a_fence_is_longer_than_any_in_the_text(scripts: dict[str, ModuleType]) -> None:
    """A sample cannot end its own block."""
    assert scripts["report"].fenced("a ``` b").startswith("````text\n")
