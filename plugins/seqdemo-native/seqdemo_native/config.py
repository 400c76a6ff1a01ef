"""Which heads the compiled stepper serves, and in which precision it would. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqdemo.builtin.steppers.config import AttendingStepperConfig
from seqdemo.plugin import Precision, StepperConfig

if TYPE_CHECKING:
    import torch

    from seqdemo.plugin import TokenHead

__all__ = ["SMALL", "NativeStepperConfig", "NativeTranslationConfig"]

SMALL = 1_000_000
"""Weights each token reads up to which full precision is advised: fast enough for any reader."""


class NativeStepperConfig(StepperConfig):
    """Models on ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, one direction, on the CPU, weights of at most 32 bits."""

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        from .weights import layers_of

        io = head.token_io()
        if io is None or io.model is None or io.weight.element_size() > 4 or device.type != "cpu":
            return ()
        if layers_of(io.model) is None:
            return ()
        weights = sum(int(parameter.numel()) for parameter in io.model.parameters()) + io.weight.numel()
        return ("int8", "fp32") if weights > SMALL else ("fp32", "int8")


class NativeTranslationConfig(AttendingStepperConfig):
    """The translation heads that seqdemo's own stepper serves; not on the level ``plain``, where a matrix library is
    faster for many rows."""

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        from .library import level

        offered = super().offers(head, device)
        return tuple(one for one in offered if one != "bf16") if offered and level() != "plain" else ()
