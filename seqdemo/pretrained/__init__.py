"""Checkpoints that ship with the package, and the look-up by name. Imports no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seqdemo.errors import CheckpointError, UnknownNameError
from seqdemo.files import home

__all__ = ["MANIFEST", "CheckpointRecord", "checkpoints", "configure", "describe", "find"]

MANIFEST = "seqdemo.json"
_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint that can be loaded by name.

    Attributes:
        name: what ``seqdemo.load`` takes.
        summary: one sentence.
        task: registered task name.
        folder: where it is.
        source: ``"shipped"`` with the package or the ``"user"``'s own.
        models: registered model names, by role.
        nbytes: size of its weights on disk.
        examples: prompts worth trying.
        options: prediction options it prefers to the schema's defaults.
        loader: registered name of what reads it, where another program wrote it.
        problem: why it cannot be loaded, if that is already clear.
    """

    name: str
    summary: str
    task: str
    folder: Path
    source: Literal["shipped", "user"]
    models: tuple[str, ...] = ()
    nbytes: int = 0
    examples: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    loader: str = ""
    problem: str = ""


def configure(folders: Iterable[str | Path]) -> None:
    """Name checkpoints, and folders of them, beside those in ``SEQDEMO_CHECKPOINTS``."""
    global _folders
    _folders = tuple(map(Path, folders))


def _roots() -> list[tuple[Literal["shipped", "user"], Path]]:
    named = [Path(name) for name in os.environ.get("SEQDEMO_CHECKPOINTS", "").split(os.pathsep) if name]
    own = [Path(os.path.abspath(folder.expanduser())) for folder in (*_folders, *named)]
    return [*(("user", folder) for folder in (*own, home() / "checkpoints")), ("shipped", Path(__file__).parent)]


def _read(folder: Path, source: Literal["shipped", "user"]) -> CheckpointRecord:
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
        return CheckpointRecord(
            folder.name,
            str(found.get("summary", "")),
            str(found["task"]["name"]),
            folder,
            source,
            tuple(str(part["name"]) for part in found["models"].values()),
            int(found["files"]["model.safetensors"]["bytes"]),
            tuple(map(str, found.get("examples", ()))),
            dict(found.get("options", {})),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return CheckpointRecord(folder.name, "", "", folder, source, problem=f"{MANIFEST} cannot be read: {error!r}")


def describe(folder: Path, source: Literal["shipped", "user"] = "user") -> CheckpointRecord | None:
    """What listings show of a folder; None where it holds nothing that can be loaded."""
    if (folder / MANIFEST).is_file():
        return _read(folder, source)
    from seqdemo.foreign import recognise

    found = recognise(folder) if folder.is_dir() and any(folder.iterdir()) else None
    if found is None:
        return None
    info = found.info
    return CheckpointRecord(
        folder.name,
        info.summary,
        info.task,
        folder,
        source,
        (info.model,),
        info.nbytes,
        options=info.options,
        loader=found.loader,
    )


def _walk() -> Iterator[CheckpointRecord]:
    for source, root in _roots():
        if root.is_dir():
            inside = sorted(folder for folder in root.iterdir() if folder.name[0] not in "._")
            found = (describe(folder, source) for folder in ([root] if (root / MANIFEST).is_file() else inside))
            yield from (record for record in found if record is not None)


def checkpoints() -> list[CheckpointRecord]:
    """Every checkpoint that has a name: the user's own hide shipped ones of the same name."""
    named: dict[str, CheckpointRecord] = {}
    for record in _walk():
        named.setdefault(record.name, record)
    return sorted(named.values(), key=lambda record: record.name)


def find(name: str | Path) -> Path | None:
    """The folder of a checkpoint given by folder or by name, or None where it can only be a hub id.

    Raises:
        CheckpointError: the folder holds no checkpoint.
        UnknownNameError: no folder, no name, and no hub id.
    """
    folder = Path(name).expanduser()
    if describe(folder) is not None:
        return folder
    named = {record.name: record.folder for record in checkpoints()}
    if str(name) in named:
        return named[str(name)]
    if folder.is_dir():
        from seqdemo.foreign import nobody

        raise CheckpointError(f"{folder} is not a checkpoint: it holds no {MANIFEST}, and {nobody()}")
    owner, slash, rest = str(name).partition("/")
    if slash and owner and rest and "/" not in rest and not str(name).startswith((".", "~")):
        return None
    hint = "A folder or a hub id (owner/name) is accepted too."
    raise UnknownNameError("checkpoint", str(name), named, hint)
