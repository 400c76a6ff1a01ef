"""Progress in the terminal: a bar with loss, perplexity, speed and time left, and a sample at each validation."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from .report import Listener
from .schedule import Plan

__all__ = ["Terminal"]

_REFRESH = 0.2


class Terminal(Listener):
    """On a terminal a live bar; elsewhere a line at each validation.

    Args:
        perplexity: whether ``exp(loss)`` means something for the task; its predictions are tokens then, else rows.
        metric: name of the metric that the checkpoint is chosen by.
        note: said at the beginning.
    """

    def __init__(
        self, perplexity: bool = True, console: Console | None = None, metric: str = "loss", note: str = ""
    ) -> None:
        self._console = console or Console(stderr=True)
        self._perplexity, self._metric, self._note = perplexity, metric, note
        self._bar = Progress(
            TextColumn("{task.fields[phase]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, phase="train", detail="")
        self._loss = self._speed = ""
        self._shown = self._origin_seconds = self._origin_share = 0.0
        self._steps: int | None = None

    def begin(self, plan: Plan, step: int, facts: Mapping[str, Any]) -> None:
        self._steps = plan.steps
        self._origin_share = -1.0
        resumed = f", resumed at step {step}" if step else ""
        self._console.print(
            f"{facts['parameters']:,} parameters on {facts['device']} in {facts['precision']}, "
            f"{facts['steps_per_epoch']:,} steps an epoch{resumed}"
        )
        if self._note:
            self._console.print(Text(self._note))
        self._bar.start()

    def phase(self, name: Literal["train", "validation"]) -> None:
        self._bar.update(self._task, phase=name)

    def step(self, step: int, progress: float, seconds: float) -> None:
        if self._origin_share < 0:
            self._origin_share, self._origin_seconds = progress, seconds
        now = time.monotonic()
        if now - self._shown < _REFRESH:
            return
        self._shown = now
        share = progress - self._origin_share
        left = (seconds - self._origin_seconds) * (1 - progress) / share if share > 0 else math.nan
        counted = f"step {step:,}" + (f"/{self._steps:,}" if self._steps else "")
        parts = [counted, self._loss, self._speed, "" if math.isnan(left) else f"{_clock(left)} left"]
        self._bar.update(self._task, completed=progress, detail=escape("  ".join(part for part in parts if part)))

    def measured(self, record: Mapping[str, Any]) -> None:
        self._loss = self._value("loss", record["loss"])
        self._speed = f"{record['tokens_per_second']:,.0f} {'tok' if self._perplexity else 'rows'}/s"

    def _value(self, name: str, loss: float) -> str:
        shown = f"{name} {loss:.4f}"
        return f"{shown}  ppl {math.exp(min(loss, 700)):.4g}" if self._perplexity else shown

    def validated(self, record: Mapping[str, Any]) -> None:
        loss = self._value("validation loss", record["metrics"]["loss"])
        if self._metric != "loss" and self._metric in record["metrics"]:
            loss += f"  {self._metric} {record['metrics'][self._metric]:.4f}"
        mark = "  best" if record["best"] else ""
        line = f"step {record['step']:,}  {_clock(record['seconds'])}  {self._loss}  {loss}{mark}"
        self._console.print(line, highlight=False)
        if record.get("sample"):
            self._console.print(Text(_visible(record["sample"]), style="dim"))

    def end(self) -> None:
        self._bar.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _visible(text: str) -> str:
    """The text without control characters, which could command the terminal, indented."""
    safe = "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "    " + safe.replace("\n", "\n    ")
