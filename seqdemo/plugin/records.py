"""Records: how a plugin announces what it brings. Plain data, so that listing them imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Column", "LoaderRecord", "ModelRecord", "Record", "StepperRecord", "TaskRecord", "TokenizerRecord"]


@dataclass(frozen=True, slots=True)
class Record:
    """What every record says.

    Attributes:
        name: the name a user types, lower-case words joined by ``-``.
        implementation: import path ``"package.module:Class"`` of the class that does the work.
        config: import path of its pydantic config class; that module imports no torch.
        summary: one sentence for listings.
    """

    name: str
    implementation: str
    config: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class TokenizerRecord(Record):
    """A :class:`seqdemo.plugin.Tokenizer`."""


@dataclass(frozen=True, slots=True)
class ModelRecord(Record):
    """A :class:`seqdemo.plugin.RecurrentModel`."""


@dataclass(frozen=True, slots=True)
class TaskRecord(Record):
    """A :class:`seqdemo.plugin.TaskHead`."""


@dataclass(frozen=True, slots=True)
class LoaderRecord(Record):
    """A :class:`seqdemo.plugin.Loader`; its config, a :class:`seqdemo.plugin.LoaderConfig`, recognises folders."""


@dataclass(frozen=True, slots=True)
class StepperRecord(Record):
    """A :class:`seqdemo.plugin.Prepared`; its config, a :class:`seqdemo.plugin.StepperConfig`, says whom it serves."""


@dataclass(frozen=True, slots=True)
class Column:
    """One named column of a task's data.

    Attributes:
        name: the field of a JSON line or the column of a CSV file; also the key in ``predict`` inputs.
        kind: ``"text"``, ``"label"``, ``"series"``, ``"audio"`` or a kind of the plugin's own.
        required: whether a row without it is an error.
        role: ``"input"`` is given at prediction time, ``"target"`` only while training.
    """

    name: str
    kind: str = "text"
    required: bool = True
    role: Literal["input", "target"] = "input"
