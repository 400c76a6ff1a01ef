"""Reading data files."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pytest

from seqdemo.errors import ConfigError, DataError
from seqdemo.plugin import Column
from seqdemo.training.data import parse_columns, read

TEXT = (Column("text"),)
PAIR = (Column("source"), Column("target", role="target"), Column("weight", kind="number", required=False))


def put(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("pack", ["", ".xz", ".gz"])
def test_text_reads_the_same_packed_or_not(tmp_path: Path, pack: str) -> None:
    """A text file is one row, whatever it is packed with, with line ends as one newline and no byte order mark."""
    raw = "\ufeffÇa va?\r\n我爱你\rend".encode()
    data = {"": raw, ".xz": lzma.compress(raw), ".gz": gzip.compress(raw)}[pack]
    (table,) = read([put(tmp_path, f"a.txt{pack}", data)], TEXT)
    assert table.rows == [{"text": "Ça va?\n我爱你\nend"}]
    assert table.plain
    assert table.source.bytes == len(data)


def test_rows_of_jsonl_csv_and_tsv_agree(tmp_path: Path) -> None:
    """The same table gives the same rows in each format, quoted line breaks and delimiters included."""
    rows = [{"source": "a, b", "target": "1"}, {"source": "two\nlines", "target": "2"}]
    lines = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    comma = 'source,target\n"a, b",1\n"two\nlines",2\n'
    tab = 'source\ttarget\na, b\t1\n"two\nlines"\t2\n'
    files = [put(tmp_path, "a.jsonl", lines), put(tmp_path, "a.csv", comma), put(tmp_path, "a.tsv", tab)]
    for table in read(files, PAIR):
        assert table.rows == rows
        assert not table.plain


def test_columns_are_mapped_and_lists_joined(tmp_path: Path) -> None:
    """Several names of a column are tried in turn; a list of texts is joined; other columns are ignored."""
    first = put(tmp_path, "a.jsonl", '{"story": "x", "sentences": ["One.", "Two."]}\n')
    second = put(tmp_path, "b.jsonl", '{"text": "Three.", "n": 3}\n')
    mapping = parse_columns(["text=sentences"])
    tables = read([first, second], TEXT, mapping, join=" ")
    assert [table.rows for table in tables] == [[{"text": "One. Two."}], [{"text": "Three."}]]


def test_optional_columns_may_be_missing_and_other_kinds_are_passed_on(tmp_path: Path) -> None:
    """Only text columns must hold text."""
    path = put(tmp_path, "a.jsonl", '{"source":"a","target":"b"}\n{"source":"a","target":"b","weight":2.5}\n')
    (table,) = read([path], PAIR)
    assert table.rows == [{"source": "a", "target": "b"}, {"source": "a", "target": "b", "weight": 2.5}]


BAD = {
    "empty.txt": (b"", "empty"),
    "blank.txt": (b" \n\n", "empty"),
    "empty.txt.gz": (gzip.compress(b""), "empty"),
    "nul.txt": (b"one\ntwo\n\0three", "line 3: NUL"),
    "rubbish.bin": (bytes(range(256)) * 4, "NUL"),
    "latin.txt": (b"one\ncaf\xe9", "line 2: byte 0xe9 is not UTF-8"),
    "utf16.txt": ("one".encode("utf-16"), "UTF-16"),
    "surrogate.txt": (b"ok\n\xed\xa0\x80", "line 2: byte 0xed is not UTF-8"),
    "cut.txt.xz": (lzma.compress(b"one" * 1000)[:-20], "not a whole .xz file"),
    "cut.txt.gz": (gzip.compress(b"one" * 1000)[:-9], "not a whole .gz file"),
    "not.txt.gz": (b"plain", "not a whole .gz file"),
    "bad.jsonl": (b'{"text": "a"}\n{"text": \n', "line 2: not JSON"),
    "array.jsonl": (b"[1, 2]\n", "line 1: a list, expected an object"),
    "deep.jsonl": (b"[" * 100_000 + b"\n", "line 1: not JSON"),
    "missing.jsonl": (b'{"text": "a"}\n{"body": "b"}\n', "line 2: no column 'text'. It has: body. Say"),
    "null.jsonl": (b'{"text": null}\n', "line 1: no column 'text'"),
    "number.jsonl": (b'{"text": 5}\n', "line 1: column 'text' is a int, expected text"),
    "lone.jsonl": (b'{"text": "a"}\n{"text": "\\ud800x"}\n', "line 2: column 'text' holds the lone surrogate U+D800"),
    "nul.jsonl": (b'{"text": "a\\u0000"}\n', "line 1: column 'text' holds a NUL"),
    "ragged.csv": (b"text,b\n1,2\n3\n", "line 3: 1 cells, but the header names 2"),
    "quote.csv": (b'text\n"never closed\n', "line"),
    "header.csv": (b"text\n", "holds no rows"),
    "column.csv": (b"story,b\n1,2\n", "line 2: no column 'text'. It has: story, b"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_their_line(tmp_path: Path, name: str) -> None:
    """Whatever is wrong with a file is one line that names the file and, where there is one, the line."""
    data, said = BAD[name]
    with pytest.raises(DataError) as caught:
        read([put(tmp_path, name, data)], TEXT)
    assert said in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing file, a folder, and no file at all are each said."""
    for files, said in (([tmp_path / "none.txt"], "no data file"), ([tmp_path], "is a folder"), ([], "--data")):
        with pytest.raises(DataError, match=said):
            read(files, TEXT)


def test_plain_text_for_a_task_of_several_columns(tmp_path: Path) -> None:
    """Plain text cannot feed a task that needs more than a text."""
    with pytest.raises(DataError, match="source, target"):
        read([put(tmp_path, "a.txt", "hello")], PAIR)


def test_mapping_of_unknown_columns(tmp_path: Path) -> None:
    """A mapping must be NAME=COLUMN and name a column of the task."""
    with pytest.raises(ConfigError, match="NAME=COLUMN"):
        parse_columns(["text"])
    with pytest.raises(ConfigError, match="no column 'body'"):
        read([put(tmp_path, "a.txt", "hello")], TEXT, {"body": "x"})


def test_text_files_side_by_side_belong_together(tmp_path: Path) -> None:
    """Two text files in a row are the columns of one table; a file of rows may stand among them."""
    (tmp_path / "train.de").write_text("eins\nzwei\n")
    (tmp_path / "train.en.gz").write_bytes(gzip.compress(b"one\ntwo"))
    (tmp_path / "more.tsv").write_text("source\ttarget\ndrei\tthree\n")
    tables = read([tmp_path / "train.de", tmp_path / "train.en.gz", tmp_path / "more.tsv"], PAIR)
    assert [row for table in tables for row in table.rows] == [
        {"source": "eins", "target": "one"},
        {"source": "zwei", "target": "two"},
        {"source": "drei", "target": "three"},
    ]
    assert [table.source.name for table in tables] == ["train.de", "train.en.gz", "more.tsv"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.de": "eins\nzwei\n", "a.en": "one\n"}, r"a\.de has 2 lines, .*a\.en has 1 lines"),
        ({"a.de": "eins\n"}, "source, target: give .jsonl or .csv, or 2 text files, line by line"),
        ({"a.de": "eins\n", "b.csv": "source,target\nx,y\n"}, "a.de is plain text"),
    ],
)
def test_text_files_that_do_not_match(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """One line says how many lines each has, or that one is missing."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read([tmp_path / name for name in files], PAIR)
    assert "\n" not in str(caught.value)
