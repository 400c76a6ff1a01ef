"""Data files -> rows of named columns. Every complaint names the file and the line."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import lzma
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdemo.errors import ConfigError, DataError
from seqdemo.plugin import Column

__all__ = ["Row", "Source", "Table", "parse_columns", "read", "records"]

Row = dict[str, Any]

_ROWS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
_PACKED = (".xz", ".gz")
_LIST = "The data may be text, .jsonl, .csv or .tsv, each also as .xz or .gz."


@dataclass(frozen=True, slots=True)
class Source:
    """A data file: its name without folders, size and SHA-256 as it lies on disk."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file.

    Attributes:
        source: the file.
        rows: column name -> value. Of text files that belong together line by line, the first has them all.
        plain: the file is one running text, so it can be split anywhere.
    """

    source: Source
    rows: list[Row]
    plain: bool


def parse_columns(pairs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``["text=story", "text=sentences"] -> {"text": ("story", "sentences")}``, as ``--column`` is given.

    Raises:
        ConfigError: not of the form NAME=COLUMN.
    """
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise ConfigError(f"--column {pair!r} is not accepted: it is NAME=COLUMN, like text=story.")
        found[name] = (*found.get(name, ()), column)
    return found


def read(
    files: Sequence[str | Path],
    columns: Sequence[Column],
    mapping: Mapping[str, str | Sequence[str]] | None = None,
    join: str = "\n",
) -> list[Table]:
    """Read data files.

    Args:
        files: text, ``.jsonl``, ``.csv`` or ``.tsv``, each also ``.xz`` or ``.gz``; any other ending is text. For a
            task that needs several text columns, as many text files in a row, in the order of the columns, belong
            together line by line: ``train.de train.en``.
        columns: the columns a task declares.
        mapping: what a declared column is called in the files; several names are tried in turn, its own last.
        join: put between the texts where a JSON value is a list of them.

    Raises:
        DataError: a file that is missing, empty, not text, or lacks a column; files that belong together and do not
            have the same number of lines.
        ConfigError: ``mapping`` names a column the task does not have.
    """
    if not files:
        raise DataError("No data file was named. Give at least one with --data.")
    known = {column.name for column in columns}
    for name in mapping or {}:
        if name not in known:
            raise ConfigError(f"There is no column {name!r} to map. The task reads: {', '.join(sorted(known))}.")
    names = {column.name: _candidates(column.name, (mapping or {}).get(column.name, ())) for column in columns}
    paths = [Path(file).expanduser() for file in files]
    needed = [column for column in columns if column.required]
    width = len(needed) if len(needed) > 1 and all(column.kind == "text" for column in needed) else 0
    tables: list[Table] = []
    while paths:
        beside = paths[:width]
        if len(beside) > 1 and all(_kind(path) == "text" for path in beside):
            tables += _read_beside(beside, [column.name for column in needed])
            paths = paths[width:]
        else:
            tables.append(_read_one(paths.pop(0), columns, names, join))
    return tables


def records(path: Path) -> list[Row]:
    """The rows of one file, with whatever columns it has. A line of a text file is one, in a column named ``""``.

    Raises:
        DataError: it is missing, empty, not text, or its rows cannot be told apart.
    """
    kind = _kind(path)
    _, text = _open(path)
    if kind == "text":
        return [{"": line} for line in text.removesuffix("\n").split("\n")]
    rows = [dict(row) for _, row in _lines(path, kind, text)]
    if not rows:
        raise DataError(f"{path} holds no rows. {_LIST}")
    return rows


def _candidates(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    listed = (given,) if isinstance(given, str) else tuple(given)
    return (*listed, name)


def _kind(path: Path) -> str:
    """``"text"``, or how a file's rows are written."""
    plain = path.with_suffix("") if path.suffix.lower() in _PACKED else path
    return _ROWS.get(plain.suffix.lower(), "text")


def _open(path: Path) -> tuple[Source, str]:
    """A file and its text.

    Raises:
        DataError: it is missing, empty or not text.
    """
    raw = _bytes(path)
    source = Source(path.name, len(raw), hashlib.sha256(raw).hexdigest())
    text = _text(path, _unpack(path, raw) if path.suffix.lower() in _PACKED else raw)
    if not text.strip():
        raise DataError(f"{path} is empty. {_LIST}")
    return source, text


def _read_beside(paths: Sequence[Path], names: Sequence[str]) -> list[Table]:
    """Text files, a column each, whose lines belong together."""
    opened = [_open(path) for path in paths]
    lines = [text.removesuffix("\n").split("\n") for _, text in opened]
    if len({len(one) for one in lines}) > 1:
        counts = ", ".join(f"{path} has {len(one):,} lines" for path, one in zip(paths, lines, strict=True))
        raise DataError(f"Line by line these files belong together, but {counts}. Name files of equal length.")
    rows = [dict(zip(names, texts, strict=True)) for texts in zip(*lines, strict=True)]
    return [Table(source, [] if place else rows, plain=False) for place, (source, _) in enumerate(opened)]


def _read_one(path: Path, columns: Sequence[Column], names: Mapping[str, tuple[str, ...]], join: str) -> Table:
    kind = _kind(path)
    source, text = _open(path)
    if kind == "text":
        needed = [column for column in columns if column.required]
        if len(needed) != 1 or needed[0].kind != "text":
            listed = ", ".join(column.name for column in needed)
            beside = f", or {len(needed)} text files, line by line" if all(c.kind == "text" for c in needed) else ""
            raise DataError(
                f"{path} is plain text, but this task needs the columns {listed}: give .jsonl or .csv{beside}."
            )
        return Table(source, [{needed[0].name: text}], plain=True)
    rows = [_pick(path, line, found, columns, names, join) for line, found in _lines(path, kind, text)]
    if not rows:
        raise DataError(f"{path} holds no rows. {_LIST}")
    return Table(source, rows, plain=False)


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the files in it.")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no data file {path}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _unpack(path: Path, raw: bytes) -> bytes:
    try:
        return lzma.decompress(raw) if path.suffix.lower() == ".xz" else gzip.decompress(raw)
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path} is not a whole {path.suffix} file: {error}.") from error


def _text(path: Path, raw: bytes) -> str:
    """UTF-8 text with line ends as ``\\n``."""
    hint = "It must be text in UTF-8."
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path} is UTF-16. {hint} Convert it, for example with iconv.")
    if (nul := raw.find(b"\0")) >= 0:
        raise DataError(f"{path}, line {raw.count(10, 0, nul) + 1}: NUL bytes, so this is not text. {hint} {_LIST}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(10, 0, error.start) + 1
        raise DataError(f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8. {hint}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(path: Path, kind: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows with the numbers of their lines."""
    return _json_lines(path, text) if kind == "jsonl" else _csv_lines(path, text, "\t" if kind == "tsv" else ",")


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", "nested too deeply")
            raise DataError(f"{path}, line {number}: not JSON ({why}).") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: a {type(row).__name__}, expected an object with named columns.")
        yield number, row


def _csv_lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    before = csv.field_size_limit(max(len(text), 1))
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        for cells in reader:
            if header is None:
                header = cells
            elif cells:
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, but the header names {len(header)}."
                    )
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}.") from error
    finally:
        csv.field_size_limit(before)


def _pick(
    path: Path,
    line: int,
    found: Mapping[str, Any],
    columns: Sequence[Column],
    names: Mapping[str, tuple[str, ...]],
    join: str,
) -> Row:
    row: Row = {}
    for column in columns:
        name = next((name for name in names[column.name] if found.get(name) is not None), None)
        if name is not None:
            row[column.name] = _value(path, line, name, found[name], column, join)
        elif column.required:
            listed = ", ".join(found) or "none"
            raise DataError(
                f"{path}, line {line}: no column {' or '.join(map(repr, names[column.name]))}. It has: {listed}. "
                f"Say which one to read with --column {column.name}=NAME."
            )
    return row


def _value(path: Path, line: int, name: str, value: Any, column: Column, join: str) -> Any:
    if column.kind != "text":
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = join.join(value)
    if not isinstance(value, str):
        raise DataError(f"{path}, line {line}: column {name!r} is a {type(value).__name__}, expected text.")
    if "\0" in value:
        raise DataError(f"{path}, line {line}: column {name!r} holds a NUL character, which is not text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise DataError(
            f"{path}, line {line}: column {name!r} holds the lone surrogate U+{code:04X}, which is not a character."
        ) from error
    return value
