"""Ctrl-C while training: noticed between two steps, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupt", "TrainingInterrupted"]


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user, and what is needed to go on is saved.

    Attributes:
        step: how many steps are done.
        folder: of the run.
    """

    def __init__(self, step: int, folder: Path) -> None:
        self.step, self.folder = step, folder
        super().__init__(f"Interrupted at step {step}; saved in {folder}. The same command goes on from there.")


class Interrupt:
    """Inside the context, Ctrl-C and a termination request set ``wanted``; a second Ctrl-C is Python's own again."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
