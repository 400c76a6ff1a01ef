"""Plans and learning rates."""

from __future__ import annotations

import math

import pytest

from seqdemo.training import TrainingConfig
from seqdemo.training.schedule import Plan, learning_rate


def test_what_ends_a_run() -> None:
    """Steps, epochs or time, whichever comes first; ten epochs when nothing is said."""
    assert Plan.of(TrainingConfig(), 7).steps == 70
    assert Plan.of(TrainingConfig(steps=5, epochs=2), 7).steps == 5
    assert Plan.of(TrainingConfig(steps=50, epochs=2), 7).steps == 14
    timed = Plan.of(TrainingConfig(max_seconds=100), 7)
    assert timed.steps is None
    assert timed.progress(10**9, 50) < 0.6
    assert timed.progress(0, 99) == 1.0
    both = Plan.of(TrainingConfig(max_seconds=100, steps=10), 7)
    assert both.progress(9, 1) == 0.9


@pytest.mark.parametrize("steps", [1, 3, 10, 37, 1000])
def test_ten_validations_and_always_one_at_the_end(steps: int) -> None:
    """Without validate_every there are at most ten validations, the last after the last step."""
    plan = Plan.of(TrainingConfig(steps=steps), 5)
    shares = [plan.progress(step, 0.0) for step in range(steps + 1)]
    due = [step for step in range(1, steps + 1) if plan.due(step, shares[step - 1], shares[step])]
    assert due[-1] == steps
    assert len(due) == min(10, steps)
    often = Plan.of(TrainingConfig(steps=steps, validate_every=4), 5)
    due = [step for step in range(1, steps + 1) if often.due(step, shares[step - 1], shares[step])]
    assert due == sorted({*range(4, steps + 1, 4), steps})


def test_learning_rates() -> None:
    """A linear rise to the full rate, then the chosen fall to the last one."""
    base = {"learning_rate": 2.0, "warmup_steps": 4, "min_lr_ratio": 0.1}
    cosine = TrainingConfig(schedule="cosine", **base)
    assert [learning_rate(cosine, step, 0.0) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert math.isclose(learning_rate(cosine, 9, 0.5), 2.0 * 0.55)
    assert math.isclose(learning_rate(cosine, 9, 1.0), 0.2)
    linear = TrainingConfig(schedule="linear", **base)
    assert math.isclose(learning_rate(linear, 9, 0.25), 2.0 * 0.775)
    constant = TrainingConfig(schedule="constant", **base)
    assert learning_rate(constant, 9, 0.9) == 2.0
