"""All that a plugin imports. Names that need torch or pydantic are resolved when first used.

from seqdemo.plugin import hookimpl, ModelRecord

@hookimpl
def seqdemo_models():
    return [ModelRecord("my-cell", "my_plugin.model:MyCell", "my_plugin.config:MyConfig", "What it is.")]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .hooks import CONTRACT, hookimpl
from .records import Column, LoaderRecord, ModelRecord, Record, StepperRecord, TaskRecord, TokenizerRecord

if TYPE_CHECKING:
    from . import sequence, state
    from .config import BeamOptions, Config, ModelConfig, Options, SamplingOptions, TaskConfig, TokenizerConfig
    from .events import Alternative, Done, Event, Prefill, Reported, Token, Usage, unpacked
    from .loaders import FolderInfo, Foreign, Loader, LoaderConfig
    from .models import Bidirectional, Cell, RecurrentModel, Stack, Trace, build_model
    from .results import Classification, Generation, Hypothesis, Result, Translation
    from .state import State
    from .stepper import Precision, Prepared, Ran, RunRow, Stepper, StepperConfig
    from .tasks import (
        Batch,
        Context,
        Decoded,
        Judged,
        LossOutput,
        Metrics,
        ModelFactory,
        StepOutput,
        TaskHead,
        TokenHead,
        TokenIO,
    )
    from .tokenizer import TextDecoder, Tokenizer

__all__ = [
    "CONTRACT",
    "Alternative",
    "Batch",
    "BeamOptions",
    "Bidirectional",
    "Cell",
    "Classification",
    "Column",
    "Config",
    "Context",
    "Decoded",
    "Done",
    "Event",
    "FolderInfo",
    "Foreign",
    "Generation",
    "Hypothesis",
    "Judged",
    "Loader",
    "LoaderConfig",
    "LoaderRecord",
    "LossOutput",
    "Metrics",
    "ModelConfig",
    "ModelFactory",
    "ModelRecord",
    "Options",
    "Precision",
    "Prefill",
    "Prepared",
    "Ran",
    "Record",
    "RecurrentModel",
    "Reported",
    "Result",
    "RunRow",
    "SamplingOptions",
    "Stack",
    "State",
    "StepOutput",
    "Stepper",
    "StepperConfig",
    "StepperRecord",
    "TaskConfig",
    "TaskHead",
    "TaskRecord",
    "TextDecoder",
    "Token",
    "TokenHead",
    "TokenIO",
    "Tokenizer",
    "TokenizerConfig",
    "TokenizerRecord",
    "Trace",
    "Translation",
    "Usage",
    "build_model",
    "hookimpl",
    "sequence",
    "state",
    "unpacked",
]

_HOMES = {
    "config": ("BeamOptions", "Config", "ModelConfig", "Options", "SamplingOptions", "TaskConfig", "TokenizerConfig"),
    "events": ("Alternative", "Done", "Event", "Prefill", "Reported", "Token", "Usage", "unpacked"),
    "loaders": ("FolderInfo", "Foreign", "Loader", "LoaderConfig"),
    "models": ("Bidirectional", "Cell", "RecurrentModel", "Stack", "Trace", "build_model"),
    "results": ("Classification", "Generation", "Hypothesis", "Result", "Translation"),
    "state": ("State",),
    "stepper": ("Precision", "Prepared", "Ran", "RunRow", "Stepper", "StepperConfig"),
    "tasks": (
        "Batch",
        "Context",
        "Decoded",
        "Judged",
        "LossOutput",
        "Metrics",
        "ModelFactory",
        "StepOutput",
        "TaskHead",
        "TokenHead",
        "TokenIO",
    ),
    "tokenizer": ("TextDecoder", "Tokenizer"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in ("sequence", "state"):
        return import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
