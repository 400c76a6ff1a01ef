"""Work that is no stream, done in the owner thread a piece at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from seqdemo.errors import SeqdemoError

__all__ = ["Job", "Jobs"]


class Job:
    """Pieces of work, each done by asking for the next item.

    Args:
        pieces: asked once a turn; its items are the results.
    """

    def __init__(self, pieces: Iterator[Any]) -> None:
        self.future: Future[list[Any]] = Future()
        self.cancelled = False
        self._pieces = pieces
        self._results: list[Any] = []

    def turn(self) -> bool:
        """Do one piece.

        Returns:
            whether more is left.
        """
        if self.cancelled:
            self.future.set_exception(SeqdemoError("This engine was closed."))
            return False
        try:
            self._results.append(next(self._pieces))
        except StopIteration:
            self.future.set_result(self._results)
            return False
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the results
            self.future.set_exception(error)
            return False
        return True


class Jobs:
    """All jobs of a device. They take turns among each other; together they take turns with the pipelines."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._jobs: deque[Job] = deque()
        self._ended = ended

    def __len__(self) -> int:
        return len(self._jobs)

    def enter(self, job: Job) -> None:
        """Take a job in."""
        self._jobs.append(job)

    def turn(self) -> None:
        """Do one piece of the job whose turn it is."""
        job = self._jobs.popleft()
        if job.turn():
            self._jobs.append(job)
        else:
            self._ended()

    def cancel(self) -> None:
        """End all of them with their next turn."""
        for job in self._jobs:
            job.cancelled = True
