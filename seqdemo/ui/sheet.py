"""Many inputs at once: tables that come in, and tables of results that go out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqdemo.errors import DataError
from seqdemo.plugin import Classification, Result, Translation

from .words import PageError

__all__ = ["ENDINGS", "LARGEST", "Outcome", "Sheet", "cells", "columns_of", "lines", "read", "to_csv", "to_jsonl"]

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
LARGEST = 20_000_000
"""Bytes of a file that the page takes: all of it is kept in memory."""

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""What spreadsheets take for the beginning of a formula, or skip before one."""
_LINE = ""
"""The column of rows that are lines of a text."""

Row = dict[str, Any]
Outcome = Result | str | None
"""A result, what was wrong with its row, or None where the row had no text."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows to work on.

    Attributes:
        rows: column -> value; not every row has every column.
        columns: of all rows, in the order they are met. Empty where the rows are lines of a text.
    """

    rows: list[Row]
    columns: tuple[str, ...]

    def chosen(self, column: str | None) -> str:
        """The column to work on.

        Raises:
            PageError: it was not said which.
        """
        if not self.columns:
            return _LINE
        if column not in self.columns:
            raise PageError("batch.which_column", columns=", ".join(self.columns))
        return column

    def texts(self, column: str) -> list[str | None]:
        """By row: the text, or None where there is none."""
        return [_text(row.get(column)) for row in self.rows]


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def lines(text: str) -> Sheet:
    """A text whose every line is an input.

    Raises:
        PageError: there is none.
    """
    if not text.strip():
        raise PageError("batch.nothing")
    return Sheet([{_LINE: line} for line in text.strip("\n").split("\n")], ())


def read(path: Path) -> Sheet:
    """A file of rows, or of a line for each input.

    Raises:
        PageError: it is of another kind, or too large.
        DataError: it is empty, not text, or its rows cannot be told apart; it is called by its name alone.
    """
    from seqdemo.training.data import records

    if path.suffix.lower() not in ENDINGS:
        raise PageError("batch.ending", name=path.name, endings=", ".join(ENDINGS))
    if (size := path.stat().st_size) > LARGEST:
        raise PageError("batch.large", name=path.name, size=f"{size / 1e6:.0f}", most=f"{LARGEST / 1e6:.0f}")
    try:
        rows = records(path)
    except DataError as error:
        raise DataError(str(error).replace(str(path), path.name)) from error
    names = dict.fromkeys(name for row in rows for name in row)
    return Sheet(rows, () if list(names) == [_LINE] else tuple(names))


def columns_of(results: Iterable[Outcome]) -> tuple[str, ...]:
    """Names of the columns that results fill, by their type."""
    found = next((result for result in results if isinstance(result, Result)), None)
    if isinstance(found, Classification):
        return ("label", "probability")
    return ("translation", "score") if isinstance(found, Translation) else ("result",)


def cells(result: Outcome) -> tuple[str | float, ...]:
    """What a result says in the columns of its type."""
    if isinstance(result, Classification):
        return (result.label, round(result.scores[result.label], 6))
    if isinstance(result, Translation):
        return (result.text, round(result.score, 4))
    return (str(result),) if isinstance(result, Result) else ()


def to_csv(sheet: Sheet, results: Sequence[Outcome]) -> str:
    """The rows that were worked on, each with its result; what went wrong stands in a column ``error``.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    names = sheet.columns or ("text",)
    added = _fresh((*columns_of(results), *(("error",) if any(isinstance(one, str) for one in results) else ())), names)
    width = len(columns_of(results))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_guarded(name) for name in (*names, *added)])
    for row, result in zip(sheet.rows, results, strict=False):
        own = [_cell(row.get(name)) for name in sheet.columns or (_LINE,)]
        made = [_cell(cell) for cell in cells(result)] or [""] * width
        wrong = [_guarded(result) if isinstance(result, str) else ""] * (len(added) - width)
        writer.writerow([*own, *made, *wrong])
    return "\ufeff" + out.getvalue()


def _fresh(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Names that no column has yet."""
    found: list[str] = []
    for name in names:
        while name in taken:
            name = f"{name} (seqdemo)"
        found.append(name)
    return found


def _cell(value: Any) -> str | int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _guarded(value)
    return "" if value is None else _guarded(json.dumps(value, ensure_ascii=False))


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_jsonl(sheet: Sheet, results: Sequence[Outcome]) -> str:
    """A line for each row that was worked on: the row, and all of its result under ``result``."""
    whole, error = _fresh(("result", "error"), sheet.columns)
    out = []
    for row, result in zip(sheet.rows, results, strict=False):
        own: Row = row if sheet.columns else {"text": row[_LINE]}
        made: Row = {error: result} if isinstance(result, str) else {}
        if isinstance(result, Result):
            made = {whole: asdict(result)}
        out.append(json.dumps({**own, **made}, ensure_ascii=False, default=str) + "\n")
    return "".join(out)
