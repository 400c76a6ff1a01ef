"""Loading a checkpoint for a command, with the prediction options of its task as flags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.plugin.config import Options, SamplingOptions

from .schema import SchemaCommand, collect, options

if TYPE_CHECKING:
    from seqdemo import Pipeline

__all__ = ["PredictionCommand", "given_options", "load", "loading", "precise", "read_text", "schema"]

F = TypeVar("F", bound=Callable[..., Any])


def schema(checkpoint: str | None) -> type[Options]:
    """Option schema of a checkpoint's task; that of generation where the checkpoint is not here yet."""
    if not checkpoint:
        return SamplingOptions
    from seqdemo.manager import manager
    from seqdemo.plugin.config import TaskConfig
    from seqdemo.pretrained import describe, find

    folder = find(checkpoint)
    record = describe(folder) if folder is not None else None
    if record is None or record.problem:
        return SamplingOptions
    config = manager().config_class("tasks", record.task)
    return config.options if issubclass(config, TaskConfig) else SamplingOptions


class PredictionCommand(SchemaCommand):
    """A command on a checkpoint, whose flags are the options of the checkpoint's task."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, more=self._options, **kwargs)

    def _options(self, chosen: Mapping[str, Any]) -> Sequence[click.Parameter]:
        try:
            return options(schema(chosen.get("checkpoint")))
        except SeqdemoError:
            return options(SamplingOptions)  # loading it will say what is wrong


def given_options(checkpoint: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The prediction options the user typed."""
    return collect(schema(checkpoint), params)


def loading(function: F) -> F:
    """Add the flags that say how a checkpoint is loaded."""
    for option in (
        click.option("--offline", is_flag=True, help="Never ask the hub."),
        click.option("--dtype", help="Type of the weights in memory: float32, bfloat16, float16 or float64."),
        click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ..., or auto."),
    ):
        function = option(function)
    return function


def precise(function: F) -> F:
    """Add the flag that says what tokens are generated in."""
    return click.option(
        "--precision", default="auto", show_default=True, help="Generate in fp32, bf16, int8, or auto: by size."
    )(function)


def load(checkpoint: str, device: str, dtype: str | None, offline: bool, precision: str = "auto") -> Pipeline:
    """The pipeline, as the flags of :func:`loading` and :func:`precise` say."""
    import seqdemo
    from seqdemo.pretrained import find

    find(checkpoint)  # a name nobody knows is said before torch is imported
    return seqdemo.load(checkpoint, device=device, dtype=dtype, precision=precision, local_files_only=offline)


def read_text(argument: str) -> str:
    """A text argument; ``-`` is standard input.

    Raises:
        DataError: standard input is not UTF-8.
    """
    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"Standard input is not UTF-8 text: byte 0x{error.object[error.start]:02x} at position {error.start}. "
            "Convert it first, for example with iconv."
        ) from error
