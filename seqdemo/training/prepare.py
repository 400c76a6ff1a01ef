"""From names and files to parts and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from seqdemo.errors import DataError, SeqdemoError, TokenizerError
from seqdemo.files import write_folder
from seqdemo.manager import manager
from seqdemo.parts import Parts, Spec, assemble, by_role, spec, train_tokenizer
from seqdemo.plugin import Batch, TaskConfig, TaskHead, Tokenizer

from . import batches as make
from .config import TrainingConfig
from .data import Row, Source, read
from .launch import Team
from .split import split

__all__ = ["Data", "Plans", "build", "choose", "load_data", "training_batches", "validation_batches"]


@dataclass(frozen=True, slots=True)
class Plans:
    """What a head will be made of."""

    task: Spec
    models: dict[str, Spec]
    tokenizers: dict[str, Spec]

    @property
    def config(self) -> TaskConfig:
        """Of the task."""
        return cast(TaskConfig, self.task.config)

    def choices(self) -> dict[str, Any]:
        """As JSON, for comparing a run with the one that is resumed."""
        return {
            "task": _chosen(self.task),
            "models": {role: _chosen(one) for role, one in self.models.items()},
            "tokenizers": {role: _chosen(one) for role, one in self.tokenizers.items()},
        }


def _chosen(one: Spec) -> dict[str, Any]:
    return {"name": one.name, "config": one.config.model_dump(mode="json")}


def choose(
    task: str,
    model: str | Mapping[str, str],
    tokenizer: str | Mapping[str, str],
    task_config: Mapping[str, Any],
    model_config: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
) -> Plans:
    """Look every name up and validate every config.

    Raises:
        UnknownNameError, ConfigError: a name or value that is not accepted.
    """
    head = spec("tasks", task, task_config)
    roles = cast(TaskConfig, head.config)

    def all_of(kind: str, asked: tuple[str, ...], given: Any, values: Mapping[str, Any], what: str) -> dict[str, Spec]:
        named = by_role(asked, given, what)
        own = dict(values) if len(asked) > 1 and set(values) == set(asked) else dict.fromkeys(asked, values)
        return {role: spec(kind, name, own[role]) for role, name in named.items()}

    return Plans(
        head,
        all_of("models", roles.model_roles, model, model_config, "model"),
        all_of("tokenizers", roles.tokenizer_roles, tokenizer, tokenizer_config, "tokenizer"),
    )


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to train on and rows held out, and the files they came from."""

    train: list[Row]
    held: list[Row]
    sources: tuple[Source, ...]
    validation_sources: tuple[Source, ...]

    def choices(self) -> dict[str, Any]:
        """As JSON, for comparing."""
        return {
            "files": _by_name(self.sources),
            "validation": _by_name(self.validation_sources),
        }


def _by_name(sources: Sequence[Source]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in sources:
        name, number = one.name, 1
        while name in found:
            number += 1
            name = f"{one.name} ({number})"
        found[name] = one.sha256
    return found


def load_data(
    plans: Plans,
    files: Sequence[str | Path],
    validation: Sequence[str | Path],
    columns: Mapping[str, str | Sequence[str]],
    join: str,
    fraction: float,
) -> Data:
    """Read and split.

    Raises:
        DataError, ConfigError: files that cannot be used.
    """
    declared = plans.config.columns
    tables = read(files, declared, columns, join)
    others = read(validation, declared, columns, join) if validation else []
    train, held = split(tables, 0.0 if others else fraction, plans.config.batching == "examples")
    if others:
        held, _ = split(others, 0.0)
    return Data(train, held, tuple(one.source for one in tables), tuple(one.source for one in others))


def build(
    plans: Plans, data: Data, tokenizers: Path, team: Team, seed: int, given: Mapping[str, Tokenizer] | None = None
) -> Parts:
    """Tokenizers from the training rows, or as they lie in ``tokenizers``, and a head with fresh weights.

    A tokenizer that cannot express the held-out rows (characters, one of which occurs nowhere else) learns its
    vocabulary from these too, as character models are commonly compared; the weights never see them.

    The main process trains tokenizers and writes them; the others read them.

    Args:
        given: tokenizers by role that are not to be trained.
    """
    made: dict[str, tuple[Spec, Tokenizer]] = {}
    for role, chosen in plans.tokenizers.items():
        place = tokenizers / role
        if team.main and not place.is_dir():
            tokenizer = (given or {}).get(role) or _trained(chosen, data, role, plans.config)
            with write_folder(place) as work:
                tokenizer.save(work)
                (work / ".config.json").write_text(tokenizer.config.model_dump_json(), "utf-8")
        team.wait()
        made[role] = _load_tokenizer(chosen, place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        task = replace(plans.task, config=plans.config.completed(data.train))
        return assemble(task, plans.models, made)


def _trained(chosen: Spec, data: Data, role: str, config: TaskConfig) -> Tokenizer:
    _, tokenizer = train_tokenizer(chosen, _texts(data.train, role, config))
    if not _expresses(tokenizer, _texts(data.held, role, config)):
        _, tokenizer = train_tokenizer(chosen, _texts([*data.train, *data.held], role, config))
    return tokenizer


def _expresses(tokenizer: Tokenizer, texts: Iterable[str]) -> bool:
    try:
        for text in texts:
            tokenizer.encode(text)
    except TokenizerError:
        return False
    return True


def _load_tokenizer(chosen: Spec, place: Path) -> tuple[Spec, Tokenizer]:
    import json

    values = json.loads((place / ".config.json").read_text("utf-8"))
    trained = spec("tokenizers", chosen.name, values)
    return trained, manager().implementation("tokenizers", chosen.name).load(place, trained.config)


def _texts(rows: Sequence[Row], role: str, config: TaskConfig) -> Iterable[str]:
    """What a role's tokenizer learns from: the column of its name, or every text column."""
    names = [column.name for column in config.columns if column.kind == "text"]
    names = [role] if role in names and len(names) > 1 else names
    return (row[name] for row in rows for name in names if name in row)


def _encode(head: TaskHead, rows: Sequence[Row]) -> list[Any]:
    encoded: list[Any] = []
    for number, row in enumerate(rows, 1):
        try:
            encoded.append(head.encode(row))
        except SeqdemoError as error:
            raise type(error)(f"Row {number} of the data: {error}") from error
    return encoded


def _sizes(head: TaskHead, encoded: Sequence[Any]) -> list[int] | None:
    """Of encoded rows; None where they are all alike."""
    sizes = [head.size(item) for item in encoded]
    return sizes if len(set(sizes)) > 1 else None


def training_batches(head: TaskHead, rows: Sequence[Row], config: TrainingConfig, team: Team) -> make.Batches:
    """Batches of this process, as the head's ``batching`` says.

    Raises:
        DataError: too little data.
    """
    encoded = _encode(head, rows)
    common: dict[str, Any] = {"device": team.device, "rank": team.rank, "world": team.world, "seed": config.seed}
    if head.config.batching == "streams":
        ids = make.token_ids(encoded)
        return make.Streams(ids, config.batch_size, config.window, shift=config.shift_windows, **common)
    sizes = _sizes(head, encoded) if config.bucketing else None
    return make.Examples(encoded, config.batch_size, head.collate, sizes=sizes, **common)


def validation_batches(
    head: TaskHead, rows: Sequence[Row], streams: int, window: int, batch_size: int, team: Team
) -> Callable[[], Iterable[Batch]]:
    """A function that gives the validation batches of this process anew at each call.

    Raises:
        DataError: too little data.
    """
    encoded = _encode(head, rows)
    common: dict[str, Any] = {"device": team.device, "rank": team.rank, "world": team.world}
    if head.config.batching == "streams":
        ids = make.token_ids(encoded)
        if len(ids) < 2:
            raise DataError(f"The validation data is {len(ids)} tokens; there must be at least 2.")
        return lambda: make.evaluation_streams(ids, streams, window, **common)
    if len(encoded) < team.world:
        raise DataError(f"The validation data is {len(encoded)} rows, too few for {team.world} processes.")
    sizes = _sizes(head, encoded)
    return lambda: make.evaluation_examples(encoded, batch_size, head.collate, sizes=sizes, **common)
