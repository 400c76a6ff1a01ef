"""Listings: ``models``, ``tokenizers``, ``tasks``, ``checkpoints``, ``plugins``. They import no implementation."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click

from seqdemo.manager import PluginInfo, manager
from seqdemo.pretrained import CheckpointRecord
from seqdemo.pretrained import checkpoints as named_checkpoints

__all__ = ["checkpoints", "models", "plugins", "size_text", "tasks", "tokenizers"]

_WIDTH_OF_PIPES = 120
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def size_text(nbytes: int) -> str:
    """A number of bytes for people: ``"512 B"``, ``"3.1 MB"``."""
    size = float(nbytes)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{nbytes} B"
        size /= 1000
    return f"{size:.3g} GB"


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], nothing: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    if not listed:
        click.echo(nothing)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
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
        _print_json([dict(zip(("name", "summary", "from"), row, strict=True)) for row in rows])
    else:
        _print_table(("name", "what it is", "from"), rows, f"There are no {kind}.")
    _tell_failed()


@click.command()
@_json
def models(as_json: bool) -> None:
    """List recurrent models, as `train --model` takes them."""
    _list_kind("models", as_json)


@click.command()
@_json
def tokenizers(as_json: bool) -> None:
    """List tokenizers, as `train --tokenizer` takes them."""
    _list_kind("tokenizers", as_json)


@click.command()
@_json
def tasks(as_json: bool) -> None:
    """List tasks, as `train` takes them."""
    _list_kind("tasks", as_json)


def _checkpoint_json(record: CheckpointRecord) -> dict[str, Any]:
    return {**asdict(record), "folder": str(record.folder)}


@click.command()
@_json
def checkpoints(as_json: bool) -> None:
    """List checkpoints that load by name. A folder or a hub id (owner/name) loads too."""
    found = named_checkpoints()
    if as_json:
        _print_json([_checkpoint_json(record) for record in found])
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
    _print_table(("name", "task", "models", "size", "what it is", "from"), rows, nothing)


def _brings(info: PluginInfo) -> str:
    return ", ".join(f"{kind}: {' '.join(names)}" for kind, names in info.records.items() if names) or "nothing"


def _plugin_json(info: PluginInfo) -> dict[str, Any]:
    return {**asdict(info), "health": info.health}


def _print_problems(found: Sequence[PluginInfo], tracebacks: bool) -> None:
    for info in found:
        for problem in info.problems:
            click.echo(f"{info.name}: {problem.severity} ({problem.phase}): {problem.message}")
            if tracebacks and problem.traceback:
                click.echo("".join(f"    {line}" for line in problem.traceback.splitlines(keepends=True)))
    if not tracebacks and any(problem.traceback for info in found for problem in info.problems):
        click.echo("`seqdemo plugins --tracebacks` shows where.")


@click.command()
@_json
@click.option("--tracebacks", is_flag=True, help="Show the whole traceback of each problem.")
@click.option("--strict", is_flag=True, help="Load every config too, and exit with status 1 when anything failed.")
@click.option("--check", is_flag=True, help="Load every config and every implementation too. This takes a while.")
def plugins(as_json: bool, tracebacks: bool, strict: bool, check: bool) -> int:
    """List plugins, what each brings, and what went wrong with it."""
    if strict or check:
        manager().check(implementations=check)
    found = manager().plugins()
    if as_json:
        _print_json([_plugin_json(info) for info in found])
    else:
        rows = [
            (info.name, f"{info.distribution} {info.version}".strip(), info.health, _brings(info), info.source)
            for info in found
        ]
        _print_table(("plugin", "distribution", "health", "brings", "found in"), rows, "There are no plugins.")
        _print_problems(found, tracebacks)
    return 1 if strict and any(info.health == "failed" for info in found) else 0
