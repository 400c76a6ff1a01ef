"""Checkpoints that ship with the package, and the look-up by name. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqdemo.errors import CheckpointError, UnknownNameError
from seqdemo.files import home

__all__ = ["MANIFEST", "CheckpointRecord", "checkpoints", "find"]

MANIFEST = "seqdemo.json"


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
    problem: str = ""


def _roots() -> list[tuple[Literal["shipped", "user"], Path]]:
    return [("user", home() / "checkpoints"), ("shipped", Path(__file__).parent)]


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
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return CheckpointRecord(folder.name, "", "", folder, source, problem=f"{MANIFEST} cannot be read: {error!r}")


def _walk() -> Iterator[CheckpointRecord]:
    for source, root in _roots():
        if root.is_dir():
            yield from (_read(folder, source) for folder in sorted(root.iterdir()) if (folder / MANIFEST).is_file())


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
    if (folder / MANIFEST).is_file():
        return folder
    named = {record.name: record.folder for record in checkpoints()}
    if str(name) in named:
        return named[str(name)]
    if folder.is_dir():
        raise CheckpointError(f"{folder} is not a checkpoint: it holds no {MANIFEST}.")
    owner, slash, rest = str(name).partition("/")
    if slash and owner and rest and "/" not in rest and not str(name).startswith((".", "~")):
        return None
    hint = "A folder or a hub id (owner/name) is accepted too."
    raise UnknownNameError("checkpoint", str(name), named, hint)
