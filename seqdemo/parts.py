"""What a pipeline is made of: a task head with its tokenizers and recurrent models, built by registered name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .manager import manager

if TYPE_CHECKING:
    import torch

    from .plugin import Config, RecurrentModel, TaskHead, Tokenizer

__all__ = ["Parts", "Spec", "assemble", "by_role", "spec", "train_tokenizer"]


@dataclass(frozen=True, slots=True)
class Spec:
    """A registered thing and how it is configured.

    Attributes:
        kind: ``"tokenizers"``, ``"models"`` or ``"tasks"``.
        name: registered name.
        config: instance of its config class.
        distribution: who registered it.
        version: of that distribution.
    """

    kind: str
    name: str
    config: Config
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class Parts:
    """A pipeline's parts, tied together in ``head``.

    Attributes:
        loader: what read the head from a folder of another program; its models and tokenizers cannot be built by name.
    """

    task: Spec
    models: dict[str, Spec]
    tokenizers: dict[str, Spec]
    head: TaskHead
    loader: str = ""


def spec(kind: str, name: str, values: Mapping[str, Any] | None = None) -> Spec:
    """Look a name up and validate its config.

    Raises:
        UnknownNameError: nobody registered it.
        ConfigError: a value is not accepted.
    """
    from .plugin.config import build

    found = manager().get(kind, name)
    config = build(manager().config_class(kind, name), values or {}, f"{kind.removesuffix('s')} {name!r}")
    return Spec(kind, name, config, found.distribution, found.version)


def by_role(roles: tuple[str, ...], given: Any, what: str) -> dict[str, Any]:
    """One thing for every role: a mapping is taken by role, anything else serves all roles.

    Raises:
        ConfigError: a role is missing or unknown.
    """
    if not isinstance(given, Mapping):
        return dict.fromkeys(roles, given)
    if set(given) != set(roles):
        raise ConfigError(f"This task takes a {what} for each of: {', '.join(roles)}. Given: {', '.join(given)}.")
    return {role: given[role] for role in roles}


def train_tokenizer(chosen: Spec, texts: Iterable[str]) -> tuple[Spec, Tokenizer]:
    """Train a tokenizer; its config comes back as the tokenizer wants it saved."""
    tokenizer: Tokenizer = manager().implementation("tokenizers", chosen.name).train(texts, chosen.config)
    return Spec(chosen.kind, chosen.name, tokenizer.config, chosen.distribution, chosen.version), tokenizer


def assemble(
    task: Spec,
    models: Mapping[str, Spec],
    tokenizers: Mapping[str, tuple[Spec, Tokenizer]],
    device: torch.device | str | None = None,
) -> Parts:
    """Build the head of a task around fresh recurrent models.

    Args:
        device: where its tensors are made; ``"meta"`` makes none.

    Raises:
        PluginError: an implementation cannot be imported or breaks the contract.
        ConfigError: parts that do not fit each other.
    """
    import torch

    from .plugin import TaskHead, build_model
    from .plugin.config import ModelConfig

    def factory(role: str, input_size: int) -> RecurrentModel:
        chosen = models[role]
        if not isinstance(chosen.config, ModelConfig):
            raise ConfigError(f"The config of model {chosen.name!r} must derive from ModelConfig.")
        return build_model(manager().implementation("models", chosen.name), chosen.config, input_size)

    with torch.device(device) if device is not None else nullcontext():
        made = manager().implementation("tasks", task.name)(
            task.config, {role: tokenizer for role, (_, tokenizer) in tokenizers.items()}, factory
        )
    if not isinstance(made, TaskHead):
        raise ConfigError(f"Task {task.name!r} built a {type(made).__name__}, expected a TaskHead.")
    return Parts(task, dict(models), {role: chosen for role, (chosen, _) in tokenizers.items()}, made)
