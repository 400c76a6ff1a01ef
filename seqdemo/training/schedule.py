"""How far a run has come, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .config import TrainingConfig

__all__ = ["Plan", "learning_rate"]

_VALIDATIONS = 10


@dataclass
class Plan:
    """What ends a run: a number of steps, a time, or whichever comes first.

    Attributes:
        steps: of the whole run, or None where only time ends it.
        seconds: of the whole run, or None where only steps end it.
        validate_every: steps between validations, or None for ten of them in the run.
        reserve: seconds kept for the validation at the end.
    """

    steps: int | None
    seconds: float | None
    validate_every: int | None
    reserve: float = 0.0

    @classmethod
    def of(cls, config: TrainingConfig, steps_per_epoch: int) -> Plan:
        """The plan of a config."""
        limits = [] if config.steps is None else [config.steps]
        epochs = config.epochs
        if config.steps is None and config.epochs is None and config.max_seconds is None:
            epochs = 10.0
        if epochs is not None:
            limits.append(max(1, round(epochs * steps_per_epoch)))
        reserve = 0.0 if config.max_seconds is None else 0.03 * config.max_seconds
        return cls(min(limits) if limits else None, config.max_seconds, config.validate_every, reserve)

    def progress(self, step: int, seconds: float) -> float:
        """The share of the run that lies behind, 0 to 1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(step / self.steps)
        if self.seconds is not None:
            shares.append(seconds / max(self.seconds - self.reserve, 1e-9))
        return min(1.0, max(shares))

    def due(self, step: int, before: float, now: float) -> bool:
        """Whether to validate after ``step``, when progress went from ``before`` to ``now`` with it."""
        if self.validate_every is not None:
            return step % self.validate_every == 0 or now >= 1.0
        return int(now * _VALIDATIONS + 1e-9) > int(before * _VALIDATIONS + 1e-9)


def learning_rate(config: TrainingConfig, step: int, progress: float) -> float:
    """The learning rate of a step: a linear rise, then a fall to ``min_lr_ratio``.

    Cosine: ``r + (1 - r) (1 + cos(pi p)) / 2`` at progress ``p`` (Loshchilov & Hutter 2017, eq. 5, without restarts).
    """
    low = config.min_lr_ratio
    fall = {
        "cosine": low + (1 - low) * (1 + math.cos(math.pi * progress)) / 2,
        "linear": low + (1 - low) * (1 - progress),
        "constant": 1.0,
    }[config.schedule]
    rise = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    return config.learning_rate * rise * fall
