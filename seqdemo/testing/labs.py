"""The lab of a subject: what its checks work with."""

from __future__ import annotations

from .model_lab import ModelLab
from .subjects import ModelSubject, Subject, TaskSubject, TokenizerSubject
from .task_lab import TaskLab
from .tokenizer_lab import TokenizerLab

__all__ = ["lab_of"]


def lab_of(subject: Subject) -> ModelLab | TokenizerLab | TaskLab:
    """A fresh lab for a subject."""
    if isinstance(subject, ModelSubject):
        return ModelLab(subject)
    if isinstance(subject, TokenizerSubject):
        return TokenizerLab(subject)
    if isinstance(subject, TaskSubject):
        return TaskLab(subject, ModelSubject, TokenizerSubject)
    raise TypeError(f"{subject!r} is not a ModelSubject, TokenizerSubject or TaskSubject")
