"""Checkpoints: a pipeline's parts <-> a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .devices import resolve_dtype
from .errors import CheckpointError, ConfigError, PluginError, UnknownNameError
from .files import write_atomic, write_folder
from .foreign import Recognised, loaders, nobody, recognise
from .manager import manager
from .manifest import (
    CARD,
    FORMAT,
    OWN_FILES,
    WEIGHTS,
    FileEntry,
    Manifest,
    Part,
    digest,
    read_manifest,
    verify_files,
)
from .parts import Parts, Spec, assemble, spec
from .plugin import Foreign, Loader, Tokenizer
from .pretrained import MANIFEST, find
from .version import installed_version

__all__ = ["Loaded", "load", "locate", "save", "write_card"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint in memory: float parameters in ``dtype``, on the CPU, in evaluation mode."""

    parts: Parts
    manifest: Manifest
    folder: Path
    card: str


def _unique(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers by name, each tensor once even where modules share it."""
    seen: set[int] = set()
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def _tokenizer_folder(folder: Path, role: str, roles: Mapping[str, Any]) -> Path:
    return folder / "tokenizer" if len(roles) == 1 else folder / "tokenizers" / role


def _part(chosen: Spec) -> Part:
    config = chosen.config.model_dump(mode="json")
    return Part(name=chosen.name, config=config, distribution=chosen.distribution, version=chosen.version)


def save(
    parts: Parts,
    folder: Path,
    *,
    card: str = "",
    dtype: str = "float32",
    about: Mapping[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> Manifest:
    """Write a checkpoint; the folder holds either all of it or what it held before.

    Args:
        parts: what to save.
        folder: where; created, or replaced where it already holds a checkpoint.
        card: text of the model card.
        dtype: floating-point type on disk: ``float32``, ``float16``, ``bfloat16`` or ``float64``.
        about: manifest fields of the user's: ``summary``, ``license``, ``examples``, ``options``, ``metrics``.
        weights: tensors by name to save in place of the head's own (averaged ones, say).

    Raises:
        CheckpointError: the folder holds something else, or the parts are a loader's.
        ConfigError: an unknown dtype.
        SeqdemoError: the disk is full or cannot be written.
    """
    if parts.loader:
        raise CheckpointError(
            f"This pipeline was read from a folder of another program by the loader {parts.loader!r} and cannot be "
            "saved as a checkpoint of seqdemo. Copy that folder instead: it loads wherever the plugin is installed."
        )
    on_disk = resolve_dtype(dtype)
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} exists and is not a checkpoint; it is left alone. Name another folder.")
    own = dict(_unique(parts.head))
    tensors = {name: _on_disk((weights or {}).get(name, tensor).detach(), on_disk) for name, tensor in own.items()}
    with write_folder(folder) as work:
        try:
            save_file(tensors, work / WEIGHTS)
        except SafetensorError as error:  # it wraps a full disk in an error of its own
            raise OSError(str(error)) from error
        for role, tokenizer in parts.head.tokenizers.items():
            place = _tokenizer_folder(work, role, parts.tokenizers)
            place.mkdir(parents=True)
            tokenizer.save(place)
        (work / CARD).write_text(card, "utf-8")
        (work / WEIGHTS).chmod((work / CARD).stat().st_mode)  # safetensors lets only the owner read what it writes
        files = {path.relative_to(work).as_posix(): digest(path) for path in sorted(work.rglob("*")) if path.is_file()}
        manifest = Manifest(
            format=FORMAT,
            made_by=f"seqdemo {installed_version()}",
            dtype=dtype,
            task=_part(parts.task),
            models={role: _part(chosen) for role, chosen in parts.models.items()},
            tokenizers={role: _part(chosen) for role, chosen in parts.tokenizers.items()},
            files={name: entry for name, entry in files.items() if name != CARD},
            **dict(about or {}),
        )
        (work / MANIFEST).write_text(_json(manifest), "utf-8")
    return manifest


def _json(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def _on_disk(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return tensor.cpu().contiguous()


def write_card(folder: Path, card: str, about: Mapping[str, Any] | None = None) -> Manifest:
    """Replace the model card, and manifest fields of the user's, of an existing checkpoint."""
    manifest = read_manifest(folder)
    updated = Manifest.model_validate(manifest.model_dump() | dict(about or {}))
    write_atomic(folder / CARD, card)
    write_atomic(folder / MANIFEST, _json(updated))
    return updated


def locate(name: str | Path, *, local_files_only: bool = False) -> Path:
    """The folder of a checkpoint: a folder, a name, or a hub id, which is downloaded once.

    Of a hub repository only small files are fetched before it is clear who reads it, then what that one reads.

    Raises:
        UnknownNameError, CheckpointError: there is none, or it cannot be had.
    """
    folder = find(name)
    if folder is not None:
        return folder
    probe = [MANIFEST, *(pattern for _, config in loaders() for pattern in config.probe)]
    folder = _fetch(str(name), probe, local_files_only)
    if (folder / MANIFEST).is_file():
        return _fetch(str(name), [*OWN_FILES], local_files_only)
    found = recognise(folder)
    if found is None:
        raise CheckpointError(f"{str(name)!r} of the hub is not a checkpoint: it holds no {MANIFEST}, and {nobody()}")
    return _fetch(str(name), [CARD, *found.config.files], local_files_only)


def _fetch(name: str, patterns: list[str], local_files_only: bool) -> Path:
    """The local copy of a hub repository, with at least the files that match."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=local_files_only))
    except LocalEntryNotFoundError as error:
        where = (
            "is not in the local cache" if local_files_only else "is not in the local cache and the hub did not answer"
        )
        hint = (
            "Allow the download (local_files_only=False), or name a local folder."
            if local_files_only
            else ("Check the network, or name a local folder or one of: seqdemo checkpoints.")
        )
        raise CheckpointError(f"Checkpoint {name!r} {where}. {hint}") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"Checkpoint {name!r} cannot be fetched from the hub: {reason}") from error


def load(name: str | Path, *, dtype: torch.dtype = torch.float32, local_files_only: bool = False) -> Loaded:
    """Read a checkpoint. Nothing is unpickled, and shapes are compared before weights are allocated.

    A folder that another program wrote is read by the loader that recognises it.

    Args:
        name: folder, name or hub id.
        dtype: of the floating-point parameters in memory.
        local_files_only: never ask the hub.

    Raises:
        CheckpointError: truncated, altered, of another version, or of a foreign shape.
        PluginError: it needs a plugin that is not there.
    """
    folder = locate(name, local_files_only=local_files_only)
    foreign = None if (folder / MANIFEST).is_file() else recognise(folder)
    if foreign is not None:
        return _load_foreign(folder, foreign, dtype)
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    task = _resolve("tasks", manifest.task, folder)
    models = {role: _resolve("models", part, folder) for role, part in manifest.models.items()}
    tokenizers: dict[str, tuple[Spec, Tokenizer]] = {}
    for role, part in manifest.tokenizers.items():
        chosen = _resolve("tokenizers", part, folder)
        place = _tokenizer_folder(folder, role, manifest.tokenizers)
        tokenizer = manager().implementation("tokenizers", chosen.name).load(place, chosen.config)
        tokenizers[role] = (chosen, tokenizer)
    for what, asked, given in (
        ("models", task.config.model_roles, models),  # type: ignore[attr-defined]
        ("tokenizers", task.config.tokenizer_roles, tokenizers),  # type: ignore[attr-defined]
    ):
        if set(asked) != set(given):
            raise CheckpointError(f"{folder} has {what} for {sorted(given)}; task {task.name!r} takes {sorted(asked)}.")
    parts = _fill(folder, task, models, tokenizers, dtype)
    card = folder / CARD
    return Loaded(parts, manifest, folder, card.read_text("utf-8", "replace") if card.is_file() else "")


def _load_foreign(folder: Path, found: Recognised, dtype: torch.dtype) -> Loaded:
    """Have a loader read a folder, and give it a manifest in memory."""
    who = manager().get("loaders", found.loader)
    loader: Loader = manager().implementation("loaders", found.loader)(found.config)
    made: Foreign = loader.load(folder, dtype)
    task = Spec("tasks", found.info.task, made.head.config, who.distribution, who.version)
    model = Spec("loaders", found.info.model, found.config, who.distribution, who.version)
    manifest = Manifest(
        format=FORMAT,
        summary=found.info.summary,
        dtype=str(dtype).removeprefix("torch."),
        task=Part(name=task.name, distribution=who.distribution, version=who.version),
        models={role: _part(model) for role in made.head.config.model_roles},
        tokenizers={},
        options=dict(found.info.options),
        files={WEIGHTS: FileEntry(bytes=found.info.nbytes, sha256=made.fingerprint)},
    )
    parts = Parts(task, dict.fromkeys(made.head.config.model_roles, model), {}, made.head, found.loader)
    return Loaded(parts, manifest, folder, made.card)


def _resolve(kind: str, part: Part, folder: Path) -> Spec:
    try:
        return spec(kind, part.name, part.config)
    except UnknownNameError as error:
        one = kind.removesuffix("s")
        by = f"{part.distribution} {part.version}".strip() or "a plugin that is not named"
        raise PluginError(
            f"{folder} needs the {one} {part.name!r}, which came from {by} and is not registered here. "
            "Install that plugin, then look at `seqdemo plugins`."
        ) from error
    except ConfigError as error:
        raise CheckpointError(
            f"{folder} does not fit the installed {part.distribution or part.name}: {error}"
        ) from error


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS} is not a safetensors file: {error}.") from error


def _compare(folder: Path, module: nn.Module, found: Mapping[str, tuple[int, ...]]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in _unique(module)}
    hint = "The weights belong to another model or config, or the model's code has changed since it was trained."
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointError(f"{folder / WEIGHTS} lacks {name!r}. {hint}")
        if found[name] != shape:
            raise CheckpointError(f"{folder / WEIGHTS}: {name!r} is {found[name]}, expected {shape}. {hint}")
    for name in found.keys() - expected.keys():
        raise CheckpointError(f"{folder / WEIGHTS} holds {name!r}, which the model does not have. {hint}")


def _fill(
    folder: Path,
    task: Spec,
    models: dict[str, Spec],
    tokenizers: dict[str, tuple[Spec, Tokenizer]],
    dtype: torch.dtype,
) -> Parts:
    found = _shapes(folder)
    try:
        outline = assemble(task, models, tokenizers, device="meta")
    except (NotImplementedError, RuntimeError):
        outline = None  # a plugin's model that computes while it is built cannot be outlined
    if outline is not None:
        _compare(folder, outline.head, found)
    with torch.random.fork_rng(devices=[]):
        parts = assemble(task, models, tokenizers, device="cpu")
    _compare(folder, parts.head, found)
    parts.head.to(dtype)
    with safe_open(folder / WEIGHTS, framework="pt") as file, torch.no_grad():
        for name, tensor in _unique(parts.head):
            tensor.copy_(file.get_tensor(name))
    parts.head.eval().requires_grad_(False)
    return parts
