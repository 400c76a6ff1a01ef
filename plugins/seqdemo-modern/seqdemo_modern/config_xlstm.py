"""Configs of xLSTM's two cells. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .config_blocks import BlocksConfig, Heads, Kernel

__all__ = ["MLSTMConfig", "SLSTMConfig"]


class SLSTMConfig(BlocksConfig):
    """Scalar memory, exponential gates, recurrent weights within each head."""

    num_heads: Heads = 4
    conv_kernel: Kernel = 4
    expansion: Annotated[
        float, Field(gt=0.0, le=16.0, description="Width of the gated MLP, in widths of the residual stream.")
    ] = 4 / 3


class MLSTMConfig(BlocksConfig):
    """Matrix memory, exponential gates, no recurrent weights."""

    num_heads: Heads = 4
    conv_kernel: Kernel = 4
    expansion: Annotated[
        int, Field(ge=1, le=16, description="Width of the memory's block, in widths of the residual stream.")
    ] = 2
    chunk_size: Annotated[
        int,
        Field(ge=1, le=4096, description="Positions read side by side; the result does not depend on it."),
    ] = 64
