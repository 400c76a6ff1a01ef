"""What is checked: a registered name, a class or a builder, with a config and the failures expected of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_type_hints

from seqdemo.errors import ConfigError, UnknownNameError
from seqdemo.manager import Registered, manager
from seqdemo.plugin.config import Config, ModelConfig, TaskConfig, TokenizerConfig, build

from .catalogue import CHECKS
from .core import Kind

__all__ = ["ModelSubject", "Subject", "TaskSubject", "TokenizerSubject"]

Given = Config | Mapping[str, Any] | None

_BASES: Mapping[Kind, type[Config]] = {"model": ModelConfig, "tokenizer": TokenizerConfig, "task": TaskConfig}
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Subject:
    """Base of the three. A subject has no methods to override: its checks are the kit's, all of them.

    Args:
        implementation: a registered name, a class, or a function that builds one.
        config: an instance of its config class, or values for it; None is the smallest that the kit can make.
        expected_failures: check name -> reason. A check named here must fail; one that passes fails the run.

    Raises:
        UnknownNameError: an expected failure of a check that does not exist.
        ConfigError: an expected failure without a reason.
    """

    kind: ClassVar[Kind]

    implementation: str | Callable[..., Any]
    config: Given = None
    expected_failures: Mapping[str, str] | None = field(default=None, kw_only=True)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ != __name__:
            raise TypeError(
                f"{cls.__name__} derives from a subject of seqdemo.testing, which could override checks in silence. "
                "Make an instance; what must fail goes into expected_failures with a reason."
            )

    def __post_init__(self) -> None:
        names = [check.name for check in CHECKS[self.kind]]
        for name, reason in (self.expected_failures or _NONE).items():
            if name not in names:
                raise UnknownNameError(f"check of a {self.kind}", name, names)
            if not isinstance(reason, str) or not reason.strip():
                raise ConfigError(f"The expected failure of {name!r} has no reason. Say why it cannot be mended.")

    @property
    def label(self) -> str:
        """What it is called in reports."""
        if isinstance(self.implementation, str):
            return self.implementation
        return getattr(self.implementation, "__name__", type(self.implementation).__name__)

    @property
    def registered(self) -> Registered | None:
        """The record and who announced it; None for a class or builder.

        Raises:
            UnknownNameError: nobody announced the name.
        """
        if not isinstance(self.implementation, str):
            return None
        return manager().get(f"{self.kind}s", self.implementation)

    def resolve(self) -> Callable[..., Any]:
        """The class or builder.

        Raises:
            SeqdemoError: nobody announced the name, or it cannot be imported.
        """
        if not isinstance(self.implementation, str):
            return self.implementation
        found: Callable[..., Any] = manager().implementation(f"{self.kind}s", self.implementation)
        return found

    def config_class(self) -> type[Config]:
        """The class of the config: of the instance, of the record, or of the implementation's annotations.

        Raises:
            ConfigError: there is none to be found.
            SeqdemoError: nobody announced the name, or its config cannot be imported.
        """
        if isinstance(self.config, Config):
            return type(self.config)
        if isinstance(self.implementation, str):
            return manager().config_class(f"{self.kind}s", self.implementation)
        for function in (getattr(self.implementation, "__init__", None), self.implementation):
            hints = _hints(function)
            if "config" in hints:
                return hints["config"]
        base = _BASES[self.kind].__name__
        raise ConfigError(
            f"{self.label} does not say what its config is. Give an instance as config, or annotate its argument: "
            f"config: a subclass of {base}."
        )

    def resolve_config(self, small: Sequence[Mapping[str, Any]] = ({},)) -> Config:
        """The config.

        Args:
            small: values to try where none were given, the smallest first; the class's own defaults come last.

        Raises:
            ConfigError: a value is not accepted.
        """
        if isinstance(self.config, Config):
            return self.config
        schema, what = self.config_class(), f"{self.kind} {self.label!r}"
        if self.config is not None:
            return build(schema, self.config, what)
        for values in small:
            try:
                return build(schema, values, what)
            except ConfigError:
                continue
        return build(schema, {}, what)


def _hints(function: Any) -> dict[str, type[Config]]:
    try:
        hints = get_type_hints(function)
    except (TypeError, NameError):
        return {}
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Config)}


@dataclass(frozen=True)
class ModelSubject(Subject):
    """A recurrent model; a builder is called as ``builder(config, input_size)``, a Cell is stacked by its config.

    Args:
        input_size: ``I`` of the vectors it is fed.
    """

    kind = "model"

    input_size: int = field(default=5, kw_only=True)


@dataclass(frozen=True)
class TokenizerSubject(Subject):
    """A tokenizer class; it is trained on ``texts``, or on a sample of the kit's.

    Args:
        texts: must all be expressible after training on them.
    """

    kind = "tokenizer"

    texts: Sequence[str] | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class TaskSubject(Subject):
    """A task head, with a tokenizer and a recurrent model for every role.

    Args:
        rows: of its data, as a user's file would hold them; made by the kit where all columns are texts or labels.
        model: registered name of a recurrent model, or a subject.
        tokenizer: registered name of a tokenizer, or a subject.
    """

    kind = "task"

    rows: Sequence[Mapping[str, Any]] | None = field(default=None, kw_only=True)
    model: str | ModelSubject = field(default="gru", kw_only=True)
    tokenizer: str | TokenizerSubject = field(default="bytes", kw_only=True)
