"""Checkpoints of others: looked at in a folder or on the hub, then copied into the user's own."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from .errors import CheckpointError, SeqdemoError, UnknownNameError
from .files import home, write_folder
from .foreign import loaders, nobody, recognise
from .manifest import CARD, OWN_FILES, read_manifest
from .pretrained import MANIFEST, CheckpointRecord, checkpoints, describe

__all__ = ["Offer", "add", "offer", "origin"]

_ORIGIN = "origin.json"
_NAME = re.compile(r"\w[\w.+-]{0,63}")
_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_READ = (".safetensors", ".json", ".jsonl", ".txt", ".md", ".model", ".vocab", ".jinja")
"""Endings of files that are fetched: weights are safetensors, everything else is text or a sentencepiece model."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A checkpoint that can be added.

    Attributes:
        place: the folder or the hub id.
        name: what it would be called here.
        record: what listings show of it.
        files: what would be copied or downloaded, and its bytes.
        revision: the hub's commit; empty for a folder.
    """

    place: str
    name: str
    record: CheckpointRecord
    files: tuple[tuple[str, int], ...]
    revision: str = ""

    @property
    def nbytes(self) -> int:
        """Of all files."""
        return sum(size for _, size in self.files)


def offer(place: str) -> Offer:
    """What there is in a folder or on the hub. Of the hub only small files are fetched.

    Raises:
        CheckpointError: nothing that could be loaded, or the hub cannot be asked.
        UnknownNameError: neither a folder nor a hub id.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return _of_folder(folder.resolve())
    if not _HUB.fullmatch(place):
        raise UnknownNameError("folder", place, (), "Give a folder on the server's disk, or a hub id: owner/name.")
    return _of_hub(place)


def add(chosen: Offer, name: str = "") -> CheckpointRecord:
    """Copy or download a checkpoint into the user's own. It is there whole and loads, or not at all.

    Args:
        name: to call it by; that of the offer when empty.

    Raises:
        CheckpointError: the name is taken or none, or it does not load: truncated, altered, of a foreign shape.
        PluginError: it needs a plugin that is not there.
        SeqdemoError: the disk is full, or the hub cannot be asked.
    """
    name = name or chosen.name
    if not _NAME.fullmatch(name):
        raise CheckpointError(f"{name!r} is no name for a checkpoint: use 1 to 64 letters, digits and any of . _ + -")
    if name in {record.name for record in checkpoints()}:
        raise CheckpointError(f"There is a checkpoint named {name!r} already. Add this one by another name.")
    target = home() / "checkpoints" / name
    with write_folder(target) as work:
        try:
            _fill(chosen, work)
            _check(work)
        except SeqdemoError as error:
            raise type(error)(str(error).replace(str(work), chosen.place)) from error
        said = {"from": chosen.place, "revision": chosen.revision}
        (work / _ORIGIN).write_text(json.dumps(said, ensure_ascii=False) + "\n", "utf-8")
    found = describe(target)
    assert found is not None
    return found


def origin(folder: Path) -> str:
    """Where a checkpoint was added from; empty for one that was not."""
    try:
        return str(json.loads((folder / _ORIGIN).read_text("utf-8"))["from"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _of_folder(folder: Path) -> Offer:
    record = describe(folder)
    if record is None:
        raise CheckpointError(f"{folder} is not a checkpoint: it holds no {MANIFEST}, and {nobody()}")
    if record.problem:
        raise CheckpointError(f"{folder} cannot be added: {record.problem}.")
    there = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in there}
    return Offer(str(folder), folder.name, record, _wanted(folder, sizes))


def _of_hub(place: str) -> Offer:
    from huggingface_hub import HfApi, snapshot_download

    try:
        info = HfApi().model_info(place, files_metadata=True)
        sizes = {one.rfilename: one.size or 0 for one in info.siblings or ()}
        probe = [MANIFEST, CARD, *(pattern for _, config in loaders() for pattern in config.probe)]
        small = [name for name in _matching(probe, sizes) if sizes[name] < 10_000_000]
        folder = Path(snapshot_download(place, revision=info.sha, allow_patterns=small))
    except Exception as error:
        raise CheckpointError(f"{place!r} cannot be looked up on the hub: {_line(error)}") from error
    record = describe(folder)
    if record is None:
        raise CheckpointError(f"{place!r} of the hub is not a checkpoint: it holds no {MANIFEST}, and {nobody()}")
    return Offer(place, place.partition("/")[2], record, _wanted(folder, sizes), str(info.sha))


def _wanted(folder: Path, sizes: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """Of all files those that whoever reads the checkpoint reads, in the forms that are read."""
    if (folder / MANIFEST).is_file():
        patterns = list(OWN_FILES)
    else:
        found = recognise(folder)
        patterns = [CARD, *(found.config.files if found is not None else ())]
    return tuple((name, sizes[name]) for name in _matching(patterns, sizes) if name.endswith(_READ))


def _matching(patterns: list[str], sizes: dict[str, int]) -> list[str]:
    return [name for name in sorted(sizes) if any(fnmatch(name, pattern) for pattern in patterns)]


def _fill(chosen: Offer, work: Path) -> None:
    names = [name for name, _ in chosen.files]
    if not chosen.revision:
        for name in names:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(chosen.place) / name, work / name)
        return
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(chosen.place, revision=chosen.revision, allow_patterns=names, local_dir=work)
    except Exception as error:
        raise CheckpointError(f"{chosen.place!r} cannot be fetched from the hub: {_line(error)}") from error
    shutil.rmtree(work / ".cache", ignore_errors=True)
    for path in work.rglob("*"):
        if path.is_file() and path.relative_to(work).as_posix() not in names:
            raise CheckpointError(f"{chosen.place!r} brought {path.name}, which was not asked for. Nothing was added.")


def _check(work: Path) -> None:
    """Read it as loading does: files as the manifest says, parts that are known here, weights of their shapes."""
    from . import checkpoint

    if (work / MANIFEST).is_file():
        listed = read_manifest(work).files
        there = {PurePosixPath(path.relative_to(work)).as_posix() for path in work.rglob("*") if path.is_file()}
        if more := sorted(there - set(listed) - {MANIFEST, CARD}):
            raise CheckpointError(f"{work} holds {more[0]}, which its {MANIFEST} does not list. Copy it again.")
    checkpoint.load(work, local_files_only=True)


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
