"""Listings: ``models``, ``tokenizers``, ``tasks``, ``checkpoints``. They import no implementation."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click

from seqdemo.manager import manager
from seqdemo.pretrained import CheckpointRecord
from seqdemo.pretrained import checkpoints as named_checkpoints

__all__ = ["checkpoints", "json_option", "models", "print_json", "print_table", "size_text", "tasks", "tokenizers"]

_WIDTH_OF_PIPES = 120
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def size_text(nbytes: int) -> str:
    """A number of bytes for people: ``"512 B"``, ``"3.1 MB"``."""
    size = float(nbytes)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{nbytes} B"
        size /= 1000
    return f"{size:.3g} GB"


def print_json(value: Any) -> None:
    """A value as JSON, for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], nothing: str, *, numbers: bool = False) -> None:
    """A table as wide as the terminal, or 120 columns where the output is no terminal; ``nothing`` without rows.

    With ``numbers`` all columns but the first are figures: flush right, never on two lines, close together.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    if not listed:
        click.echo(nothing)
        return
    padding = (0, 0) if numbers else (0, 1)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
    for number, column in enumerate(columns):
        figures = numbers and number > 0
        table.add_column(
            column, no_wrap=figures or number == 0, overflow="fold", justify="right" if figures else "left"
        )
    for row in listed:
        table.add_row(*map(Text, row))
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if known else _WIDTH_OF_PIPES).print(table)


def _tell_failed() -> None:
    failed = [info.name for info in manager().plugins() if info.health == "failed"]
    if failed:
        click.echo(f"Failed plugins: {', '.join(failed)}. `seqdemo plugins` says why.", err=True)


def _list_kind(kind: str, as_json: bool) -> None:
    found = manager()
    rows = []
    for record in found.available(kind):
        owner = found.get(kind, record.name)
        rows.append((record.name, record.summary, f"{owner.distribution} {owner.version}".strip()))
    if as_json:
        print_json([dict(zip(("name", "summary", "from"), row, strict=True)) for row in rows])
    else:
        print_table(("name", "what it is", "from"), rows, f"There are no {kind}.")
    _tell_failed()


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List recurrent models, as `train --model` takes them."""
    _list_kind("models", as_json)


@click.command()
@json_option
def tokenizers(as_json: bool) -> None:
    """List tokenizers, as `train --tokenizer` takes them."""
    _list_kind("tokenizers", as_json)


@click.command()
@json_option
def tasks(as_json: bool) -> None:
    """List tasks, as `train` takes them."""
    _list_kind("tasks", as_json)


def _checkpoint_json(record: CheckpointRecord) -> dict[str, Any]:
    return {**asdict(record), "folder": str(record.folder)}


@click.command()
@json_option
def checkpoints(as_json: bool) -> None:
    """List checkpoints that load by name. A folder or a hub id (owner/name) loads too."""
    found = named_checkpoints()
    if as_json:
        print_json([_checkpoint_json(record) for record in found])
        return
    rows = [
        (
            record.name,
            record.task,
            ", ".join(record.models),
            size_text(record.nbytes),
            record.problem or record.summary,
            record.source,
        )
        for record in found
    ]
    nothing = "There are no checkpoints yet. `seqdemo train` makes one."
    print_table(("name", "task", "models", "size", "what it is", "from"), rows, nothing)
