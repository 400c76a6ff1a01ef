"""Which heads the built-in steppers serve, and in which precision they would. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqdemo.plugin import Precision, StepperConfig

if TYPE_CHECKING:
    import torch

    from seqdemo.plugin import TokenHead

__all__ = ["SMALL", "AttendingStepperConfig", "GraphStepperConfig", "RecurrentStepperConfig"]

SMALL = 1_000_000
"""Weights each token reads up to which full precision is advised: they stay in a core's own cache, and the time goes
into what surrounds the products."""


class RecurrentStepperConfig(StepperConfig):
    """Elman networks, LSTMs and GRUs on torch's layers, one direction, on the CPU, weights of at most 32 bits."""

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        from seqdemo.builtin.models.fused import GRU, LSTM, RNN

        io = head.token_io()
        if io is None or io.weight.element_size() > 4 or device.type != "cpu":
            return ()
        model = io.model
        if model is None or type(model) not in (RNN, LSTM, GRU) or not model.causal:
            return ()
        return _by_size(sum(int(parameter.numel()) for parameter in model.parameters()) + io.weight.numel())


class AttendingStepperConfig(StepperConfig):
    """Translation without input feeding by Elman networks, LSTMs or GRUs on torch's layers, on the CPU, weights of at
    most 32 bits."""

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        if device.type != "cpu":
            return ()
        from seqdemo.builtin.models.fused import GRU, LSTM, RNN
        from seqdemo.builtin.translation.head import TranslationHead
        from seqdemo.plugin import Bidirectional

        # A subclass may have changed what a step does.
        if type(head) is not TranslationHead or head.config.input_feeding or head.bias.element_size() > 4:
            return ()
        layers = list(head.encoder.layers)
        readers = [each for layer in layers if isinstance(layer, Bidirectional) for each in (layer.ahead, layer.back)]
        models = [head.decoder, head.refiner, *readers]
        if len(readers) < 2 * len(layers) or any(type(model) not in (RNN, LSTM, GRU) for model in models):
            return ()
        parts = (head.decoder, head.refiner, head.combine, head.embedding)
        return _by_size(sum(int(parameter.numel()) for part in parts for parameter in part.parameters()))


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


def _by_size(weights: int) -> tuple[Precision, ...]:
    """Precisions on the CPU for so many weights a token, the advised one first."""
    from .products import integers

    return ("int8", "fp32", "bf16") if weights > SMALL and integers() else ("fp32", "bf16", "int8")
