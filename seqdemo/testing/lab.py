"""What the labs of the three kinds have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from pydantic import BaseModel
from torch import nn

from seqdemo.manager import Registered

if TYPE_CHECKING:
    from .subjects import Subject

__all__ = ["Lab", "nudge"]

S = TypeVar("S", bound="Subject")


class Lab(Generic[S]):
    """What the checks of a subject work with."""

    def __init__(self, subject: S) -> None:
        self.subject = subject

    @property
    def registered(self) -> Registered | None:
        """The subject's record; None for a class or builder."""
        return self.subject.registered

    @property
    def schemas(self) -> tuple[type[BaseModel], ...]:
        """Every schema that users fill in."""
        return (self.subject.config_class(),)


def nudge(module: nn.Module) -> None:
    """Move float64 parameters a little from where they start, so that none is zero by convention."""
    draw = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.requires_grad:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
