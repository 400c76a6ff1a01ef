"""How a translation looks: the text, what else the search found, and which word looked where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from seqdemo.plugin import Translation

from .markup import Markup, element, join
from .words import ENGLISH, Words

__all__ = ["translated", "translating"]

_CELLS = 6400
"""Cells of an alignment that are drawn, at most."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Pieces that can be shown, several tokens that make up a character being one, and the attention between them.

    Attributes:
        weights: ``(T, S)``, by target piece; each row sums to at most 1.
    """

    source: list[str]
    target: list[str]
    weights: list[list[float]]


def translating(text: str) -> Markup:
    """A translation that is being written."""
    return element(
        "article", element("p", text, class_="sd-target sd-growing"), class_="sd-answer sd-translated", aria_busy="true"
    )


def translated(result: Translation, words: Words = ENGLISH) -> Markup:
    """A translation as HTML."""
    parts: list[str] = [element("p", result.text, class_="sd-target")]
    if len(result.alternatives) > 1:
        parts.append(_best(result, words))
    else:
        # What was not searched for has no rank, only a probability.
        score = _number(result.score)
        said = words("results.score", score=score) if result.alternatives else words("results.probability", score=score)
        parts.append(element("p", said, class_="sd-hint"))
    if result.alignment and any(result.target_tokens):
        parts.append(_alignment(result, words))
    return element(
        "article", *parts, class_="sd-answer sd-translated", role="group", aria_label=words("results.answer")
    )


def _best(result: Translation, words: Words) -> Markup:
    rows = [
        element(
            "tr",
            element("td", one.text),
            element("td", _number(one.score), class_="sd-number"),
            element("td", _number(one.logprob), class_="sd-number"),
        )
        for one in result.alternatives
    ]
    heads = (words("results.found"), words("results.score_name"), words("results.logprob"))
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in heads)))
    return element(
        "table",
        element("caption", words("results.best"), class_="sd-hidden"),
        head,
        element("tbody", *rows),
        class_="sd-best",
    )


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _grid(result: Translation) -> _Grid:
    source, columns = _joined(result.source_tokens)
    target, rows = _joined(result.target_tokens)
    weights = []
    for row in rows:
        mean = [
            sum(result.alignment[place][column] for place in row) / len(row)
            for column in range(len(result.source_tokens))
        ]
        weights.append([sum(mean[place] for place in column) for column in columns])
    return _Grid(source, target, weights)


def _joined(tokens: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Texts, and the tokens behind each: those without a text belong to the one that completes their character."""
    texts: list[str] = []
    places: list[list[int]] = []
    held: list[int] = []
    for place, text in enumerate(tokens):
        held.append(place)
        if text:
            texts.append(text)
            places.append(held)
            held = []
    return texts, places


def _alignment(result: Translation, words: Words) -> Markup:
    grid = _grid(result)
    title = element("h3", words("results.alignment"))
    if len(grid.source) * len(grid.target) > _CELLS:
        hint = words("results.too_wide", source=len(grid.source), target=len(grid.target))
        return element("section", title, element("p", hint, class_="sd-hint"), class_="sd-alignment")
    readout = element("p", words("results.keys_alignment"), class_="sd-readout", aria_live="polite")
    return element("section", title, _pair(grid, words), readout, _heat(grid, words), class_="sd-alignment")


def _pair(grid: _Grid, words: Words) -> Markup:
    """Both texts, piece by piece."""
    lines = []
    sides = (("source", words("results.source"), grid.source), ("target", words("results.target"), grid.target))
    for side, name, texts in sides:
        spans = [element("span", text, class_="sd-word", data_side=side, data_at=at) for at, text in enumerate(texts)]
        lines.append(
            element(
                "p", element("span", name, class_="sd-side-name"), element("span", *spans), class_="sd-language-line"
            )
        )
    return element("div", *lines, class_="sd-pair")


def _upright(text: str) -> str | None:
    """The class of a column's name that stands upright: of characters that keep their way up in vertical text."""
    return "sd-upright" if any(east_asian_width(character) in "WF" for character in text) else None


def _heat(grid: _Grid, words: Words) -> Markup:
    names = [
        element("th", element("span", text.strip() or "␣"), scope="col", data_at=at, class_=_upright(text))
        for at, text in enumerate(grid.source)
    ]
    rows = []
    for place, (text, weights) in enumerate(zip(grid.target, grid.weights, strict=True)):
        cells = [
            element(
                "td",
                style=f"--sd-weight:{min(weight, 1.0):.3f}",
                data_row=place,
                data_at=at,
                data_weight=f"{weight:.0%}",
                tabindex=0 if place == at == 0 else -1,
            )
            for at, weight in enumerate(weights)
        ]
        rows.append(element("tr", element("th", text.strip() or "␣", scope="row"), *cells))
    table = element(
        "table",
        element("caption", words("results.alignment"), class_="sd-hidden"),
        element("thead", element("tr", element("td"), *names)),
        element("tbody", *rows),
        class_="sd-heat",
        role="grid",
        aria_label=words("results.alignment"),
    )
    return element("div", join(table), class_="sd-heat-frame")
