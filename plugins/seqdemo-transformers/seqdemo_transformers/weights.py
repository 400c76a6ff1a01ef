"""Weight files: found, and compared with the model by their headers, before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from seqdemo.errors import CheckpointError

from .config import read_json

__all__ = ["compare", "fingerprint", "weight_files"]

Shapes = Mapping[str, tuple[int, ...]]

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in the order of their names.

    Raises:
        CheckpointError: there are none, one is missing, or the weights are pickled.
    """
    if (folder / _INDEX).is_file():
        names = read_json(folder / _INDEX).get("weight_map")
        found = sorted({str(name) for name in names.values()}) if isinstance(names, dict) else []
    else:
        found = [_SINGLE] if (folder / _SINGLE).is_file() else []
    for name in found:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{folder / _INDEX} names {name!r}; expected safetensors files beside it.")
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} lacks {name}: the download is incomplete, fetch it again.")
    if found:
        return [folder / name for name in found]
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        raise CheckpointError(
            f"{folder} holds its weights as {pickled[0]}, a pickle, which can run code and is never read here. Convert "
            "it where you trust it: load it with transformers and call save_pretrained, which writes model.safetensors."
        )
    raise CheckpointError(f"{folder} has a config.json but no {_SINGLE}: its weights were not downloaded.")


def _shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointError(f"{path} is not a safetensors file, or truncated: {error}. Copy it again.") from error
    return found


def compare(folder: Path, files: list[Path], outline: Any) -> None:
    """Compare headers with a model that has shapes but no memory.

    Args:
        outline: the model on the meta device.

    Raises:
        CheckpointError: naming the first weight that is missing, unknown or of another shape.
    """
    found = {name.replace("embedding.", "embeddings."): shape for name, shape in _shapes(files).items()}
    expected: Shapes = {name: tuple(tensor.shape) for name, tensor in outline.state_dict().items()}
    tied = getattr(outline, "all_tied_weights_keys", {})
    spare = {name for name, _ in outline.named_buffers()} | set(tied)
    hint = "config.json and the weights belong to different models."
    for name, shape in expected.items():
        if name not in found and name not in tied:
            raise CheckpointError(f"{folder} lacks the weight {name!r}. {hint}")
        if found.get(name, shape) != shape:
            raise CheckpointError(f"{folder}: the weight {name!r} is {found[name]}, expected {shape}. {hint}")
    for name in sorted(found.keys() - expected.keys() - spare):
        raise CheckpointError(f"{folder} holds a weight {name!r}, which the model does not have. {hint}")


def fingerprint(folder: Path, files: list[Path]) -> str:
    """SHA-256 over the config and every weight file."""
    total = sha256()
    for path in (folder / "config.json", *files):
        with path.open("rb") as file:
            total.update(f"{path.name}\0{file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
