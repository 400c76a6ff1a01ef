"""A running average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """``a <- d a + (1 - d) w`` after every step, with ``d = min(decay, (1 + n) / (10 + n))`` at step ``n``.

    Args:
        module: whose parameters are averaged.
        decay: 0 is off: the average is the weights themselves.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        self._names = [name for name, p in module.named_parameters() if p.requires_grad]
        self._average = [p.detach().clone() for p in self._weights] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after step ``step`` (from 0) in."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._average, self._weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module holds the averaged weights."""
        if not self.decay:
            yield
            return
        own = [p.detach().clone() for p in self._weights]
        self._set(self._average)
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self._weights, values)

    def state(self) -> dict[str, Tensor]:
        """Averaged weights by parameter name; empty when off."""
        return dict(zip(self._names, self._average, strict=True)) if self.decay else {}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
