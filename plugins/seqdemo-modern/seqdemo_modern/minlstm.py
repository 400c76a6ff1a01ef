"""minLSTM (Feng et al., "Were RNNs All We Needed?", 2024, section 3.2)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import Trace

from .minimal import MinimalCell, MinimalModel

__all__ = ["MinLSTM", "MinLSTMCell"]


class MinLSTMCell(MinimalCell):
    """``f = σ(W_f x)``, ``i = σ(W_i x)``, ``v = W_v x``, with biases; then (section 3.2.3)

    ``h' = f / (f + i) ⊙ h + i / (f + i) ⊙ v``.

    Trace: ``f`` and ``i`` in (0, 1), here after scaling, so that they sum to one; candidate ``v``, ``h``.
    """

    TRACE_RANGES: ClassVar = {"f": (0.0, 1.0), "i": (0.0, 1.0)}

    projections = 3

    def gated(self, projected: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        forget, write, value = projected
        # f / (f + i) = σ(log f - log i): both gates may be too small for a quotient.
        return (F.logsigmoid(forget) - F.logsigmoid(write)).sigmoid(), value

    def shown(self, keep: Tensor, value: Tensor) -> Trace:
        return {"f": keep, "i": 1 - keep, "v": value}


class MinLSTM(MinimalModel):
    """minLSTM in residual blocks."""

    cell: ClassVar[type[MinimalCell]] = MinLSTMCell
