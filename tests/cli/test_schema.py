"""Schemas as flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import Field

from seqdemo.cli.schema import MODEL_ALIASES, SchemaCommand, collect, flags, options
from seqdemo.errors import ConfigError
from seqdemo.plugin import ModelConfig, Options, SamplingOptions
from seqdemo.plugin.config import build


class Everything(Options):
    """One field of every sort."""

    number: Annotated[int, Field(ge=1, lt=10, description="A number.")] = 3
    rate: Annotated[float, Field(gt=0.0, description="A rate.")] = 0.5
    on: Annotated[bool, Field(description="A switch.")] = False
    off: Annotated[bool, Field(description="Another.")] = True
    choice: Annotated[Literal["one", "two"], Field(description="A choice.")] = "one"
    maybe: Annotated[int | None, Field(ge=0, description="A number or none.")] = 7
    words: Annotated[tuple[str, ...], Field(description="Words.")] = ()
    sizes: Annotated[list[int], Field(description="Sizes.")] = Field(default_factory=lambda: [1])
    place: Annotated[Path | None, Field(description="A place.")] = None
    table: Annotated[dict[str, int], Field(description="A table.")] = Field(default_factory=dict)
    needed: Annotated[str, Field(description="No default.")]


def parse(schema: type[Any], *arguments: str, prefix: str = "", aliases: Any = None) -> dict[str, Any]:
    """What ``collect`` gives for a command line."""
    found: dict[str, Any] = {}

    @click.command()
    @flags(schema, prefix, aliases)
    def command(**params: Any) -> None:
        found.update(collect(schema, params, prefix))

    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    if result.exit_code:
        raise click.UsageError(result.output)
    return found


def test_nothing_typed_is_nothing_given() -> None:
    """Defaults are the schema's business: what was not typed is absent."""
    assert parse(Everything) == {}


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["--number", "4"], {"number": 4}),
        (["--rate", "1e-3"], {"rate": 0.001}),
        (["--on"], {"on": True}),
        (["--no-off"], {"off": False}),
        (["--choice", "two"], {"choice": "two"}),
        (["--maybe", "2"], {"maybe": 2}),
        (["--maybe", "none"], {"maybe": None}),
        (["--words", "a", "--words", "b"], {"words": ("a", "b")}),
        (["--sizes", "1", "--sizes", "2"], {"sizes": (1, 2)}),
        (["--place", "x/y"], {"place": "x/y"}),
        (["--table", '{"a": 1}'], {"table": {"a": 1}}),
        (["--needed", ""], {"needed": ""}),
    ],
)
def test_values(typed: list[str], given: dict[str, Any]) -> None:
    """Each sort of field is read from its flag, and the schema accepts what was read."""
    assert parse(Everything, *typed) == given
    build(Everything, {"needed": "x", **given}, "this")


@pytest.mark.parametrize(
    "typed", [["--number", "x"], ["--choice", "three"], ["--maybe", "x"], ["--table", "{"], ["--unknown", "1"]]
)
def test_what_cannot_be_read(typed: list[str]) -> None:
    """A value of the wrong sort is a usage error."""
    with pytest.raises(click.UsageError):
        parse(Everything, *typed)


@pytest.mark.parametrize(
    ("schema", "typed", "said"),
    [
        (ModelConfig, ["--hidden-size", "0"], "hidden_size = 0 is not accepted"),
        (SamplingOptions, ["--temperature", "nan"], "temperature = nan is not accepted"),
        (SamplingOptions, ["--temperature", "-1"], "temperature = -1.0 is not accepted"),
        (SamplingOptions, ["--seed", "-1"], "seed = -1 is not accepted"),
    ],
)
def test_bounds_are_checked_by_the_schema(schema: type[Any], typed: list[str], said: str) -> None:
    """Out of bounds is one line from the schema, the same as in Python."""
    with pytest.raises(ConfigError, match=said):
        build(schema, parse(schema, *typed), "this")


def test_prefix_and_aliases() -> None:
    """A prefix becomes part of the flag; aliases name the same field."""
    for typed in (["--model.hidden-size", "8"], ["--hidden", "8"]):
        assert parse(ModelConfig, *typed, prefix="model", aliases=MODEL_ALIASES) == {"hidden_size": 8}
    assert parse(ModelConfig, "--layers", "2", "--dropout", "0.1", prefix="model", aliases=MODEL_ALIASES) == {
        "num_layers": 2,
        "dropout": 0.1,
    }


def test_two_schemas_side_by_side() -> None:
    """Fields of the same name under two prefixes are kept apart."""
    found: list[dict[str, Any]] = []

    @click.command()
    @flags(ModelConfig, "encoder")
    @flags(ModelConfig, "decoder")
    def command(**params: Any) -> None:
        found.extend(collect(ModelConfig, params, prefix) for prefix in ("encoder", "decoder"))

    CliRunner().invoke(command, ["--encoder.dropout", "0.1", "--decoder.dropout", "0.2"], catch_exceptions=False)
    assert found == [{"dropout": 0.1}, {"dropout": 0.2}]


def test_help_says_all() -> None:
    """Descriptions, defaults and bounds stand in the help, in the schema's order."""

    @click.command(context_settings={"max_content_width": 200, "terminal_width": 200})
    @flags(Everything)
    def command(**_: Any) -> None: ...

    text = CliRunner().invoke(command, ["--help"]).output
    assert "A number.  [default: 3; 1<=x<10]" in text
    assert "A rate.  [default: 0.5; 0.0<x]" in text
    assert "A switch.  [default: off]" in text
    assert "Words.  [repeatable]" in text
    assert "No default.  [required]" in text
    assert "INTEGER|NONE" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  --")][:3] == [
        "--number",
        "--rate",
        "--on",
    ]


def test_exclude() -> None:
    """Excluded fields get no flag."""
    assert len(options(ModelConfig, exclude=["dropout"])) == len(options(ModelConfig)) - 1


class Wide(ModelConfig):
    """A config with a field of its own."""

    gates: Annotated[int, Field(ge=1, description="Gates.")] = 4
    peephole: Annotated[bool, Field(description="Peepholes.")] = False


def dynamic() -> tuple[click.Command, list[Any]]:
    """A command whose flags depend on ``--model``, and what it was called with."""
    seen: list[Any] = []

    def more(chosen: Mapping[str, Any]) -> Sequence[click.Parameter]:
        schemas: dict[Any, type[ModelConfig]] = {"wide": Wide, "plain": ModelConfig}
        if chosen["model"] not in schemas or chosen["task"] not in (None, "generation"):
            raise ConfigError(f"unknown {chosen}")
        return options(schemas[chosen["model"]], "model", MODEL_ALIASES)

    @click.command(cls=SchemaCommand, more=more)
    @click.argument("task")
    @click.option("--model", default="plain")
    @click.option("--data", nargs=2)
    def command(task: str, model: str, data: Any, **params: Any) -> None:
        seen.extend([task, model, collect(Wide, params, "model")])

    return command, seen


@pytest.mark.parametrize(
    "typed",
    [
        ["generation", "--model", "wide", "--model.gates", "3", "--model.peephole"],
        ["--model=wide", "--model.gates=3", "--model.peephole", "generation"],
        ["--model.gates", "3", "--model.peephole", "generation", "--model", "wide"],
        ["--model.peephole", "generation", "--data", "a", "b", "--model.gates", "3", "--model", "wide"],
        ["--model.gates", "3", "--model", "wide", "--model.peephole", "--", "generation"],
    ],
)
def test_flags_that_depend_on_others(typed: list[str]) -> None:
    """The further flags are known wherever they stand on the command line."""
    command, seen = dynamic()
    result = CliRunner().invoke(command, typed, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert seen == ["generation", "wide", {"gates": 3, "peephole": True}]


def test_flags_of_another_choice_are_unknown() -> None:
    """A flag that belongs to another model is refused."""
    command, _ = dynamic()
    result = CliRunner().invoke(command, ["generation", "--model.gates", "3"])
    assert result.exit_code == 2
    assert "No such option" in result.output


def test_errors_of_further_flags() -> None:
    """A choice that does not exist is an error, but does not hide the help."""
    command, _ = dynamic()
    assert isinstance(CliRunner().invoke(command, ["generation", "--model", "x"]).exception, ConfigError)
    result = CliRunner().invoke(command, ["generation", "--model", "x", "--help"])
    assert result.exit_code == 0
    assert "--data" in result.output
    assert "--model.gates" in CliRunner().invoke(command, ["generation", "--model", "wide", "--help"]).output
