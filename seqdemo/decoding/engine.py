"""The engine: one owner thread for each device runs everything in turns, round-robin over loaded pipelines."""

from __future__ import annotations

import atexit
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from threading import Condition, Lock, Thread, current_thread
from time import perf_counter
from typing import NamedTuple, TypeVar

import torch

from seqdemo.errors import BusyError, SeqdemoError
from seqdemo.plugin import TokenHead

from .generation import Generating, Request
from .jobs import Job, Jobs
from .lane import Lane
from .padded import ROWS, PaddedStepper
from .prepare import open_stepper
from .stepper import Stepper
from .stream import Signal, Stream
from .turns import Turns

__all__ = ["Engine", "Load", "engine"]

S = TypeVar("S")
T = TypeVar("T")


class Load(NamedTuple):
    """Requests and jobs that take turns, and those that wait for one that ends."""

    running: int
    waiting: int


class Engine:
    """Runs requests on one device.

    Torch work of all requests happens in one daemon thread, under ``torch.inference_mode``, which no other thread
    notices. The thread starts with the first request. Pipelines with requests take turns, and all jobs together are
    one more of them: a turn is one step of all rows of a pipeline, one chunk of a prompt, or one piece of a job. So
    what others wait for is bounded by what one turn takes, and turns are planned to take 50 ms at most. Whose turns
    are shorter has more of them (:class:`~seqdemo.decoding.turns.Turns`).

    Args:
        device: where the heads that are asked of it live.
        capacity: requests of one pipeline that take turns at once; others wait.
        waiting: how many may wait; any more are refused.
        make: the stepper of a head, with so many slots, on a device.
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        capacity: int = 64,
        waiting: int = 256,
        make: Callable[[TokenHead, int, torch.device], Stepper] = open_stepper,
    ) -> None:
        self.device = torch.device(device)
        self.capacity = capacity
        self.waiting = waiting
        self._make = make
        self._wake = Condition()
        # Shared between threads, under the lock of _wake: what has not entered a lane, and counts of what has not ended
        # (of jobs by None), entered or not.
        self._queue: deque[Generating | Job] = deque()
        self._live: Counter[TokenHead | None] = Counter()
        self._entered: Counter[TokenHead | None] = Counter()
        self._thread: Thread | None = None
        self._closed = False
        # The owner thread's own.
        self._lanes: dict[tuple[TokenHead, bool], Lane] = {}
        self._jobs = Jobs(lambda: self._leave(None))
        self._turns: Turns[Lane | Jobs] = Turns()
        self._turns.add(self._jobs)
        self._stirred = Signal()
        self._soonest = inf

    def submit(self, request: Request) -> Stream:
        """Start a request; its events come as they are made.

        Raises:
            BusyError: too many requests wait already.
            SeqdemoError: the head is in training mode, or the engine was closed.
        """
        if request.head.training:
            raise SeqdemoError("This pipeline is in training mode, with dropout on. Call head.eval() before decoding.")
        work = Generating(request, self._stirred)
        self._enter(work, request.head)
        return Stream(work.channel, str(request.row.get(request.head.config.columns[0].name, "")))

    def run(self, function: Callable[[], T]) -> T:
        """Run a bounded piece of work (at most some 50 ms) in the owner thread and wait for its result.

        Tensors it makes are inference tensors: return numbers, or clones made outside inference mode.

        Raises:
            BusyError: too many requests wait already.
            whatever the function raises.
        """
        return self.each(lambda _: function(), [None])[0]

    def each(self, function: Callable[[S], T], items: Sequence[S]) -> list[T]:
        """Call a function with each item, one a turn, in the owner thread, and wait for the results.

        Raises:
            BusyError, and whatever the function raises: as :meth:`run`.
        """
        return self.work(map(function, items)) if items else []

    def work(self, pieces: Iterator[T]) -> list[T]:
        """Ask for one item after another, one a turn, in the owner thread, and wait for all of them.

        Raises:
            BusyError, and whatever making an item raises: as :meth:`run`.
        """
        if current_thread() is self._thread:
            return list(pieces)
        job = Job(pieces)
        self._enter(job, None)
        try:
            return job.future.result()
        except BaseException:
            job.cancelled = True
            raise

    @property
    def load(self) -> Load:
        """How much there is to do."""
        with self._wake:
            waiting = sum(max(count - self.capacity, 0) for count in self._live.values())
            return Load(self._live.total() - waiting, waiting)

    def serves(self, head: TokenHead) -> bool:
        """Whether a request of a head has not ended."""
        with self._wake:
            return head in self._live

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._wake:
            self._closed = True
            self._stirred.raised = True
            self._wake.notify_all()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(timeout=5)
        atexit.unregister(self.close)

    # --- any thread ---------------------------------------------------------------------------------------------

    def _enter(self, work: Generating | Job, head: TokenHead | None) -> None:
        with self._wake:
            if self._closed:
                raise SeqdemoError("This engine was closed.")
            running, waiting = self.load
            if self._live[head] >= self.capacity and waiting >= self.waiting:
                raise BusyError(
                    f"The engine is busy: {running} requests are running and {waiting} are waiting, "
                    f"of at most {self.waiting}. Try again when one has finished."
                )
            if self._thread is None:
                self._thread = Thread(target=self._main, name=f"seqdemo-engine-{self.device}", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._live[head] += 1
            self._queue.append(work)
            self._stirred.raised = True
            self._wake.notify()

    # --- the owner thread ---------------------------------------------------------------------------------------

    def _main(self) -> None:
        with torch.inference_mode():
            while self._round():
                pass

    def _round(self) -> bool:
        """One turn. A method of its own, so that an idle thread's frame keeps no request alive."""
        if self._stirred.raised or perf_counter() >= self._soonest:
            self._stirred.raised = False
            self._sweep()
            self._admit()
        if (lane := self._turns.next()) is not None:
            self._turn(lane)
            return True
        with self._wake:
            while not self._stirred.raised and not self._closed:
                self._wake.wait()
            return not self._closed or bool(self._live)

    def _turn(self, lane: Lane | Jobs) -> None:
        began = perf_counter()
        try:
            lane.turn()
        except BaseException as error:
            if not isinstance(lane, Lane):
                raise
            lane.fail(error)
        self._turns.took(perf_counter() - began)
        if isinstance(lane, Lane):
            self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        """A pipeline without requests is not held on to: whoever loaded it decides how long it lives."""
        if not len(lane):
            self._turns.remove(lane)
            self._lanes = {key: one for key, one in self._lanes.items() if one is not lane}

    def _admit(self) -> None:
        """Let in whoever there is room for, in the order they came."""
        entering: list[Generating | Job] = []
        with self._wake:
            staying: deque[Generating | Job] = deque()
            for work in self._queue:
                head = _head(work)
                if self._entered[head] < self.capacity:
                    self._entered[head] += 1
                    entering.append(work)
                else:
                    staying.append(work)
            self._queue = staying
        for work in entering:
            if isinstance(work, Job):
                self._jobs.enter(work)
                continue
            self._soonest = min(self._soonest, work.deadline)
            try:
                self._lane(work.request).enter(work)
            except BaseException as error:  # noqa: BLE001 - a stepper that cannot be made is the request's trouble
                work.end("error", None, error)
                self._leave(work.request.head)

    def _lane(self, request: Request) -> Lane:
        """The lane of a request: of its pipeline, and of its exactness where the pipeline's steps are not exact."""
        head, exact = request.head, request.options.exact
        plain = self._lanes.get((head, False))
        if (not exact and plain is not None) or (exact and plain is not None and plain.stepper.alike):
            return plain
        if exact and (head, True) in self._lanes:
            return self._lanes[head, True]
        stepper = self._make(head, self.capacity + ROWS * exact, self.device)
        padded = exact and not stepper.alike
        lane = Lane(head, PaddedStepper(stepper, head) if padded else stepper, self.device, self._ended)
        self._lanes[head, padded] = lane
        self._turns.add(lane)
        return lane

    def _sweep(self) -> None:
        """End what was cancelled or has run out of time, wherever it is."""
        now = perf_counter()
        with self._wake:
            if self._closed:
                self._cancel_all()
            waiting = [work for work in self._queue if isinstance(work, Generating)]
            gone = [(work, reason) for work in waiting if (reason := work.unwanted(now)) is not None]
            for work, _ in gone:
                self._queue.remove(work)
                waiting.remove(work)
        for work, reason in gone:
            work.end(reason, None)
            self._leave(work.request.head, entered=False)
        for lane in tuple(self._lanes.values()):
            lane.sweep(now)
            self._drop(lane)
        running = [work for lane in self._lanes.values() for work in lane.requests]
        self._soonest = min((work.deadline for work in waiting + running), default=inf)

    def _cancel_all(self) -> None:
        for work in (*self._queue, *(work for lane in self._lanes.values() for work in lane.requests)):
            if isinstance(work, Generating):
                work.channel.cancel()
            else:
                work.cancelled = True
        self._jobs.cancel()

    def _ended(self, work: Generating) -> None:
        self._leave(work.request.head)

    def _leave(self, head: TokenHead | None, entered: bool = True) -> None:
        """One request or job less."""
        with self._wake:
            self._live[head] -= 1
            self._entered[head] -= entered
            if not self._live[head]:
                del self._live[head], self._entered[head]
            if self._queue:
                self._stirred.raised = True


def _head(work: Generating | Job) -> TokenHead | None:
    """What a place is counted by."""
    return work.request.head if isinstance(work, Generating) else None


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
