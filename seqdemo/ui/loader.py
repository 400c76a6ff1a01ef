"""Pipelines in memory: each is loaded once, and let go of when nobody has asked for it for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Timer
from time import monotonic
from typing import Any, overload
from weakref import ref

from seqdemo.errors import UnknownNameError

from . import memory
from .source import Source
from .words import PageError

__all__ = ["Held", "Loader"]

_LOOKS = 30.0
"""Seconds between two looks at what is idle, at most."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """A pipeline in memory.

    Attributes:
        name: the checkpoint's.
        pipe: the pipeline.
        used: when it was last asked for, by the loader's clock.
        users: how many hold it by :meth:`Loader.using`.
    """

    name: str
    pipe: Any
    used: float
    users: int = 0


class Loader:
    """Loads each pipeline once, however many pages ask for it at the same time.

    A pipeline is *in use* inside :meth:`using` and while the engine works for it; one in use is never let go of.

    Args:
        source: what loads it.
        patience: seconds without a request after which one is let go of; never where 0.
        clock: seconds that only grow.

    Attributes:
        leaving: called with a name when its pipeline is let go of, by whatever else holds on to it.
    """

    def __init__(self, source: Source, patience: float = 0.0, clock: Callable[[], float] = monotonic) -> None:
        self.leaving: list[Callable[[str], None]] = []
        self._source = source
        self._patience = patience
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()
        self._timer: Timer | None = None

    def loaded(self, name: str) -> Any | None:
        """The pipeline if it is in memory."""
        held = self._held.get(name)
        return None if held is None else held.pipe

    def held(self) -> list[Held]:
        """Everything in memory."""
        with self._lock:
            return list(self._held.values())

    def get(self, name: str) -> Any:
        """The pipeline, loaded if it is not. Blocks.

        Raises:
            SeqdemoError: it cannot be loaded; asking again tries again.
        """
        return self._hold(name, 0).pipe

    @contextmanager
    def using(self, name: str) -> Iterator[Any]:
        """The pipeline, in use meanwhile: for work that is long and not a reply. Blocks while it is loaded.

        Raises:
            SeqdemoError: it cannot be loaded.
        """
        held = self._hold(name, 1)
        try:
            yield held.pipe
        finally:
            with self._lock:
                held.users -= 1
                held.used = self._clock()

    def idle(self, name: str) -> float | None:
        """Seconds since one that is loaded was used; None while it is in use, or where it is not loaded."""
        held = self._held.get(name)
        return None if held is None or _busy(held) else self._clock() - held.used

    def unload(self, name: str) -> bool:
        """Let go of a pipeline; whether there was one.

        Raises:
            PageError: it is in use.
        """
        with self._lock:
            held = self._held.get(name)
            if held is None:
                return False
            if _busy(held):
                raise PageError("models.in_use", name=name)
            del self._held[name]
        del held
        for leave in self.leaving:
            leave(name)
        memory.collect()
        return True

    @property
    def patience(self) -> float:
        """Seconds without a request after which a pipeline is let go of; 0 is never."""
        return self._patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._patience = seconds
        self._arm(again=True)

    def sweep(self) -> list[str]:
        """Let go of everything that has been idle for too long; the names."""
        gone = []
        for held in self.held():
            if _busy(held):
                held.used = self._clock()
            elif self._patience and self._clock() - held.used >= self._patience:
                try:
                    if self.unload(held.name):
                        gone.append(held.name)
                except PageError:
                    pass  # somebody came at the last moment
        if gone:
            _log.info("Unloaded after %g s without a request: %s.", self._patience, ", ".join(gone))
        return gone

    def _hold(self, name: str, users: int) -> Held:
        with self._lock:
            lock = self._locks.setdefault(name, Lock())
        with lock:
            held = self._claim(name, None, users)
            if held is None:
                held = self._claim(name, self._load(name), users)
                memory.settle()
        self._arm()
        return held

    def _load(self, name: str) -> Any:
        try:
            return self._source.load(name)
        except UnknownNameError as error:
            if error.kind != "checkpoint":
                raise
            raise PageError("models.gone", name=name) from error

    @overload
    def _claim(self, name: str, made: None, users: int) -> Held | None: ...
    @overload
    def _claim(self, name: str, made: Any, users: int) -> Held: ...
    def _claim(self, name: str, made: Any, users: int) -> Held | None:
        with self._lock:
            if made is not None:
                self._held[name] = Held(name, made, 0.0)
            held = self._held.get(name)
            if held is not None:
                held.used = self._clock()
                held.users += users
            return held

    def _arm(self, again: bool = False) -> None:
        """Look again later, as long as something is in memory."""
        with self._lock:
            if self._timer is not None and again:
                self._timer.cancel()
                self._timer = None
            if self._timer is None and self._patience and self._held:
                self._timer = Timer(min(_LOOKS, self._patience), _look, [ref(self)])
                self._timer.daemon = True
                self._timer.start()

    def look(self) -> None:
        """What the timer does."""
        with self._lock:
            self._timer = None
        self.sweep()
        self._arm()


def _look(loader: ref[Loader]) -> None:
    """A timer alone does not keep what nobody uses any more."""
    if (found := loader()) is not None:
        found.look()


def _busy(held: Held) -> bool:
    from seqdemo.decoding import engine

    return held.users > 0 or engine(held.pipe.device).serves(held.pipe.head)
