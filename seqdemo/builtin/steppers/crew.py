"""How many threads do a piece of work that is done again and again: as many as have lately been quickest.

Two threads that share a product take little more than half the time of one. But where another process has a core, they
wait for the one that lost it, ten or fifty milliseconds at a time, and a step takes many times as long. Neither can be
told from a model's size, so it is measured while the work is done, and measured again.

Only for work whose result is the same bits by any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from time import perf_counter
from typing import Any, TypeVar

import torch

__all__ = ["Crew"]

_Found = TypeVar("_Found")

_WARM = 2
"""Pieces after a change that do not count: caches and threads are cold."""

_TRIAL = 12
"""Pieces by which another number is judged."""

_MEMORY = 16
"""Pieces that a mean is about."""

_GAIN, _LOSS = 0.87, 1.05
"""Of the time before: what more threads must come down to, and what fewer may come up to, to be kept."""

_SLOW = 1.3
"""Times what fewer threads took at which they are gone back to without a trial."""

_LEAST, _MOST = 0.05, 4.0
"""Seconds until another number is tried: at first, and after many trials that gained nothing."""


class _Pace:
    """What is known of one kind of work.

    Attributes:
        ladder: numbers of threads, ascending: 1, 2, 4, … and the most.
        at: place on it that is in use.
        tried: place that is being tried, if one is.
    """

    def __init__(self, most: int) -> None:
        self.ladder = [1 << k for k in range((most - 1).bit_length())] + [most]
        self.at = 0
        self.tried: int | None = None
        self._means: list[float | None] = [None] * len(self.ladder)
        self._seen = [0] * len(self.ladder)
        self._cold, self._count, self._total = _WARM, 0, 0.0
        self._upwards = True
        self._pause, self._next, self._since = _LEAST, 0.0, 0.0

    @property
    def threads(self) -> int:
        """To be used for the next piece."""
        return self.ladder[self.at if self.tried is None else self.tried]

    def note(self, seconds: float, now: float) -> None:
        """A piece took so long, and ended now."""
        if self.tried is not None:
            self._judge(seconds, now)
            return
        if self._cold:
            self._cold -= 1
            return
        self._count += 1
        self._seen[self.at] += 1
        before = self._means[self.at]
        weight = 1.0 / min(self._seen[self.at], _MEMORY)
        mean = self._means[self.at] = seconds if before is None else before + (seconds - before) * weight
        fewer = self._means[self.at - 1] if self.at else None
        if fewer is not None and mean > fewer * _SLOW:
            if now - self._since > 1.0:  # it had been good: what slowed it may pass as soon
                self._pause = _LEAST
            self._settle(self.at - 1, now, gained=False)
        elif self._count >= _WARM and now >= self._next:
            self._try()

    def _try(self) -> None:
        up, down = self.at + 1 < len(self.ladder), self.at > 0
        self._upwards = up and (self._upwards or not down)
        self.tried = self.at + 1 if self._upwards else self.at - 1
        self._cold, self._count, self._total = _WARM, 0, 0.0

    def _judge(self, seconds: float, now: float) -> None:
        """A piece of a trial; it ends when it can no longer be won."""
        assert self.tried is not None
        usual = self._means[self.at]
        assert usual is not None
        if self._cold and seconds < usual * _TRIAL:
            self._cold -= 1
            return
        self._count += 1
        self._total += seconds
        enough = usual * _TRIAL * (_GAIN if self.tried > self.at else _LOSS)
        if self._total > enough or self._count == _TRIAL:
            self._means[self.tried], self._seen[self.tried] = self._total / self._count, self._count
            self._settle(self.tried if self._total <= enough else self.at, now, gained=self._total <= enough)

    def _settle(self, at: int, now: float, gained: bool) -> None:
        """Stay at a place for a while, the longer the more trials have gained nothing; what was gained by chance is
        lost again soon, so it shortens nothing."""
        self._pause = self._pause if gained else min(2 * self._pause, _MOST)
        # The way that was just gone has been tried; gone further if it was good.
        self._upwards = self._upwards if gained else not self._upwards
        self._next, self._since = now + (_LEAST if gained else self._pause), now
        self.at, self.tried = at, None
        self._cold, self._count = _WARM, 0


class Crew:
    """Does pieces of work by as many threads as torch may use, or fewer. Several threads may give it work.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._lock = Lock()
        self._paces: dict[tuple[Hashable, int], _Pace] = {}

    def threads(self, kind: Hashable) -> int:
        """By which the next piece of a kind will be done."""
        most = torch.get_num_threads()
        pace = self._paces.get((kind, most))
        return 1 if pace is None else pace.threads

    def do(self, kind: Hashable, work: Callable[..., _Found], *arguments: Any) -> _Found:
        """``work(*arguments)``.

        Args:
            kind: pieces of one kind are alike in what they cost.
        """
        most = torch.get_num_threads()
        if most == 1:
            return work(*arguments)
        pace = self._paces.get((kind, most))
        if pace is None:
            pace = self._paces.setdefault((kind, most), _Pace(most))
        threads = pace.threads
        if threads != most:
            torch.set_num_threads(threads)
        try:
            began = self._clock()
            found = work(*arguments)
            ended = self._clock()
        finally:
            if threads != most:
                torch.set_num_threads(most)
        with self._lock:
            pace.note(ended - began, ended)
        return found
