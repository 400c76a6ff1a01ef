"""Configs of minGRU, minLSTM, SRU and QRNN. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from seqdemo.plugin import ModelConfig

from .config_blocks import BlocksConfig, Kernel

__all__ = ["MinGRUConfig", "MinLSTMConfig", "QRNNConfig", "SRUConfig"]


class MinimalConfig(BlocksConfig):
    """What minGRU and minLSTM have in common: the cell in a residual block, as in the paper's experiments."""

    expansion: Annotated[
        float, Field(gt=0.0, le=16.0, description="Width of the recurrence, in widths of the residual stream.")
    ] = 1.5
    conv_kernel: Kernel = 4
    mlp_expansion: Annotated[
        float, Field(gt=0.0, le=16.0, description="Width of the gated MLP, in widths of the residual stream.")
    ] = 4 / 3


class MinGRUConfig(MinimalConfig):
    """minGRU: a gated recurrent unit without a reset gate, whose gate sees the input only."""


class MinLSTMConfig(MinimalConfig):
    """minLSTM: forget and input gates that see the input only and are scaled to sum to one."""


class StackedConfig(ModelConfig):
    """What SRU and QRNN have in common: layers directly above one another."""

    bidirectional: Annotated[
        bool, Field(description="Also read from the end; such a model cannot generate or be stepped.")
    ] = False


class SRUConfig(StackedConfig):
    """Simple recurrent unit; its highway connection carries gradients through many layers."""

    highway_bias: Annotated[
        float,
        Field(
            ge=-100.0,
            le=100.0,
            description="Start the highway gates' bias here; below zero, layers begin by passing on their input.",
        ),
    ] = 0.0


class QRNNConfig(StackedConfig):
    """Quasi-recurrent network with fo-pooling."""

    kernel_size: Annotated[
        int, Field(ge=2, le=64, description="How many positions, its own included, the convolutions see.")
    ] = 2
