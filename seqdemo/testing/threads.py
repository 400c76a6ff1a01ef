"""Two threads at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["side_by_side"]

T = TypeVar("T")

_MOST = 200


def side_by_side(one: Callable[[], T], other: Callable[[], T], *, times: int) -> tuple[list[T], list[T]]:
    """What two functions return when two threads call them over and over.

    Each goes on until both have been called ``times`` times, so that they overlap however late a thread is woken.
    Python is told to switch threads often.

    Raises:
        Exception: what one of them raised.
    """
    results: tuple[list[T], list[T]] = ([], [])
    errors: list[Exception] = []

    def run(function: Callable[[], T], mine: list[T]) -> None:
        try:
            while not errors and len(mine) < _MOST and min(map(len, results)) < times:
                mine.append(function())
        except Exception as error:  # noqa: BLE001 - it is handed on to the thread that waits
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=pair) for pair in zip((one, other), results, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]
    return results
