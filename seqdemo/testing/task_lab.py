"""What the checks of task heads work with: heads around a small tokenizer and model, rows, batches."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel

from seqdemo.manager import Registered
from seqdemo.plugin import TaskConfig

if TYPE_CHECKING:
    from .subjects import TaskSubject

__all__ = ["TaskLab"]


class TaskLab:
    """Builds the subject afresh for every use, around tokenizers trained once."""

    def __init__(self, subject: TaskSubject) -> None:
        self.subject = subject

    @property
    def registered(self) -> Registered | None:
        return self.subject.registered

    @property
    def schemas(self) -> tuple[type[BaseModel], ...]:
        config = cast(type[TaskConfig], self.subject.config_class())
        return config, config.options

    @cached_property
    def config(self) -> TaskConfig:
        return cast(TaskConfig, self.subject.resolve_config(({"embedding_size": 6}, {})))
