"""``seqdemo.json``: what a checkpoint says about itself. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import CheckpointError
from .pretrained import MANIFEST

__all__ = [
    "CARD",
    "FORMAT",
    "OWN_FILES",
    "WEIGHTS",
    "FileEntry",
    "Manifest",
    "Part",
    "digest",
    "read_manifest",
    "verify_files",
]

FORMAT = 1
CARD = "README.md"
WEIGHTS = "model.safetensors"
OWN_FILES = (MANIFEST, CARD, WEIGHTS, "tokenizer/*", "tokenizers/*")
"""Patterns of everything a checkpoint consists of."""

_LARGEST = 4_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class FileEntry(_Strict):
    """Size and SHA-256 of one file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Part(_Strict):
    """A registered thing by name, its config, and who provided it when the checkpoint was made."""

    name: str
    config: dict[str, Any] = {}
    distribution: str = ""
    version: str = ""


class Manifest(_Strict):
    """The manifest of a checkpoint. It names registered things, never import paths.

    Attributes:
        format: version of this layout.
        summary: one sentence for listings.
        made_by: ``"seqdemo 0.1.0"``.
        dtype: floating-point type of the weights on disk.
        task, models, tokenizers: parts, by role.
        license: SPDX expression of the weights.
        examples: prompts worth trying.
        options: prediction options this checkpoint prefers to the schema's defaults.
        metrics: measured values, as the model card explains them.
        files: every other file of the folder.
    """

    format: int
    summary: str = ""
    made_by: str = ""
    dtype: str = "float32"
    task: Part
    models: dict[str, Part]
    tokenizers: dict[str, Part]
    license: str = ""
    examples: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    files: dict[str, FileEntry]

    @property
    def fingerprint(self) -> str:
        """Identifies the weights: states made by others do not fit."""
        return self.files[WEIGHTS].sha256


def digest(path: Path) -> FileEntry:
    """Size and hash of a file."""
    with path.open("rb") as file:
        return FileEntry(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """Read and validate a manifest.

    Raises:
        CheckpointError: it is missing, not a manifest, or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a checkpoint: it holds no {MANIFEST}.")
    if path.stat().st_size > _LARGEST:
        raise CheckpointError(f"{path} is {path.stat().st_size} bytes; a manifest has at most {_LARGEST}.")
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}): the checkpoint is damaged, copy it again.") from error
    version = found.get("format") if isinstance(found, dict) else None
    if version != FORMAT:
        hint = "Upgrade seqdemo." if isinstance(version, int) and version > FORMAT else "Save it again."
        raise CheckpointError(f"{folder} has checkpoint format {version!r}; this seqdemo reads {FORMAT}. {hint}")
    try:
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{path} is not a valid manifest: {field}: {first['msg'].lower()}.") from error
    if WEIGHTS not in manifest.files:
        raise CheckpointError(f"{path} lists no {WEIGHTS}.")
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest.

    Raises:
        CheckpointError: naming the first file that is missing, truncated or altered.
    """
    for name, entry in manifest.files.items():
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name:
            raise CheckpointError(f"{folder} names a file outside itself: {name!r}.")
        path = folder / pure
        if not path.is_file():
            raise CheckpointError(f"{folder} lacks {name}: the checkpoint is incomplete, copy it again.")
        size = path.stat().st_size
        if size != entry.bytes:
            how = "truncated" if size < entry.bytes else "altered"
            raise CheckpointError(f"{path} is {how}: {size} bytes, expected {entry.bytes}. Copy it again.")
        if digest(path) != entry:
            raise CheckpointError(f"{path} was altered: its SHA-256 is not the one in {MANIFEST}. Copy it again.")
