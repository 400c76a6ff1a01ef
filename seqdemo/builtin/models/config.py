"""Configs of the built-in recurrent models. Every default gives what torch's own layer would give."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seqdemo.plugin import ModelConfig

__all__ = [
    "FusedConfig",
    "GRUConfig",
    "LSTMConfig",
    "LayersConfig",
    "RNNConfig",
    "ScratchGRUConfig",
    "ScratchLSTMConfig",
    "ScratchRNNConfig",
]


class LayersConfig(ModelConfig):
    """What all of them have in common."""

    bidirectional: Annotated[
        bool, Field(description="Also read from the end; such a model cannot generate or be stepped.")
    ] = False
    bias: Annotated[bool, Field(description="Add a learned constant in every gate.")] = True


class FusedConfig(LayersConfig):
    """What those on torch's fused layers have in common."""

    weight_dropout: Annotated[
        float,
        Field(
            ge=0.0,
            lt=1.0,
            description="DropConnect on the hidden-to-hidden weights while training, one mask for each pass "
            "(Merity et al. 2018).",
        ),
    ] = 0.0


class ScratchRNNConfig(LayersConfig):
    """Elman's network from its equation."""

    nonlinearity: Annotated[Literal["tanh", "relu"], Field(description="What bounds the new hidden state.")] = "tanh"


class ScratchLSTMConfig(LayersConfig):
    """Long short-term memory from its equations."""

    forget_bias: Annotated[
        float | None,
        Field(
            ge=-100.0,
            le=100.0,
            description="Start the forget gates' bias here (Jozefowicz et al. 2015 advise 1); "
            "none draws it at random as torch does.",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_a_bias_to_set(self) -> Self:
        if self.forget_bias is not None and not self.bias:
            raise ValueError("forget_bias sets a bias, so it needs bias = true")
        return self


class ScratchGRUConfig(LayersConfig):
    """Gated recurrent unit from its equations."""


class RNNConfig(ScratchRNNConfig, FusedConfig):
    """Elman's network on ``torch.nn.RNN``."""


class LSTMConfig(ScratchLSTMConfig, FusedConfig):
    """Long short-term memory on ``torch.nn.LSTM``."""


class GRUConfig(ScratchGRUConfig, FusedConfig):
    """Gated recurrent unit on ``torch.nn.GRU``."""
