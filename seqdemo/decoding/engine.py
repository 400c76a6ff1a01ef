"""The engine: one owner thread for each device runs every request's turns, round-robin."""

from __future__ import annotations

import atexit
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Lock, Thread, current_thread
from typing import Any, Protocol, TypeVar

import torch

from seqdemo.errors import BusyError, SeqdemoError
from seqdemo.plugin import TokenHead

from .generation import Generating, Request
from .stepper import GenericStepper, Stepper
from .stream import Stream

__all__ = ["Engine", "engine"]

T = TypeVar("T")


class _Work(Protocol):
    """Something done in turns."""

    @property
    def cancelled(self) -> bool: ...

    def cancel(self) -> None: ...

    def turn(self) -> bool: ...


class _Job:
    """A function run in one turn."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.future: Future[Any] = Future()

    @property
    def cancelled(self) -> bool:
        return self.future.cancelled()

    def cancel(self) -> None:
        self.future.cancel()

    def turn(self) -> bool:
        if self.future.set_running_or_notify_cancel():
            try:
                self.future.set_result(self._function())
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
                self.future.set_exception(error)
        return False


class Engine:
    """Runs requests on one device.

    Torch work of all requests happens in one daemon thread, under ``torch.inference_mode``, which no other thread
    notices. The thread starts with the first request. Requests take turns: a chunk of prompt or one token each.

    Args:
        device: where the heads that are asked of it live.
        capacity: requests that take turns at once; others wait.
        waiting: how many may wait; any more are refused.
    """

    def __init__(self, device: torch.device | str = "cpu", capacity: int = 32, waiting: int = 256) -> None:
        self.device = torch.device(device)
        self.capacity = capacity
        self.waiting = waiting
        self._wake = Condition()
        self._queue: deque[_Work] = deque()
        self._active: deque[_Work] = deque()
        self._steppers: dict[TokenHead, Stepper] = {}
        self._thread: Thread | None = None
        self._closed = False

    def submit(self, request: Request) -> Stream:
        """Start a request; its events come as they are made.

        Raises:
            BusyError: too many requests wait already.
            SeqdemoError: the head is in training mode, or the engine was closed.
        """
        if request.head.training:
            raise SeqdemoError("This pipeline is in training mode, with dropout on. Call head.eval() before decoding.")
        work = Generating(request, self.device, self._stepper)
        self._enter(work)
        return Stream(work.channel, str(request.row.get("text", "")))

    def run(self, function: Callable[[], T]) -> T:
        """Run a bounded piece of work (at most some 50 ms) in the owner thread and wait for its result.

        Tensors it makes are inference tensors: return numbers, or clones made outside inference mode.

        Raises:
            BusyError: too many requests wait already.
            whatever the function raises.
        """
        if current_thread() is self._thread:
            return function()
        job = _Job(function)
        self._enter(job)
        try:
            result: T = job.future.result()
        except BaseException:
            job.cancel()
            raise
        return result

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(timeout=5)
        atexit.unregister(self.close)

    # --- inside -------------------------------------------------------------------------------------------------

    def _enter(self, work: _Work) -> None:
        with self._wake:
            if self._closed:
                raise SeqdemoError("This engine was closed.")
            if len(self._queue) + len(self._active) >= self.capacity + self.waiting:
                raise BusyError(
                    f"The engine is busy: {self.capacity} requests are running and {self.waiting} are waiting, "
                    "which is the limit. Try again when one has finished."
                )
            if self._thread is None:
                self._thread = Thread(target=self._main, name=f"seqdemo-engine-{self.device}", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._queue.append(work)
            self._wake.notify()

    def _stepper(self, head: TokenHead) -> Stepper:
        """The stepper that all requests of a head share."""
        if head not in self._steppers:
            self._steppers[head] = GenericStepper(head, self.capacity, self.device)
        return self._steppers[head]

    def _main(self) -> None:
        with torch.inference_mode():
            while self._round():
                pass

    def _round(self) -> bool:
        """One turn. A method of its own, so that an idle thread's frame keeps no request alive."""
        with self._wake:
            while not self._queue and not self._active and not self._closed:
                self._wake.wait()
            if self._closed:
                for work in (*self._queue, *self._active):
                    work.cancel()
            gone = [work for work in self._queue if work.cancelled]
            if gone:
                self._queue = deque(work for work in self._queue if work not in gone)
            while self._queue and len(self._active) < self.capacity:
                self._active.append(self._queue.popleft())
        for work in gone:
            work.turn()
        if self._active:
            self._active.rotate(-1)
            if not self._active[-1].turn():
                self._active.pop()
                # A head without requests is not held on to: whoever loaded it decides how long it lives.
                self._steppers = {head: stepper for head, stepper in self._steppers.items() if not stepper.idle}
        return not self._closed or bool(self._queue or self._active)


_engines: dict[torch.device, Engine] = {}
_lock = Lock()


def engine(device: torch.device | str = "cpu") -> Engine:
    """The engine of a device, one for the whole process."""
    place = torch.device(device)
    if str(place) == "cuda":
        place = torch.device("cuda", torch.cuda.current_device())
    with _lock:
        if place not in _engines:
            _engines[place] = Engine(place)
        return _engines[place]


def _forget() -> None:
    """A forked child has none of its parent's threads: it starts engines of its own."""
    global _lock
    _lock = Lock()
    _engines.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
