"""The whole state of a run <-> bytes: safetensors and JSON, never pickle.

After restoring it, one CPU thread computes bit for bit what it would have without the interruption.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from seqdemo.errors import CheckpointError, ConfigError

__all__ = ["differences", "fill_head", "head_tensors", "pack", "rng_get", "rng_set", "unpack"]

TENSORS = "tensors.safetensors"
NUMBERS = "state.json"
_PYTHON = 625
_NUMPY = 624


def head_tensors(head: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, shared ones once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in head.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor.detach()
    return found


@torch.no_grad()
def fill_head(head: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy saved values into the head.

    Raises:
        CheckpointError: names or shapes differ.
    """
    own = head_tensors(head)
    if own.keys() != tensors.keys() or any(own[name].shape != tensors[name].shape for name in own):
        raise CheckpointError("The saved training state belongs to another model. Start again with --overwrite.")
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def rng_get(device: torch.device) -> dict[str, Tensor]:
    """Every random number generator of this process, as ``(1, n)`` integer tensors on the device."""
    version, words, gauss = random.getstate()
    kind: Any = np.random.get_state(legacy=True)
    found = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "python.rest": _floats(float(version), gauss),
        "numpy": torch.tensor(np.asarray(kind[1], dtype=np.int64)),
        "numpy.rest": _floats(float(kind[2]), float(kind[4]) if kind[3] else None),
    }
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return {name: tensor.unsqueeze(0).to(device) for name, tensor in found.items()}


def rng_set(found: Mapping[str, Tensor], rank: int, device: torch.device) -> None:
    """Put back what ``rng_get`` gave, from row ``rank``."""
    mine = {name: tensor[rank].cpu().clone() for name, tensor in found.items()}  # torch wants them at offset 0
    torch.set_rng_state(mine["torch"])
    version, gauss = _from_floats(mine["python.rest"])
    random.setstate((int(version or 0), tuple(mine["python"].tolist()), gauss))
    position, cached = _from_floats(mine["numpy.rest"])
    keys = mine["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position or 0), int(cached is not None), cached or 0.0))
    if device.type == "cuda" and "cuda" in mine:
        torch.cuda.set_rng_state(mine["cuda"], device)


def _floats(*values: float | None) -> Tensor:
    """Numbers that may be missing, exactly."""
    return torch.tensor([float("nan") if value is None else value for value in values], dtype=torch.float64)


def _from_floats(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def pack(
    tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, numbers: Mapping[str, Any]
) -> dict[str, bytes]:
    """The files of a training state: named tensors, the optimizer's moments, and plain numbers."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    scalars: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            key = f"optimizer.{index}.{name}"
            if isinstance(value, Tensor):
                flat[key] = value.detach().cpu().contiguous()
            else:
                scalars[key] = value
    text = json.dumps({**numbers, "scalars": scalars}, indent=1)
    return {TENSORS: save(flat), NUMBERS: text.encode()}


def unpack(folder: Path, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a training state; the optimizer takes its moments back.

    Returns:
        named tensors (on the CPU) and plain numbers.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        tensors = load_file(folder / TENSORS)
        numbers = json.loads((folder / NUMBERS).read_text("utf-8"))
        entries: dict[int, dict[str, Any]] = {}
        moments = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer.")}
        for key, value in (*moments.items(), *numbers["scalars"].items()):
            _, index, name = key.split(".", 2)
            entries.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} is damaged ({error}). Start again with --overwrite.") from error
    return {name: tensor for name, tensor in tensors.items() if name not in moments}, numbers


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], ignore: frozenset[str], where: str = ""
) -> list[str]:
    """Where two nested choices differ, as ``"training.batch_size was 32, is 16"``; equal ones give an empty list."""
    found: list[str] = []
    for name in [*before, *(name for name in now if name not in before)]:
        path = f"{where}{name}"
        if path in ignore:
            continue
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, ignore, f"{path}.")
        elif old != new:
            found.append(f"{path} was {json.dumps(old, ensure_ascii=False)}, is {json.dumps(new, ensure_ascii=False)}")
    return found


def refuse(folder: Path, changed: list[str]) -> ConfigError:
    """The error for a run that was begun with other choices."""
    more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
    return ConfigError(
        f"{folder} holds an unfinished run that was asked for differently: {'; '.join(changed[:3])}{more}. "
        "Ask for the same to resume it, name another --out, or start again with --overwrite."
    )
