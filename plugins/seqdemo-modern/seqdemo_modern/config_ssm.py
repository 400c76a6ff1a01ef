"""Configs of the gated and diagonal linear recurrences: RG-LRU, LRU, Mamba. Imports no torch."""

from __future__ import annotations

from math import pi
from typing import Annotated, Self

from pydantic import Field, model_validator

from .config_blocks import BlocksConfig, Heads, Kernel

__all__ = ["LRUConfig", "MambaConfig", "RGLRUConfig"]


class RGLRUConfig(BlocksConfig):
    """Griffin's recurrent block and gated MLP, without its local attention (the model the paper calls Hawk)."""

    num_heads: Heads = 4
    conv_kernel: Kernel = 4
    expansion: Annotated[
        float, Field(gt=0.0, le=16.0, description="Width of the gated MLP, in widths of the residual stream.")
    ] = 3.0


class LRUConfig(BlocksConfig):
    """Linear recurrent unit in a residual block with a gated linear unit."""

    state_size: Annotated[
        int | None, Field(ge=1, le=65_536, description="Complex numbers remembered; none takes hidden_size.")
    ] = None
    min_radius: Annotated[
        float, Field(ge=0.0, lt=1.0, description="The smallest modulus an eigenvalue starts with.")
    ] = 0.0
    max_radius: Annotated[
        float, Field(gt=0.0, lt=1.0, description="The largest modulus an eigenvalue starts with.")
    ] = 0.99
    max_phase: Annotated[
        float, Field(gt=0.0, le=2 * pi, description="The largest phase an eigenvalue starts with, in radians.")
    ] = 2 * pi

    @model_validator(mode="after")
    def _has_a_ring(self) -> Self:
        if self.min_radius >= self.max_radius:
            raise ValueError("min_radius must be below max_radius")
        return self


class MambaConfig(BlocksConfig):
    """Selective state spaces (S6)."""

    state_size: Annotated[int, Field(ge=1, le=1024, description="Numbers remembered for each inner channel.")] = 16
    conv_kernel: Kernel = 4
    expansion: Annotated[int, Field(ge=1, le=16, description="Inner channels, in widths of the residual stream.")] = 2
    step_rank: Annotated[
        int | None,
        Field(
            ge=1, le=65_536, description="Rank of the projection that gives step sizes; none takes hidden_size / 16."
        ),
    ] = None
