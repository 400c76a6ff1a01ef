"""``train`` and ``evaluate``."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from seqdemo import checkpoint
from seqdemo.errors import ConfigError
from seqdemo.manifest import Manifest
from seqdemo.parts import Parts
from seqdemo.plugin import TokenHead
from seqdemo.plugin.config import build as validate
from seqdemo.version import installed_version

from . import card as cards
from . import prepare, resume
from .config import COSMETIC, TrainingConfig
from .data import read
from .folder import RunFolder
from .judging import Evaluated, judge
from .launch import Team
from .loop import Progress, Trainer
from .objective import measure
from .presets import settings
from .progress import Terminal
from .report import JsonLines, Listener, TensorBoard
from .signals import Interrupt
from .split import split
from .start import Start

__all__ = ["Trained", "evaluate", "train"]

Files = str | Path | Sequence[str | Path]
_IGNORED = frozenset(f"training.{name}" for name in COSMETIC)


@dataclass(frozen=True, slots=True)
class Trained:
    """How a run ended.

    Attributes:
        folder: of the run; it is the best checkpoint too.
        steps: optimiser steps done.
        seconds: time spent, over all interruptions.
        best_step: step of the checkpoint.
        metrics: of the checkpoint on the validation data; empty where none was held out.
        rank: this process's number; the others than 0 wrote and said nothing.
    """

    folder: Path
    steps: int
    seconds: float
    best_step: int
    metrics: dict[str, float]
    rank: int = 0


def train(
    task: str | None = None,
    *,
    data: Files,
    out: str | Path,
    model: str | Mapping[str, str] | None = None,
    tokenizer: str | Mapping[str, str] | None = None,
    validation: Files = (),
    preset: str | None = None,
    init_from: str | Path | None = None,
    task_config: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
    tokenizer_config: Mapping[str, Any] | None = None,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    join: str = "\n",
    about: Mapping[str, Any] | None = None,
    notes: str = "",
    overwrite: bool = False,
    progress: bool = True,
    command: str | None = None,
    listeners: Sequence[Listener] = (),
    **training: Any,
) -> Trained:
    """Train a pipeline and write its best checkpoint to a folder.

    Called again with the same arguments after an interruption, it goes on from where it was.

    Args:
        task, model, tokenizer: registered names (models and tokenizers maybe by role). Without a preset they are
            ``"generation"``, ``"lstm"`` and the tokenizer that the task names: ``"char"``, or ``"words"`` of sentiment.
        data: files to train on; see :func:`seqdemo.training.data.read`.
        out: folder of the run.
        validation: files to validate on; without them a share of ``data`` is held out.
        preset: name of settings to start from; everything given beside it wins.
        init_from: checkpoint to begin from: its tokenizers, and its weights where name and shape are the same.
        task_config, model_config, tokenizer_config: config values.
        columns: what a column of the task is called in the files.
        join: put between the texts of a list.
        about: fields of the checkpoint's manifest: ``summary``, ``license``, ``examples``, ``options``.
        notes: Markdown for the end of the model card.
        overwrite: start afresh where ``out`` holds a run.
        progress: show progress on standard error.
        command: how the card says to reproduce this; by default the command line.
        listeners: who else hears of the progress.
        training: fields of :class:`seqdemo.training.TrainingConfig`.

    Raises:
        ConfigError, UnknownNameError, DataError, DeviceError: something that is not accepted; nothing is written.
        DivergedError: the loss is no longer a number; the last good checkpoint is kept.
        TrainingInterrupted: Ctrl-C; the same call goes on.
    """
    entered = time.monotonic()
    base = settings(preset, task)
    config = validate(TrainingConfig, {**base.training, **training}, "training")
    plans = prepare.choose(
        task or base.task,
        model or base.model,
        tokenizer or base.tokenizer,
        {**base.task_config, **(task_config or {})},
        _over(base.model_config if model in (None, base.model) else {}, model_config or {}),
        {**(base.tokenizer_config if tokenizer in (None, base.tokenizer) else {}), **(tokenizer_config or {})},
    )
    start = None
    if init_from is not None:
        if tokenizer or tokenizer_config:
            raise ConfigError(
                "A run that begins from a checkpoint takes its tokenizers: leave those of --tokenizer out."
            )
        start = Start.read(init_from)
        plans = start.planned(plans)
    mapping = dict(columns or {})
    found = prepare.load_data(plans, _listed(data), _listed(validation), mapping, join, config.validation_fraction)
    team = Team(config)
    out = Path(out).expanduser()
    folder = RunFolder(out if out.name not in ("", "..") else out.resolve())
    choices = {
        **plans.choices(),
        "training": config.model_dump(mode="json"),
        "data": {**found.choices(), "columns": _plain(mapping), "join": join},
        "precision": team.precision,
        "processes": team.world,
    }
    if start is not None:
        choices["init_from"] = start.fingerprint
    said = command or _command()
    fresh = False
    try:
        fresh = _enter(folder, choices, team, overwrite)
        place = folder.staging if fresh else folder.tokenizers
        own = None if start is None else start.parts.head.tokenizers
        parts = prepare.build(plans, found, place, team, config.seed, own)
        note = "" if start is None else start.fill(parts.head)
        notes = "\n\n".join(part for part in (note, notes) if part)
        trainer = _trainer(
            parts, config, team, found, folder, said, dict(about or {}), notes, time.monotonic() - entered
        )
        if team.main:
            trainer.listen(_listeners(folder, config, progress, parts, note), listeners)
            if fresh:
                folder.begin({"status": "running", "choices": choices, "command": said, "made_by": installed_version()})
        team.wait()
        with Interrupt() as interrupt:
            done = trainer.fit(interrupt)
        metrics = {} if not found.held else dict(done.metrics or {})
        if team.main:
            folder.mark("finished", steps=done.step, best_step=done.best_step, metrics=metrics)
            folder.drop_states()
        team.wait()
    finally:
        if team.main:
            folder.unlock()
            if fresh:
                folder.unstage()
    parts.head.eval()
    return Trained(folder.folder, done.step, done.seconds, done.best_step, metrics, team.rank)


def _over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values that win over a preset's; where the preset's are by role and these are not, in every role."""
    by_role = bool(base) and all(isinstance(values, Mapping) for values in base.values())
    if not by_role or set(given) == set(base):
        return {**base, **given}
    return {role: {**values, **given} for role, values in base.items()}


def _listed(files: Files) -> list[str | Path]:
    return [files] if isinstance(files, str | Path) else list(files)


def _plain(mapping: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    return {name: [one] if isinstance(one, str) else list(one) for name, one in mapping.items()}


def _command() -> str:
    name = Path(sys.argv[0]).name
    return shlex.join([name, *sys.argv[1:]]) if name == "seqdemo" else "seqdemo.train(...)"


def _enter(folder: RunFolder, choices: Mapping[str, Any], team: Team, overwrite: bool) -> bool:
    """Decide between starting and resuming; whether the run starts."""
    if team.main:
        folder.lock()
        folder.recover()
        folder.lock()
    team.wait()
    if overwrite:
        folder.check_replaceable()
        return True
    run = folder.found()
    if run is None:
        folder.check_free()
        return True
    if run["status"] == "finished":
        if team.main:
            folder.drop_states()
        raise ConfigError(
            f"{folder.folder} holds a finished run of {run.get('steps')} steps. Name another --out, "
            "or start again with --overwrite."
        )
    if run["status"] == "diverged":
        raise ConfigError(
            f"{folder.folder} holds a run that diverged. Change the options and start again with --overwrite."
        )
    changed = resume.differences(run["choices"], choices, _IGNORED)
    if changed:
        raise resume.refuse(folder.folder, changed)
    return False


def _trainer(
    parts: Parts,
    config: TrainingConfig,
    team: Team,
    found: prepare.Data,
    folder: RunFolder,
    command: str,
    about: dict[str, Any],
    notes: str,
    prepared: float,
) -> Trainer:
    head = parts.head
    if isinstance(head, TokenHead):
        head.prompt({head.config.columns[0].name: config.sample_prompt})
    source = prepare.training_batches(head, found.train, config, team)
    held = None
    if found.held:
        held = prepare.validation_batches(
            head, found.held, config.validation_streams, config.window, config.batch_size, team
        )

    def describe(progress: Progress) -> tuple[str, Mapping[str, Any]]:
        metrics = dict(progress.metrics or {}) if found.held else {}
        text = cards.write(
            name=folder.folder.resolve().name,
            parts=parts,
            config=config,
            data=found.sources,
            validation=found.validation_sources,
            metrics=metrics,
            step=progress.step,
            seconds=progress.seconds,
            command=command,
            about=about,
            notes=notes,
            facts=trainer.facts(),
        )
        return text, {**about, "metrics": metrics}

    trainer = Trainer(parts, config, team, source, held, folder, describe, prepared)
    return trainer


def _listeners(folder: RunFolder, config: TrainingConfig, progress: bool, parts: Parts, note: str) -> list[Listener]:
    found: list[Listener] = [JsonLines(folder)]
    if config.tensorboard:
        found.append(TensorBoard(folder.training / "tensorboard"))
    if progress:
        metric = (config.best or parts.head.config.best).partition(":")[2]
        found.append(Terminal(perplexity=isinstance(parts.head, TokenHead), metric=metric, note=note))
    return found


class _HasParts(Protocol):
    @property
    def parts(self) -> Parts: ...

    manifest: Manifest | None


def evaluate(
    checkpoint_or_pipeline: str | Path | _HasParts,
    data: Files,
    *,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    join: str = "\n",
    part: str = "all",
    fraction: float = 0.1,
    streams: int = 16,
    window: int = 256,
    batch_size: int = 32,
    device: str = "auto",
    precision: str = "fp32",
    options: Mapping[str, Any] | None = None,
) -> Evaluated:
    """The task's metrics on data files. Where texts are streams, the state is carried through them.

    A task that judges its predictions makes one for each row: BLEU and chrF of translations. The result is a ``dict``
    whose ``notes`` say how these were computed.

    Args:
        checkpoint_or_pipeline: a folder, a name, a hub id, or a pipeline in memory.
        data: files; see :func:`seqdemo.training.data.read`.
        columns, join: as for ``train``.
        part: ``"all"``, or ``"train"`` or ``"validation"`` for one side of the split that ``train`` makes.
        fraction: share held out by that split.
        streams: parallel streams; each one starts in a fresh state. 1 reads everything in one piece, slowly.
        window: tokens read at a time; it does not change the result.
        batch_size: examples at a time, for tasks that take examples.
        device: ``"auto"`` is CUDA where there is one. A pipeline stays where it is.
        precision: ``"fp32"``, ``"bf16"`` or ``"auto"``.
        options: how predictions are made; those the checkpoint prefers where not given.

    Raises:
        DataError, ConfigError, CheckpointError, DeviceError: something that cannot be used.
    """
    if part not in ("all", "train", "validation"):
        raise ConfigError(f"part = {part!r} is not accepted: use all, train or validation.")
    values = {
        "precision": precision,
        "validation_fraction": fraction,
        "validation_streams": streams,
        "window": window,
        "batch_size": batch_size,
    }
    if isinstance(checkpoint_or_pipeline, str | Path):
        loaded = checkpoint.load(checkpoint_or_pipeline)
        parts, preferred = loaded.parts, loaded.manifest.options
        config = validate(TrainingConfig, {**values, "device": device}, "evaluation")
    else:
        parts, manifest = checkpoint_or_pipeline.parts, checkpoint_or_pipeline.manifest
        preferred = manifest.options if manifest is not None else {}
        where = next((str(p.device) for p in parts.head.parameters()), "cpu")
        config = validate(TrainingConfig, {**values, "device": where}, "evaluation")
    tables = read(_listed(data), parts.head.config.columns, columns, join)
    carries = parts.head.config.batching == "streams"
    first, held = split(tables, fraction if part != "all" else 0.0, not carries)
    team = Team(config)
    parts.head.to(team.device)
    rows = held if part == "validation" else first
    batches = prepare.validation_batches(parts.head, rows, streams, window, batch_size, team)
    with torch.inference_mode():
        found = Evaluated(measure(parts.head, batches(), carries, team).compute())
    judged = judge(parts.head, rows, {**preferred, **(options or {})}, team.device)
    found.update(judged.metrics)
    found.notes = judged.notes
    return found
