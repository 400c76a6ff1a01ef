"""minGRU (Feng et al., "Were RNNs All We Needed?", 2024, section 3.1)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from seqdemo.plugin import Trace

from .minimal import MinimalCell, MinimalModel

__all__ = ["MinGRU", "MinGRUCell"]


class MinGRUCell(MinimalCell):
    """``z = σ(W_z x)``, ``v = W_v x``, ``h' = (1 - z) ⊙ h + z ⊙ v``, with biases (section 3.1.3).

    Trace: gate ``z`` in (0, 1), candidate ``v``, ``h``.
    """

    TRACE_RANGES: ClassVar = {"z": (0.0, 1.0)}

    projections = 2

    def gated(self, projected: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        return (-projected[0]).sigmoid_(), projected[1]

    def shown(self, keep: Tensor, value: Tensor) -> Trace:
        return {"z": 1 - keep, "v": value}


class MinGRU(MinimalModel):
    """minGRU in residual blocks."""

    cell: ClassVar[type[MinimalCell]] = MinGRUCell
