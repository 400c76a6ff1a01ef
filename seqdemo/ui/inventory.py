"""What is installed and what is in memory, as the Models tab shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, Literal

from seqdemo.adding import origin
from seqdemo.errors import SeqdemoError
from seqdemo.manifest import CARD, WEIGHTS, read_manifest
from seqdemo.pretrained import MANIFEST, CheckpointRecord

from .loader import Held, Loader
from .source import Source

__all__ = ["Entry", "Memory", "card_text", "entries", "process_bytes"]

Origin = Literal["shipped", "trained", "added", "own", "deleted"]

_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """A pipeline in memory.

    Attributes:
        device: where it is.
        gpu: the name of that device, where it is a GPU.
        precision: what tokens are generated in; empty for what generates none.
        why: why that was chosen, in one line.
        weights: bytes of its parameters and buffers.
        state: bytes of one conversation's state; 0 for what holds none.
        idle: seconds since it was used, None while it is in use.
        changed: whether its folder has other weights by now.
    """

    device: str
    gpu: str
    precision: str
    why: str
    weights: int
    state: int
    idle: float | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint.

    Attributes:
        record: what listings show of it; None where it was deleted while in memory.
        origin: where it comes from.
        place: where it was added from.
        parameters: how many numbers its weights are; None where that is not known before it is loaded.
        memory: what of it is in memory.
    """

    name: str
    record: CheckpointRecord | None
    origin: Origin
    place: str = ""
    parameters: int | None = None
    memory: Memory | None = None


def entries(source: Source, loader: Loader) -> list[Entry]:
    """Everything installed, and whatever else is in memory.

    Raises:
        SeqdemoError: the checkpoints cannot be listed.
    """
    held = {one.name: one for one in loader.held()}
    found = [_entry(record, held.pop(record.name, None), loader) for record in source.installed()]
    deleted = [
        Entry(one.name, None, "deleted", parameters=_count(one.pipe), memory=_memory(one, None, loader))
        for one in held.values()
    ]
    return [*deleted, *found]


def card_text(record: CheckpointRecord) -> str:
    """The model card, as it was written; empty where there is none."""
    try:
        return (record.folder / CARD).read_text("utf-8", "replace")
    except OSError:
        return ""


def process_bytes() -> int:
    """Memory that this process has in use."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _entry(record: CheckpointRecord, held: Held | None, loader: Loader) -> Entry:
    memory = None if held is None else _memory(held, record, loader)
    count = _stored(record.folder / WEIGHTS) if held is None else _count(held.pipe)
    place = origin(record.folder)
    return Entry(record.name, record, _origin(record, place), place, count, memory)


def _origin(record: CheckpointRecord, place: str) -> Origin:
    if record.source == "shipped":
        return "shipped"
    if place:
        return "added"
    return "trained" if (record.folder / "training" / "run.json").is_file() else "own"


def _memory(held: Held, record: CheckpointRecord | None, loader: Loader) -> Memory:
    import torch

    from seqdemo.plugin import TokenHead
    from seqdemo.plugin import state as verbs

    pipe, device = held.pipe, torch.device(held.pipe.device)
    tokens = isinstance(pipe.head, TokenHead)
    return Memory(
        str(device),
        torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        pipe.stepper.precision if tokens else "",
        pipe.stepper.description if tokens else "",
        sum(tensor.nbytes for tensor in (*pipe.head.parameters(), *pipe.head.buffers())),
        verbs.nbytes(pipe.head.initial_state(1)) if tokens else 0,
        loader.idle(held.name),
        record is not None and _other(record, pipe),
    )


def _other(record: CheckpointRecord, pipe: Any) -> bool:
    """Whether the weights on disk are not those in memory."""
    if not (record.folder / MANIFEST).is_file():
        return False
    try:
        return bool(read_manifest(record.folder).fingerprint != pipe.fingerprint)
    except SeqdemoError:
        return False


def _count(pipe: Any) -> int:
    return sum(parameter.numel() for parameter in pipe.head.parameters())


def _stored(path: Path) -> int | None:
    """How many numbers a safetensors file holds, by its header."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _header(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=256)
def _header(path: Path, changed: int, size: int) -> int | None:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, _LARGEST_HEADER):
                return None
            header = json.loads(file.read(length))
        return sum(prod(map(int, one["shape"])) for name, one in header.items() if name != "__metadata__")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
