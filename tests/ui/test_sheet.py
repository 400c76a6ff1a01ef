"""Tables that come in, and tables of results that go out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.plugin import Classification, Translation
from seqdemo.ui import sheet as module
from seqdemo.ui.sheet import Sheet, lines, read, to_csv, to_jsonl
from seqdemo.ui.words import PageError

HAPPY = Classification("happy", {"happy": 0.75, "sad": 0.25}, "good")


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_files_are_read_with_whatever_columns_they_have(tmp_path: Path) -> None:
    """CSV, TSV and JSONL give named columns, in the order they are met; a text file gives its lines."""
    (tmp_path / "a.csv").write_bytes('\ufeffreview,stars\r\n"fine, really",5\r\nbad,1\r\n'.encode())
    (tmp_path / "a.tsv").write_text("review\tstars\nfine\t5\n", "utf-8")
    (tmp_path / "a.jsonl").write_text('{"review": "好"}\n\n{"stars": 2, "review": "bad"}\n', "utf-8")
    (tmp_path / "a.txt").write_text("one\n\nthree\n", "utf-8")
    assert read(tmp_path / "a.csv").texts("review") == ["fine, really", "bad"]
    assert read(tmp_path / "a.tsv").columns == ("review", "stars")
    assert read(tmp_path / "a.jsonl").columns == ("review", "stars")
    assert read(tmp_path / "a.jsonl").texts("stars") == [None, "2"]
    assert read(tmp_path / "a.txt").texts("") == ["one", None, "three"]


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("empty.csv", b"  \n", "empty.csv is empty"),
        ("ragged.csv", b"a,b\n1,2\n3\n", "ragged.csv, line 3: 1 cells, but the header names 2"),
        ("latin.csv", "text\nfa\u00e7ade\n".encode("latin-1"), "latin.csv, line 2: byte 0xe7 is not UTF-8"),
        ("header.csv", b"text\n", "header.csv holds no rows"),
        ("bad.jsonl", b'{"a": 1}\n{"a": \n', "bad.jsonl, line 2: not JSON"),
        ("a.xlsx", b"PK", "a.xlsx is of no kind that is read here"),
        ("a.csv.gz", b"\x1f\x8b", "a.csv.gz is of no kind"),
    ],
)
def test_bad_files_are_said_by_name_and_line(tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    """Each kind of damage has a clear line that names the file, never the folder it lies in."""
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(SeqdemoError) as caught:
        read(tmp_path / name)
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert isinstance(caught.value, DataError | PageError)


def test_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the limit is refused before it is read, and the shell's way is named."""
    monkeypatch.setattr(module, "LARGEST", 3)
    (tmp_path / "a.txt").write_text("four", "utf-8")
    with pytest.raises(PageError, match="seqdemo predict --data"):
        read(tmp_path / "a.txt")


def test_a_column_must_be_there() -> None:
    """No column, or one the table lacks, is answered with those it has; a plain text has none to choose."""
    table = Sheet([{"review": "a", "stars": 1}], ("review", "stars"))
    for wrong in (None, "text"):
        with pytest.raises(PageError, match="review, stars"):
            table.chosen(wrong)
    assert lines("a\nb\n").chosen(None) == ""
    with pytest.raises(PageError):
        lines(" \n ")


def test_results_stand_beside_their_rows() -> None:
    """The columns of the input come first; names that are taken are kept apart; what went wrong has a column."""
    table = Sheet(
        [{"text": "good", "label": 1}, {"text": "☠", "label": None}, {"text": "", "label": 3}], ("text", "label")
    )
    head, *rows = parsed(to_csv(table, [HAPPY, "It cannot be read.", None]))
    assert head == ["text", "label", "label (seqdemo)", "probability", "error"]
    assert rows == [
        ["good", "1", "happy", "0.75", ""],
        ["☠", "", "", "", "It cannot be read."],
        ["", "3", "", "", ""],
    ]
    first, second, third = map(json.loads, to_jsonl(table, [HAPPY, "It cannot be read.", None]).splitlines())
    assert first["result"]["scores"] == {"happy": 0.75, "sad": 0.25}
    assert (second["error"], "result" in third) == ("It cannot be read.", False)


def test_only_what_is_done_is_written() -> None:
    """After a stop the files hold the rows that have a result."""
    table = lines("a\nb\nc")
    done = [Translation("a", "A", -0.5)]
    assert parsed(to_csv(table, done)) == [["text", "translation", "score"], ["a", "A", "-0.5"]]
    assert len(to_jsonl(table, done).splitlines()) == 1


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.text(max_size=20))
def test_no_cell_is_a_formula(texts: list[str], made: str) -> None:
    """Whatever texts and results are, no text cell of the CSV begins as a formula does, and none is lost."""
    table = Sheet([{"text": text} for text in texts], ("text",))
    results: list[Any] = [Translation(text, made, -1.5) for text in texts]
    _, *rows = parsed(to_csv(table, results))
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        for cell, whole in ((row[0], text), (row[1], made)):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
            assert cell in (whole, f"'{whole}")
        assert row[2] == "-1.5"
