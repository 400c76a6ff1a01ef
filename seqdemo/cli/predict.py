"""``predict``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .generate import ranked
from .loading import PredictionCommand, given_options, load, loading, read_text

if TYPE_CHECKING:
    from seqdemo import Pipeline
    from seqdemo.plugin import Classification

__all__ = ["predict"]

_LONGEST = 200
_WIDTH = 30


class _PredictCommand(PredictionCommand):
    """A command that has no flags of a task before it is said which checkpoint it is about."""

    def _options(self, chosen: Mapping[str, Any]) -> Sequence[click.Parameter]:
        return super()._options(chosen) if chosen.get("checkpoint") else ()


@click.command(cls=_PredictCommand)
@click.argument("checkpoint")
@click.argument("texts", nargs=-1)
@click.option(
    "--data",
    type=click.Path(),
    metavar="FILE",
    help="Inputs from a file: .jsonl, .csv, .tsv, or text with one input in each line; also .xz and .gz.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    help="What a column of the task is called in the file. May be repeated.",
)
@loading
@click.option("--json", "as_json", is_flag=True, help="Print each result as a line of JSON as soon as it is there.")
@click.pass_context
def predict(
    ctx: click.Context,
    /,
    checkpoint: str,
    texts: tuple[str, ...],
    data: str | None,
    columns: tuple[str, ...],
    device: str,
    dtype: str | None,
    offline: bool,
    as_json: bool,
    **params: Any,
) -> None:
    """Say what CHECKPOINT, a name, folder or hub id, makes of TEXTS: of a sentiment checkpoint, their classes.

    Of a translator, --n-best prints each text found with its score, the best first, and an empty line after those of
    one input. A text of - is read from standard input. seqdemo predict CHECKPOINT --help also shows the flags of its
    task, like --explain.
    """
    if bool(texts) == bool(data):
        raise click.UsageError("Give the texts, or name a file that holds them with --data.", ctx)
    pipe = load(checkpoint, device, dtype, offline)
    inputs = _rows(pipe, data, columns) if data else map(read_text, texts)
    for result in pipe(iter(inputs), **given_options(checkpoint, params)):
        click.echo(json.dumps(asdict(result), ensure_ascii=False) if as_json else _shown(result))


def _rows(pipe: Pipeline, data: str, columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """The inputs in a file; a line of a text file is one."""
    from seqdemo.training.data import parse_columns, read

    wanted = [column for column in pipe.head.config.columns if column.role == "input"]
    for table in read([data], wanted, parse_columns(columns)):
        if table.plain:
            ((name, text),) = table.rows[0].items()
            yield from ({name: line} for line in text.removesuffix("\n").split("\n"))
        else:
            yield from table.rows


def _shown(result: Any) -> str:
    from seqdemo.plugin import Classification, Translation

    if isinstance(result, Classification):
        return _classified(result)
    several = isinstance(result, Translation) and len(result.alternatives) > 1
    return ranked(result.alternatives) + "\n" if several else str(result)


def _classified(result: Classification) -> str:
    """The label with its probability and the text; below it what each token did, where that was asked for."""
    text = " ".join(result.text[:_LONGEST].split()) + ("..." if len(result.text) > _LONGEST else "")
    lines = [f"{result.label:<12} {result.scores[result.label]:>6.1%}  {text}"]
    for place, token in enumerate(result.tokens):
        cells = [f"    {token!r:<{_WIDTH}}"]
        if result.contributions is not None:
            cells.append(f"{result.contributions[place]:+8.3f}")
        if result.running is not None:
            cells.append(f"{result.running[result.label][place]:>7.1%}")
        lines.append(" ".join(cells))
    return "\n".join(lines)
