"""Schemas as click options: the one place where a config or option field becomes a flag.

A command with a fixed schema::

    @click.command()
    @flags(SamplingOptions)                                  # --max-tokens, --temperature, --stop ...
    def generate(**params):
        given = collect(SamplingOptions, params)             # {"max_tokens": 50}: only what the user typed
        options = build(SamplingOptions, given, "generate")  # seqdemo.plugin.config.build: one-line errors

A command whose flags depend on other flags::

    def more(chosen):                                        # chosen: values of the command's own parameters
        config = manager().config_class("models", chosen["model"])
        return options(config, prefix="model", aliases=MODEL_ALIASES)

    @click.command(cls=SchemaCommand, more=more)
    @click.option("--model", default="lstm")
    def train(model, **params):
        given = collect(manager().config_class("models", model), params, prefix="model")

With a prefix a field ``hidden_size`` becomes ``--model.hidden-size``, without one ``--hidden-size``.

How a field becomes a flag: booleans are ``--flag/--no-flag``; ``Literal`` is a choice; ``tuple[X, ...]`` and
``list[X]`` are given by repeating the flag; an optional field takes ``none`` too; any other structure is given as JSON.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types as bounds
import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from seqdemo.errors import SeqdemoError

__all__ = ["MODEL_ALIASES", "SchemaCommand", "collect", "flags", "options"]

F = TypeVar("F", bound=Callable[..., Any])

MODEL_ALIASES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("--hidden",),
    "num_layers": ("--layers",),
    "dropout": ("--dropout",),
}
"""Short flags of the base fields of every recurrent model's config."""

_SIMPLE: Mapping[Any, Any] = {int: click.INT, float: click.FLOAT, str: click.STRING, Path: click.Path()}
_NONE = object()


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not JSON ({error}).") from error


def _or_none(kind: Any) -> Callable[[str], Any]:
    """A type that also takes ``none``, kept apart from a flag that was not given."""
    inner = click.types.convert_type(kind)

    def convert(value: Any) -> Any:
        if value is _NONE or (isinstance(value, str) and value.lower() == "none"):
            return _NONE
        return inner.convert(value, None, None)

    return convert


def _plain(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _optional(annotation: Any) -> tuple[Any, bool]:
    """The annotation without ``None``, and whether it had it."""
    annotation = _plain(annotation)
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = [member for member in get_args(annotation) if member is not type(None)]
    nullable = len(members) < len(get_args(annotation))
    return (_plain(members[0]) if len(members) == 1 else annotation), nullable


def _repeated(annotation: Any) -> Any:
    """The item type of a homogeneous sequence, or None."""
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _plain(arguments[0])
    if get_origin(annotation) in (list, set, frozenset, Sequence) and len(arguments) == 1:
        return _plain(arguments[0])
    return None


def _type(annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return click.Choice([str(choice) for choice in get_args(annotation)])
    return _SIMPLE.get(annotation) or _json


def _limits(field: FieldInfo) -> list[str]:
    """``["0<=x<1"]``, or nothing for a field without bounds."""
    below = above = ""
    for constraint in field.metadata:
        if isinstance(constraint, bounds.Ge):
            below = f"{constraint.ge}<="
        elif isinstance(constraint, bounds.Gt):
            below = f"{constraint.gt}<"
        elif isinstance(constraint, bounds.Le):
            above = f"<={constraint.le}"
        elif isinstance(constraint, bounds.Lt):
            above = f"<{constraint.lt}"
    return [f"{below}x{above}"] if below or above else []


def _default(field: FieldInfo) -> list[str]:
    if field.is_required():
        return ["required"]
    value = field.get_default(call_default_factory=False)
    if value is None or value == () or value == [] or field.default_factory is not None:
        return []
    if isinstance(value, bool):
        value = "on" if value else "off"
    return [f"default: {value!r}" if value == "" else f"default: {value}"]


def _destination(field: str, prefix: str) -> str:
    return f"{prefix.replace('.', '_').replace('-', '_') or 'option'}__{field}"


def _option(name: str, field: FieldInfo, prefix: str, aliases: Sequence[str]) -> click.Option:
    start = f"{prefix}." if prefix else ""
    flag = f"--{start}{name.replace('_', '-')}"
    annotation, nullable = _optional(field.annotation)
    item = _repeated(annotation)
    shown = [*_default(field), *_limits(field), *(["repeatable"] if item is not None else [])]
    described = f"{field.description or ''}  [{'; '.join(shown)}]" if shown else field.description or ""
    declared = [_destination(name, prefix), *aliases, flag]
    if annotation is bool and not nullable:
        declared[-1] = f"{flag}/--{start}no-{name.replace('_', '-')}"
        return click.Option(declared, default=None, help=described)
    kind = _type(annotation if item is None else item)
    if kind is _json or nullable:
        metavar = "JSON" if kind is _json else f"{click.types.convert_type(kind).name.upper()}|NONE"
        parse = _or_none(kind) if nullable and item is None else kind
        return click.Option(declared, type=parse, multiple=item is not None, metavar=metavar, help=described)
    return click.Option(declared, type=kind, multiple=item is not None, help=described)


def options(
    schema: type[BaseModel],
    prefix: str = "",
    aliases: Mapping[str, Sequence[str]] | None = None,
    exclude: Iterable[str] = (),
) -> list[click.Option]:
    """The click options of a schema, one for each field, in the schema's order.

    Args:
        prefix: ``"model"`` gives ``--model.hidden-size``; empty gives ``--hidden-size``.
        aliases: further flags by field name, e.g. :data:`MODEL_ALIASES`; names the schema lacks are ignored.
        exclude: fields that get no flag.
    """
    hidden = set(exclude)
    extra = aliases or {}
    return [
        _option(name, field, prefix, tuple(extra.get(name, ())))
        for name, field in schema.model_fields.items()
        if name not in hidden
    ]


def flags(
    schema: type[BaseModel],
    prefix: str = "",
    aliases: Mapping[str, Sequence[str]] | None = None,
    exclude: Iterable[str] = (),
) -> Callable[[F], F]:
    """A decorator that adds a schema's options to a command, below ``@click.command()``."""

    def decorate(function: F) -> F:
        pending = getattr(function, "__click_params__", [])
        pending.extend(reversed(options(schema, prefix, aliases, exclude)))
        function.__click_params__ = pending  # type: ignore[attr-defined]
        return function

    return decorate


def collect(schema: type[BaseModel], params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values the user gave for a schema's fields: those not typed are absent, so the schema's defaults hold.

    Args:
        params: the command's parameters, as click passes them.
    """
    given: dict[str, Any] = {}
    for name in schema.model_fields:
        value = params.get(_destination(name, prefix))
        if value is None or value == ():
            continue
        given[name] = None if value is _NONE else value
    return given


class SchemaCommand(click.Command):
    """A command some of whose options depend on the values of others.

    Args:
        more: given the values of the command's own parameters (as typed, or their defaults), the further parameters.
            It runs before the command line is parsed in full, maybe more than once, and for ``--help``; arguments may
            be None then. Raise a ``SeqdemoError`` or ``click.UsageError`` for names that do not exist; the help then
            shows the command's own parameters only.
    """

    _KEY = "seqdemo.cli.more"

    def __init__(
        self, *args: Any, more: Callable[[Mapping[str, Any]], Sequence[click.Parameter]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._more = more

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        further: Sequence[click.Parameter] = ctx.meta.get(self._KEY, ())
        if not further:
            return own
        return [*own[:-1], *further, own[-1]] if ctx.help_option_names else [*own, *further]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        help_wanted = not set(ctx.help_option_names).isdisjoint(args)
        try:
            ctx.meta[self._KEY] = self._further(ctx, args)
        except Exception:
            if not help_wanted:
                raise
        return super().parse_args(ctx, args)

    def _further(self, ctx: click.Context, args: Sequence[str]) -> list[click.Parameter]:
        """The further parameters, for what the user chose.

        Whether an unknown flag takes a value is not known at first, and so neither is what the arguments are: two
        guesses are made, and checked once the flags are known.
        """
        failed: Exception | None = None
        for values in (True, False):
            guess = self._peek(ctx, self._known(args, self.params, values))
            try:
                further = list(self._more(guess))
            except (SeqdemoError, click.ClickException) as error:
                failed = failed or error
                continue
            exact = self._peek(ctx, self._known(args, [*self.params, *further], values))
            return further if exact == guess else list(self._more(exact))
        raise failed or click.UsageError("The flags cannot be told.", ctx)

    def _peek(self, ctx: click.Context, args: list[str]) -> dict[str, Any]:
        """What a command line without unknown flags says about the command's own parameters."""
        lenient = click.Context(self, info_name=ctx.info_name, parent=ctx.parent, resilient_parsing=True)
        lenient.allow_extra_args = True
        with lenient.scope(cleanup=False):
            click.Command.parse_args(self, lenient, args)
        return {param.name: lenient.params.get(param.name) for param in self.params if param.name}

    def _known(self, args: Sequence[str], params: Sequence[click.Parameter], values: bool) -> list[str]:
        """The command line without flags that are not the command's own; ``values``: unknown flags take one."""
        options = {flag: param for param in params for flag in (*param.opts, *param.secondary_opts)}
        kept: list[str] = []
        rest = list(args)
        while rest:
            token = rest.pop(0)
            if token == "--":
                return [*kept, token, *rest]
            if not token.startswith("-") or token == "-":
                kept.append(token)
                continue
            param = options.get(token.partition("=")[0])
            count = 0
            if isinstance(param, click.Option):
                count = 0 if param.is_flag or param.count else param.nargs
            elif values and rest and not rest[0].startswith("-"):
                count = 1
            taken = [token, *rest[: 0 if "=" in token else count]]
            del rest[: len(taken) - 1]
            kept += taken if param in self.params else []
        return kept
