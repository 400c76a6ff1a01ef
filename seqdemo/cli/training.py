"""``train`` and ``eval``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seqdemo.manager import manager
from seqdemo.plugin.config import BeamOptions, Config
from seqdemo.training.config import TrainingConfig
from seqdemo.training.presets import PRESETS, Preset, settings

from .loading import given_options, schema
from .schema import MODEL_ALIASES, SchemaCommand, collect, options

__all__ = ["evaluate", "train"]

_ARGUMENTS = "seqdemo.cli.training.arguments"


def _files(args: Sequence[str], flags: frozenset[str]) -> list[str]:
    """``--data a b`` as ``--data a --data b``: every word up to the next flag is a file."""
    spread: list[str] = []
    current = ""
    for position, token in enumerate(args):
        if token == "--":
            return [*spread, *args[position:]]
        if token.startswith("-") and token != "-":
            current = token if token in flags else ""
            spread += [] if current else [token]
        else:
            spread += [current, token] if current else [token]
    return spread


class _FilesCommand(SchemaCommand):
    """A command whose ``--data`` and ``--validation`` take several files."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, _files(args, frozenset({"--data", "--validation"})))


def _command_line(ctx: click.Context) -> str:
    parent = ctx.parent.params if ctx.parent is not None else {}
    folders = [word for folder in parent.get("folders") or () for word in ("--plugins", str(folder))]
    return shlex.join(["seqdemo", *folders, ctx.info_name or "train", *ctx.meta[_ARGUMENTS]])


def _base(chosen: Mapping[str, Any]) -> Preset:
    return settings(chosen.get("preset_name"), chosen.get("task"))


def _schemas(chosen: Mapping[str, Any]) -> dict[str, type[Config]]:
    """Config classes by flag prefix, for the names on the command line.

    Raises:
        UnknownNameError: one of them is not registered.
    """
    base = _base(chosen)
    return {
        "model": manager().config_class("models", chosen.get("model") or base.model),
        "tokenizer": manager().config_class("tokenizers", chosen.get("tokenizer") or base.tokenizer),
        "task": manager().config_class("tasks", chosen.get("task") or base.task),
    }


def _training_flags(chosen: Mapping[str, Any]) -> Sequence[click.Parameter]:
    schemas = _schemas(chosen)
    return [
        *options(TrainingConfig),
        *options(schemas["model"], prefix="model", aliases=MODEL_ALIASES),
        *options(schemas["tokenizer"], prefix="tokenizer"),
        *options(schemas["task"], prefix="task"),
    ]


def _prediction_flags(chosen: Mapping[str, Any]) -> Sequence[click.Parameter]:
    """Of a task that is judged by texts that are searched for."""
    found = schema(chosen.get("checkpoint"))
    return options(found) if issubclass(found, BeamOptions) else ()


def _escaped(text: str) -> str:
    """``\\n`` and ``\\t`` as a shell user types them."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _reading(function: Any) -> Any:
    """Flags that say how data files are read."""
    for option in (
        click.option(
            "--join", default="\\n", show_default=True, help="Put between the texts where a JSON value is a list."
        ),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="NAME=COLUMN",
            help="What a column of the task is called in the files; several are tried in turn. May be repeated.",
        ),
    ):
        function = option(function)
    return function


@click.command(cls=_FilesCommand, more=_training_flags)
@click.argument("task", required=False)
@click.option("--model", metavar="NAME", help="Recurrent model: seqdemo models.  [default: lstm]")
@click.option("--tokenizer", metavar="NAME", help="Tokenizer: seqdemo tokenizers.  [default: the task's]")
@click.option(
    "--preset", "preset_name", metavar="NAME", help=f"Settings to start from: {', '.join(PRESETS)}. Other flags win."
)
@click.option(
    "--init-from",
    metavar="CHECKPOINT",
    help="Begin from a checkpoint: its tokenizers, and its weights where name and shape are the same.",
)
@click.option("--data", multiple=True, metavar="FILE...", help="Text, .jsonl, .csv or .tsv; also .xz and .gz.")
@click.option(
    "--validation", multiple=True, metavar="FILE...", help="Files to validate on, rather than a share of the data."
)
@click.option("--out", metavar="DIR", help="Folder of the run, which is the best checkpoint too.")
@_reading
@click.option("--overwrite", is_flag=True, help="Start afresh where DIR holds a run. Without it, the run goes on.")
@click.option("--summary", help="One sentence for listings and the model card.")
@click.option("--license", "licence", help="SPDX expression of the checkpoint's licence.")
@click.option("--example", "examples", multiple=True, help="A prompt worth trying. May be repeated.")
@click.option("--notes", type=click.Path(exists=True, dir_okay=False), help="Markdown file for the model card's end.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    task: str | None,
    model: str | None,
    tokenizer: str | None,
    preset_name: str | None,
    init_from: str | None,
    data: tuple[str, ...],
    validation: tuple[str, ...],
    out: str | None,
    columns: tuple[str, ...],
    join: str,
    overwrite: bool,
    summary: str | None,
    licence: str | None,
    examples: tuple[str, ...],
    notes: str | None,
    quiet: bool,
    **params: Any,
) -> None:
    """Train a checkpoint for TASK (default: the preset's, or generation) on your data.

    Stopped with Ctrl-C or killed, the same command goes on from where it was. The flags below are those of the
    chosen names: seqdemo train generation --model gru --help shows a GRU's.
    """
    if not data:
        raise click.UsageError("No data file was named. Give at least one with --data.", ctx)
    if not out:
        raise click.UsageError("No folder was named. Say where the checkpoint goes with --out.", ctx)
    from seqdemo.training.api import train as run
    from seqdemo.training.data import parse_columns
    from seqdemo.training.signals import TrainingInterrupted

    schemas = _schemas(ctx.params)
    about: dict[str, Any] = {"summary": summary, "license": licence, "examples": list(examples)}
    try:
        done = run(
            task,
            data=data,
            out=out,
            model=model,
            tokenizer=tokenizer,
            validation=validation,
            preset=preset_name,
            init_from=init_from,
            task_config=collect(schemas["task"], params, prefix="task"),
            model_config=collect(schemas["model"], params, prefix="model"),
            tokenizer_config=collect(schemas["tokenizer"], params, prefix="tokenizer"),
            columns=parse_columns(columns),
            join=_escaped(join),
            about={name: value for name, value in about.items() if value},
            notes=Path(notes).read_text("utf-8") if notes else "",
            overwrite=overwrite,
            progress=not quiet,
            command=_command_line(ctx),
            **collect(TrainingConfig, params),
        )
    except TrainingInterrupted as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(130)
    if done.rank == 0:
        found = ", ".join(f"{name} {value:.4g}" for name, value in done.metrics.items()) or "nothing was held out"
        click.echo(f"{done.folder}: step {done.best_step} of {done.steps}, {done.seconds:.0f} s, {found}")


@click.command(cls=_FilesCommand, more=_prediction_flags)
@click.argument("checkpoint")
@click.option("--data", multiple=True, metavar="FILE...", help="Text, .jsonl, .csv or .tsv; also .xz and .gz.")
@_reading
@click.option(
    "--part",
    type=click.Choice(["all", "train", "validation"]),
    default="all",
    show_default=True,
    help="All of the data, or one side of the split that training makes.",
)
@click.option("--fraction", type=float, default=0.1, show_default=True, help="Share held out by that split.")
@click.option(
    "--streams",
    type=int,
    default=16,
    show_default=True,
    help="Parallel streams, each from a fresh state; 1 reads everything in one piece, slowly.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "auto"]), default="fp32", show_default=True, help="To compute in."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    checkpoint: str,
    data: tuple[str, ...],
    columns: tuple[str, ...],
    join: str,
    part: str,
    fraction: float,
    streams: int,
    device: str,
    precision: str,
    as_json: bool,
    **params: Any,
) -> None:
    """Measure CHECKPOINT, a name, folder or hub id, on data files.

    A checkpoint that translates is also measured by its translations: seqdemo eval CHECKPOINT --help shows how they
    can be made.
    """
    if not data:
        raise click.UsageError("No data file was named. Give at least one with --data.", ctx)
    from seqdemo.training.api import evaluate as run
    from seqdemo.training.data import parse_columns

    metrics = run(
        checkpoint,
        data,
        columns=parse_columns(columns),
        join=_escaped(join),
        part=part,
        fraction=fraction,
        streams=streams,
        device=device,
        precision=precision,
        options=given_options(checkpoint, params),
    )
    if as_json:
        click.echo(json.dumps({**metrics, "notes": metrics.notes} if metrics.notes else metrics))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "value", title=checkpoint)
    table.columns[1].justify = "right"
    for name, value in metrics.items():
        table.add_row(name.replace("_", " "), f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}")
    Console().print(table)
    for note in metrics.notes:
        click.echo(note)
