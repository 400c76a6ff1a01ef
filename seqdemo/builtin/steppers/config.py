"""Which heads the built-in steppers serve, and in which precision they would. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqdemo.plugin import Precision, StepperConfig

if TYPE_CHECKING:
    import torch

    from seqdemo.plugin import TokenHead

__all__ = ["SMALL", "GraphStepperConfig", "RecurrentStepperConfig"]

SMALL = 1_000_000
"""Weights each token reads up to which full precision is advised: they stay in a core's own cache, and the time goes
into what surrounds the products."""


class RecurrentStepperConfig(StepperConfig):
    """Elman networks, LSTMs and GRUs on torch's layers, one direction, on the CPU, weights of at most 32 bits."""

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        from seqdemo.builtin.models.fused import GRU, LSTM, RNN

        from .products import integers

        io = head.token_io()
        if io is None or io.weight.element_size() > 4 or device.type != "cpu":
            return ()
        model = io.model
        if model is None or type(model) not in (RNN, LSTM, GRU) or not model.causal:
            return ()
        weights = sum(int(parameter.numel()) for parameter in model.parameters()) + io.weight.numel()
        return ("int8", "fp32", "bf16") if weights > SMALL and integers() else ("fp32", "bf16", "int8")


class GraphStepperConfig(StepperConfig):
    """Whatever causal model stands alone between embedding and output, on CUDA, weights in 32 bits or bfloat16.

    The weights' own precision is advised. Integers of 8 bits are to be had on the CPU only.
    """

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        if device.type != "cuda":
            return ()
        io = head.token_io()
        if io is None or io.model is None or not io.model.causal:
            return ()
        known: dict[str, tuple[Precision, ...]] = {
            "torch.float32": ("fp32", "bf16"),
            "torch.bfloat16": ("bf16", "fp32"),
        }
        return known.get(str(io.weight.dtype), ())
