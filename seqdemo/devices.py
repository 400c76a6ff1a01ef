"""Which device and which precision were asked for, and what the processor is called."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from .errors import ConfigError, DeviceError

__all__ = ["processor", "resolve_device", "resolve_dtype"]

_CPU_INFO = Path("/proc/cpuinfo")

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """``"auto"`` is the first CUDA device, or the CPU where there is none.

    Raises:
        DeviceError: no such device here.
    """
    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if str(name) == "auto":
        return torch.device(available[min(1, len(available) - 1)])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"There is no device {str(name)!r}. Available: auto, {', '.join(available)}.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        why = "this torch was built without CUDA" if torch.version.cuda is None else "no such GPU is visible"
        raise DeviceError(f"Device {str(name)!r} was asked for, but {why}. Available: auto, {', '.join(available)}.")
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"Device {str(name)!r} is not supported. Available: auto, {', '.join(available)}.")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def resolve_dtype(name: str | torch.dtype | None) -> torch.dtype:
    """A dtype by name; None is float32.

    Raises:
        ConfigError: not a floating-point type that is supported.
    """
    if name is None:
        return torch.float32
    dtype = _DTYPES.get(name) if isinstance(name, str) else name
    if dtype is None or dtype not in _DTYPES.values():
        raise ConfigError(f"dtype = {name!r} is not accepted: use one of {', '.join(_DTYPES)}.")
    return dtype


def processor() -> str:
    """The CPU's name where the system tells it, else its kind."""
    try:
        lines = _CPU_INFO.read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
