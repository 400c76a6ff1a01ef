"""Who hears of a run's progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from seqdemo.errors import ConfigError

from .folder import RunFolder
from .schedule import Plan

__all__ = ["JsonLines", "Listener", "TensorBoard"]


class Listener:
    """Hears of a run, in the main process. Override what is of interest; nothing here may take long."""

    def begin(self, plan: Plan, step: int, facts: Mapping[str, Any]) -> None:
        """The run starts, or goes on from ``step``; ``facts`` are parameters, tokens, device, precision and so on."""

    def step(self, step: int, progress: float, seconds: float) -> None:
        """A step is done; ``progress`` is 0 to 1."""

    def phase(self, name: Literal["train", "validation"]) -> None:
        """What is being done now."""

    def measured(self, record: Mapping[str, Any]) -> None:
        """The training loss and speed since the last time."""

    def validated(self, record: Mapping[str, Any]) -> None:
        """Validation metrics under ``metrics``, ``best`` and ``sample``."""

    def end(self) -> None:
        """The run is over, finished or not."""


class JsonLines(Listener):
    """``metrics.jsonl``."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def measured(self, record: Mapping[str, Any]) -> None:
        self._folder.log({"kind": "train", **record})

    def validated(self, record: Mapping[str, Any]) -> None:
        self._folder.log({"kind": "validation", **record})


class TensorBoard(Listener):
    """Curves beside ``metrics.jsonl``.

    Raises:
        ConfigError: the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "tensorboard = true needs the tensorboard package: pip install 'seqdemo[tensorboard]'."
            ) from error
        self._make: Any = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def begin(self, plan: Plan, step: int, facts: Mapping[str, Any]) -> None:
        self._writer = self._make(str(self._folder))

    def measured(self, record: Mapping[str, Any]) -> None:
        self._scalars(
            "train", {name: value for name, value in record.items() if name not in ("step", "seconds")}, record
        )

    def validated(self, record: Mapping[str, Any]) -> None:
        self._scalars("validation", record["metrics"], record)
        if record.get("sample"):
            self._writer.add_text("sample", record["sample"], record["step"])

    def _scalars(self, group: str, values: Mapping[str, float], record: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, record["step"])

    def end(self) -> None:
        self._writer.close()
