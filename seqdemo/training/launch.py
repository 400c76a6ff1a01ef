"""The processes, the device and the precision of a run, through accelerate."""

from __future__ import annotations

import atexit
import os
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor

from seqdemo.devices import resolve_device

from .config import TrainingConfig

__all__ = ["Team", "computes_bf16"]


def computes_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: a GPU or CPU with instructions for it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, flag, lambda: False)()) for flag in flags)


class Team:
    """The processes that train together, as ``accelerate launch`` or ``torchrun`` started them; usually one.

    Attributes:
        rank, world: this process's number and how many there are.
        device: of this process.
        precision: ``"bf16"`` or ``"fp32"``.

    Raises:
        DeviceError: no such device here.
    """

    def __init__(self, config: TrainingConfig) -> None:
        alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        wanted = resolve_device(config.device) if alone or config.device == "cpu" else resolve_device("auto")
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        auto = "bf16" if computes_bf16(wanted) else "fp32"
        self.precision = auto if config.precision == "auto" else config.precision
        self._accelerator = _accelerator(wanted, "bf16" if self.precision == "bf16" else "no", alone)
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device
        if self.world > 1:
            # A group that is still there when Python has gone sometimes aborts the process from a thread of its own.
            atexit.unregister(_leave)
            atexit.register(_leave)
        if config.threads is not None:  # accelerate chooses one by itself where several processes share a CPU
            torch.set_num_threads(config.threads)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def prepare(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module on the device, with autocast and, where there are several processes, synchronised gradients."""
        prepared: torch.nn.Module = self._accelerator.prepare_model(module)
        return prepared

    def autocast(self) -> Any:
        """A context in which the precision of the run holds, for what runs outside a prepared module."""
        return self._accelerator.autocast()

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss, averaged over the processes."""
        self._accelerator.backward(loss)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        return tensor if self.world == 1 else self._accelerator.reduce(tensor, "sum")

    def gather(self, tensor: Tensor) -> Tensor:
        """``(n, ...)`` of each process, one after another: ``(world * n, ...)``."""
        return tensor if self.world == 1 else self._accelerator.gather(tensor)

    def shared(self, values: list[float]) -> list[float]:
        """The main process's numbers, in every process."""
        if self.world == 1:
            return values
        found: list[float] = self.sum(self._numbers(values if self.main else [0.0] * len(values))).tolist()
        return found

    def any(self, flag: bool) -> bool:
        """Whether it is so in some process."""
        return flag if self.world == 1 else bool(self.sum(self._numbers([float(flag)])).item())

    def _numbers(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def wait(self) -> None:
        """Until every process is here."""
        self._accelerator.wait_for_everyone()


def _leave() -> None:
    """End this process's part in the group."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _accelerator(device: torch.device, precision: str, alone: bool) -> Accelerator:
    """accelerate keeps its settings for the life of a process; here they belong to one run."""
    if alone:
        AcceleratorState._reset_state(reset_partial_state=True)
        name = "ACCELERATE_TORCH_DEVICE"
        before = os.environ.get(name)
        os.environ[name] = str(device)
        try:
            return Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
        finally:
            os.environ.pop(name) if before is None else os.environ.update({name: before})
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state()
    return Accelerator(mixed_precision=precision, cpu=device.type == "cpu" or PartialState().device.type == "cpu")
