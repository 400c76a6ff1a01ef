"""Where a comparison is, and how long the rest may take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.status import Status

from seqdemo.training import Listener

__all__ = ["Remaining", "Watch", "clock"]


class Remaining:
    """Steps that are still to be done, and the time they may take.

    Args:
        todo: steps by model.
    """

    def __init__(self, todo: Mapping[str, int]) -> None:
        self.todo = dict(todo)
        self.pace: dict[str, float] = {}

    def advance(self, model: str, steps: int, pace: float | None = None) -> None:
        """``steps`` of a model are behind us; it takes ``pace`` seconds for each."""
        self.todo[model] = max(0, self.todo.get(model, 0) - steps)
        if pace is not None:
            self.pace[model] = pace

    def drop(self, model: str) -> None:
        """Nothing more will be done for a model."""
        self.todo.pop(model, None)

    def seconds(self) -> float | None:
        """A model nobody has seen run is taken to be as fast as the mean; None before the first step."""
        if not self.pace:
            return None
        mean = sum(self.pace.values()) / len(self.pace)
        return sum(steps * self.pace.get(model, mean) for model, steps in self.todo.items())


class Watch(Listener):
    """Shows one training: a live line on a terminal, a line at each validation everywhere.

    Args:
        model: whose steps these are.
        label: what is being done.
    """

    def __init__(self, model: str, label: str, remaining: Remaining, console: Console, status: Status) -> None:
        self._model, self._label, self._remaining = model, label, remaining
        self._console, self._status = console, status
        self._steps, self._first, self._last = 0, 0, 0
        self._began = self._shown = 0.0

    def begin(self, plan: Any, step: int, facts: Mapping[str, Any]) -> None:
        self._steps, self._first, self._last = plan.steps, step, step
        self._remaining.advance(self._model, step)
        self._began = time.monotonic()

    def step(self, step: int, progress: float, seconds: float) -> None:
        now = time.monotonic()
        self._remaining.advance(self._model, step - self._last, (now - self._began) / (step - self._first))
        self._last = step
        if now - self._shown > 0.5:
            self._shown = now
            self._status.update(f"{self._label}  step {step}/{self._steps}  {self._left()}")

    def validated(self, record: Mapping[str, Any]) -> None:
        loss = record["metrics"]["loss"]
        self._console.print(
            f"{self._label}  step {record['step']}/{self._steps}  validation loss {loss:.4f}  {self._left()}",
            highlight=False,
        )

    def _left(self) -> str:
        return f"about {clock(self._remaining.seconds())} of training left in all"


def clock(seconds: float | None) -> str:
    """``0:07:30``; a question mark for what is not known."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
