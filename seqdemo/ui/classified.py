"""How a classification looks: its probabilities, the text with what each token contributed, and the prediction on the
way there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seqdemo.plugin import Classification

from .markup import Markup, element, join, visible
from .words import ENGLISH, Words

__all__ = ["classified", "percent"]

_SHOWN = 12
"""Classes whose bars are shown."""
_LINES = 4
"""Classes that are drawn as lines, at most."""
_UNKNOWN = "<unk>"
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\s*(?:[\u3400-\u9fff]|[^\W\u3400-\u9fff]+(?:['’][^\W\u3400-\u9fff]+)*|\S)")
"""A word, a Chinese character or a sign, with the white space before it."""


@dataclass(slots=True)
class _Piece:
    """A stretch of text that can be shown: one token, or several that make up a character.

    Attributes:
        text: as it is shown.
        contribution: of its tokens.
        last: the last of them.
        unknown: the vocabulary has no token for it.
    """

    text: str
    contribution: float
    last: int
    unknown: bool = False


def classified(result: Classification, words: Words = ENGLISH) -> Markup:
    """A classification as HTML."""
    head = element(
        "h3",
        result.label,
        " ",
        element("span", percent(result.scores[result.label]), class_="sd-share"),
    )
    parts: list[str] = [head, _bars(result, words)]
    pieces = _pieces(result)
    if pieces and (result.contributions is not None or result.running is not None):
        parts.append(_reading(result, pieces, words))
    return element(
        "article", *parts, class_="sd-answer sd-classified", role="group", aria_label=words("results.answer")
    )


def percent(share: float) -> str:
    """``0.9731 -> "97.3 %"``"""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def _bars(result: Classification, words: Words) -> Markup:
    rows = []
    for name, share in list(result.scores.items())[:_SHOWN]:
        bar = element("span", class_="sd-bar sd-ruled", style=f"width:{100 * share:.2f}%")
        rows.append(
            element(
                "tr",
                element("th", name, scope="row", title=name),
                element("td", element("span", bar, class_="sd-track", aria_hidden="true")),
                element("td", percent(share), class_="sd-percent"),
                class_="sd-chosen" if name == result.label else None,
            )
        )
    caption = element("caption", words("results.probabilities"), class_="sd-hidden")
    table = element("table", caption, element("tbody", *rows), class_="sd-scores")
    more = len(result.scores) - _SHOWN
    return join(table, element("p", words.count("results.more", more), class_="sd-hint")) if more > 0 else table


def _pieces(result: Classification) -> list[_Piece]:
    """Tokens without a text of their own belong to the one that completes their character."""
    found: list[_Piece] = []
    held = 0.0
    shares = result.contributions or (0.0,) * len(result.tokens)
    for place, (text, share) in enumerate(zip(result.tokens, shares, strict=True)):
        held += share
        if text:
            found.append(_Piece(text, held, place, text == _UNKNOWN))
            held = 0.0
    written = _written(result.text, [None if piece.unknown else piece.text for piece in found])
    for piece, text in zip(found, written or (), strict=False):
        piece.text = text
    return found


def _written(text: str, pieces: Sequence[str | None]) -> list[str] | None:
    """The stretches of a text that its pieces stand for, together all of it: a tokenizer may have no capitals, and
    says nothing of an unknown piece (None), which is taken for a word. None where the pieces are not the text's."""
    plain = text.lower()
    if len(plain) != len(text):
        return None
    found: list[str] = []
    at = 0
    for piece in pieces:
        if piece is None:
            unit = _WORD.match(text, at)
            if unit is None:
                return None
            end = unit.end()
        else:
            core = piece.strip().lower()
            start = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if not plain.startswith(core, start):
                return None
            end = start + len(core)
        found.append(text[at:end])
        at = end
    if not found or text[at:].strip():
        return None
    return [*found[:-1], found[-1] + text[at:]]


def _reading(result: Classification, pieces: Sequence[_Piece], words: Words) -> Markup:
    most = max((abs(piece.contribution) for piece in pieces), default=0.0) or 1.0
    after = (result.running or {}).get(result.label)
    spans = []
    for piece in pieces:
        share = piece.contribution / most
        spans.append(
            element(
                "span",
                piece.text,
                class_="sd-piece" + (" sd-unknown" if piece.unknown else ""),
                style=f"--sd-for:{max(0.0, share):.3f};--sd-against:{max(0.0, -share):.3f}",
                data_token=visible(piece.text.strip() or piece.text),
                data_share=_signed(piece.contribution) if result.contributions is not None else None,
                data_after=percent(after[piece.last]) if after is not None else None,
                data_at=f"{_place(piece.last, len(result.tokens)):.2f}",
                title=_signed(piece.contribution) if result.contributions is not None else None,
            )
        )
    text = element("div", *spans, class_="sd-reading", tabindex=0, role="group", aria_label=words("results.reading"))
    key = "results.keys_both" if result.contributions is not None else "results.keys_running"
    legend = [element("p", words(key, label=result.label), class_="sd-readout", aria_live="polite")]
    if result.contributions is not None:
        legend.append(
            element(
                "p",
                element("span", words("results.for", label=result.label), class_="sd-swatch sd-for"),
                element("span", words("results.against"), class_="sd-swatch sd-against"),
                class_="sd-legend",
            )
        )
    line = _running(result, words) if result.running is not None else join()
    return element("section", text, *legend, line, class_="sd-why", data_label=result.label)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _place(token: int, tokens: int) -> float:
    """Where a token stands on the line, in percent of its width."""
    return 100 * (token + 0.5) / tokens


def _running(result: Classification, words: Words) -> Markup:
    """The probability of the likeliest classes after each token, as lines; the result's own is the strong one."""
    assert result.running is not None
    tokens = len(result.tokens)
    lines = []
    for name in list(result.scores)[:_LINES]:
        points = " ".join(
            f"{_place(place, tokens):.2f},{100 - 100 * share:.2f}" for place, share in enumerate(result.running[name])
        )
        lines.append(element("polyline", points=points, class_="sd-own" if name == result.label else "sd-other"))
    rules = [element("line", x1=0, x2=100, y1=y, y2=y, class_="sd-rule") for y in (0, 50, 100)]
    drawing = element(
        "svg",
        *rules,
        *reversed(lines),
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=words("results.line", label=result.label),
    )
    scale = element("span", *(element("span", f"{y} %") for y in (100, 50, 0)), class_="sd-scale", aria_hidden="true")
    others = [name for name in list(result.scores)[:_LINES] if name != result.label]
    caption = words("results.line", label=result.label)
    if others:
        caption += " " + words("results.others", labels=", ".join(others))
    return element(
        "figure",
        element(
            "div",
            scale,
            element("div", drawing, element("span", class_="sd-marker"), class_="sd-plot"),
            class_="sd-chart",
        ),
        element("figcaption", caption),
        class_="sd-running",
    )
