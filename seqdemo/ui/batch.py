"""Work on many inputs: in a thread of its own, in bounded pieces, and what is done is kept however it ends."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from seqdemo.errors import BusyError, DataError, SeqdemoError, TokenizerError
from seqdemo.files import write_atomic

from .sheet import Outcome, Sheet, to_csv, to_jsonl
from .words import PageError

__all__ = ["KEPT", "PATIENCE", "Batch", "Desk"]

PATIENCE = 60.0
"""Seconds that work goes on while nobody looks at it: what a page has to come back after a reload."""
KEPT = 3600.0
"""Seconds that results are kept after they were last looked at."""

_AIM = 0.5
"""Seconds that a piece of work should take, so that Stop and progress are not waited for longer."""
_FIRST, _MOST = 8, 512
_BUSY = 0.25
"""Seconds between two tries while the engine is full."""

_log = logging.getLogger(__name__)

Held = Callable[[], AbstractContextManager[Any]]
"""Opens the pipeline, in use until it is closed again."""


class _StoppedError(Exception):
    """Work was stopped while it waited for the engine."""


class Batch:
    """One visitor's work on many inputs.

    Attributes:
        name: the checkpoint's.
        sheet: the rows.
        column: what is worked on; None where an input is the whole row.
        page: of its table, that its visitor looks at.
        results: of the first rows, as far as they are done.
        finished: nothing more will come.
        error: what ended it, if something did.
        files: results to download, by ending, once it is finished.
    """

    def __init__(
        self, name: str, held: Held, sheet: Sheet, column: str | None, options: Mapping[str, Any], folder: Path
    ) -> None:
        self.name = name
        self.sheet = sheet
        self.column = column
        self.page = 0
        self.results: list[Outcome] = []
        self.finished = False
        self.error: Exception | None = None
        self.files: dict[str, Path] = {}
        self._held = held
        self._options = dict(options)
        self._folder = folder
        self._inputs: list[Any] = list(sheet.rows) if column is None else list(sheet.texts(column))
        self._stopped = Event()
        self._looking = 0
        self._seen = monotonic()
        self._began = monotonic()
        self._ended = 0.0
        self._lock = Lock()
        self._thread = Thread(target=self._run, name="seqdemo-batch", daemon=True)
        self._thread.start()

    @property
    def total(self) -> int:
        """Rows in all."""
        return len(self._inputs)

    def text(self, row: int) -> str:
        """What is worked on in a row, as a line."""
        if self.column is not None:
            return str(self._inputs[row] or "")
        return ", ".join(f"{name}: {value}" for name, value in self._inputs[row].items())

    @property
    def seconds(self) -> float:
        """That it has taken."""
        return (self._ended if self.finished else monotonic()) - self._began

    @property
    def wrong(self) -> int:
        """Rows done that no result could be made for."""
        return sum(isinstance(one, str) for one in self.results)

    @property
    def idle(self) -> float:
        """Seconds since somebody looked at it."""
        return 0.0 if self._looking else monotonic() - self._seen

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While a page shows it."""
        with self._lock:
            self._looking += 1
        try:
            yield
        finally:
            with self._lock:
                self._looking -= 1
                self._seen = monotonic()

    def stop(self) -> None:
        """End it after the piece that is being worked on; what is done stays."""
        self._stopped.set()

    def join(self, timeout: float) -> bool:
        """Wait until nothing more will come; False if that took longer than ``timeout`` seconds."""
        self._thread.join(timeout)
        return self.finished

    # --- its own thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._held() as pipe:
                self._work(pipe)
        except _StoppedError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises ends this work, and is said on the page
            self._failed(error)
        try:
            self._write()
        except SeqdemoError as error:
            self._failed(error)
        self._ended = monotonic()
        self.finished = True

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, SeqdemoError):
            _log.error("Work on many inputs failed.", exc_info=error)
        self.error = self.error or error

    def _work(self, pipe: Any) -> None:
        """Pieces are as many rows as take about half a second: each is a job of the engine, which takes turns."""
        size = _FIRST
        while len(self.results) < self.total and not self._unwanted():
            start = len(self.results)
            before = monotonic()
            found = self._piece(pipe, self._inputs[start : start + size])
            took = monotonic() - before
            self.results += found
            size = max(1, min(_MOST, 2 * size, int(size * _AIM / max(took, 1e-3)) + 1))

    def _unwanted(self) -> bool:
        if self.idle > PATIENCE:
            self.stop()
        return self._stopped.is_set()

    def _piece(self, pipe: Any, inputs: list[Any]) -> list[Outcome]:
        """The outcome for each input. One that cannot be read takes no other down: halves are tried by themselves."""
        wanted = [one for one in inputs if one is not None]
        if not wanted:
            return [None] * len(inputs)
        try:
            made = iter(self._predicted(pipe, wanted))
        except (DataError, TokenizerError) as error:
            if len(inputs) == 1:
                return [str(error)]
            half = len(inputs) // 2
            return self._piece(pipe, inputs[:half]) + self._piece(pipe, inputs[half:])
        return [None if one is None else next(made) for one in inputs]

    def _predicted(self, pipe: Any, inputs: list[Any]) -> list[Any]:
        while True:
            try:
                found: list[Any] = pipe.predict(inputs, **self._options)
                return found
            except BusyError:
                if self._unwanted() or self._stopped.wait(_BUSY):
                    raise _StoppedError from None

    def _write(self) -> None:
        """The files: each is there whole, or not at all."""
        if not self.results:
            return
        stem = f"seqdemo-{self.name}"
        for ending, written in (("csv", to_csv), ("jsonl", to_jsonl)):
            path = self._folder / f"{stem}.{ending}"
            write_atomic(path, written(self.sheet, self.results))
            self.files[ending] = path


class Desk:
    """The work of all visitors, one each. Files lie in a folder that is gone with the process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="seqdemo-results-")
        self._by_owner: dict[str, tuple[Batch, Path]] = {}
        self._lock = Lock()

    def at(self, owner: str) -> Batch | None:
        """A visitor's work, running or finished."""
        found = self._by_owner.get(owner)
        return found[0] if found is not None else None

    def begin(
        self, owner: str, name: str, held: Held, sheet: Sheet, column: str | None, options: Mapping[str, Any]
    ) -> Batch:
        """Begin a visitor's work in the place of what is finished; what others left behind is thrown away.

        Raises:
            PageError: there is some that runs.
        """
        with self._lock:
            running = self.at(owner)
            if running is not None and not running.finished:
                raise PageError("batch.running")
            for other, (batch, _) in list(self._by_owner.items()):
                if other == owner or (batch.finished and batch.idle > KEPT):
                    self._forget(other)
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            batch = Batch(name, held, sheet, column, options, folder)
            self._by_owner[owner] = (batch, folder)
            return batch

    def clear(self, owner: str) -> None:
        """Throw a visitor's finished work away."""
        with self._lock:
            batch = self.at(owner)
            if batch is not None and batch.finished:
                self._forget(owner)

    def _forget(self, owner: str) -> None:
        _, folder = self._by_owner.pop(owner)
        shutil.rmtree(folder, ignore_errors=True)
