"""What the configs of models made of residual blocks have in common. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from seqdemo.plugin import ModelConfig

__all__ = ["BlocksConfig", "Heads", "Kernel"]

Kernel = Annotated[
    int, Field(ge=2, le=16, description="How many positions, its own included, the short convolution sees.")
]
Heads = Annotated[
    int,
    Field(
        ge=1,
        le=256,
        description="Independent parts of the width; lowered to the next number that divides it.",
    ),
]


class BlocksConfig(ModelConfig):
    """Residual blocks with a norm before each branch; ``hidden_size`` is the width of the residual stream."""

    dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on what each branch adds to the residual stream.")
    ] = 0.0
