"""Training and evaluation. Names that need torch are resolved when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .config import TrainingConfig
from .presets import PRESETS, Preset

if TYPE_CHECKING:
    from .api import Trained, evaluate, train
    from .report import Listener
    from .signals import TrainingInterrupted

__all__ = [
    "PRESETS",
    "Listener",
    "Preset",
    "Trained",
    "TrainingConfig",
    "TrainingInterrupted",
    "evaluate",
    "train",
]

_HOMES = {
    "Listener": "report",
    "Trained": "api",
    "TrainingInterrupted": "signals",
    "evaluate": "api",
    "train": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
