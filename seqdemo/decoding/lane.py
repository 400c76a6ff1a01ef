"""All requests of one pipeline: prompts are read in chunks, rows that write share steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqdemo.plugin import TokenHead

from .batched import Chooser, Picks, draw_alone
from .generation import Generating, Reason, chunk_size
from .prepare import starting
from .stepper import Stepper
from .turns import SHARE

__all__ = ["Lane"]

Floats = NDArray[Any]

_TELL = 0.02
"""Seconds between two times that readers are woken for tokens after the first."""

_RUN = 0.01
"""Seconds that a run of several tokens is planned to take."""

_LONGEST = 256
"""Tokens of a run at most."""

_LEAST = 16
"""Tokens that the shortest chunk counts for: its call takes time too."""


class Lane:
    """Requests that share a stepper.

    A turn is one step of all rows, or one chunk of prompts; where there is both, a chunk is followed by at least one
    step, and by as many as take the time of the chunk or ``SHARE`` seconds. Rows come and go between steps. A row whose
    step raises ends alone: the step is made again, row by row.

    Args:
        head: of the pipeline.
        stepper: prepared for it; nobody else uses it.
        device: where the head is.
        ended: called with each request that has ended.
    """

    def __init__(
        self, head: TokenHead, stepper: Stepper, device: torch.device, ended: Callable[[Generating], None]
    ) -> None:
        self.stepper = stepper
        self._device = device
        self._starts = starting(head, device)
        self._ended = ended
        self._grid = chunk_size(head)
        self._forbidden = np.array(sorted(head.forbidden_ids), dtype=np.int64)
        self._ends = sorted(head.end_ids)
        self._pace = _RUN
        self._prompts: deque[Generating] = deque()
        self._writers: list[Generating] = []
        self._rereaders: list[Generating] = []
        self._logits: Floats = np.zeros((0, 0), dtype=np.float32)
        self._chooser: Chooser | None = None
        self._reads_next = True
        self._owed = 0.0
        self._told = 0.0
        self._over: list[Generating] = []

    def __len__(self) -> int:
        return len(self._prompts) + len(self._writers) + len(self._rereaders)

    @property
    def requests(self) -> tuple[Generating, ...]:
        """All that have not ended."""
        return (*self._prompts, *self._writers, *self._rereaders)

    def enter(self, work: Generating) -> None:
        """Take a request in."""
        self._prompts.append(work)

    def turn(self) -> None:
        """Do a bounded piece of work."""
        try:
            self._work()
        finally:
            self._part()

    def _work(self) -> None:
        rows = bool(self._writers or self._rereaders)
        began = perf_counter()
        if self._prompts and (self._reads_next or not rows):
            self._read()
            self._reads_next, self._owed = False, min(perf_counter() - began, SHARE)
        elif rows:
            self._step()
            self._owed -= perf_counter() - began
            self._reads_next = self._owed <= 0.0

    def sweep(self, now: float) -> None:
        """End what was cancelled or has run out of time."""
        for work in self.requests:
            if (reason := work.unwanted(now)) is not None:
                self._end(work, reason)
        self._part()

    def fail(self, error: BaseException) -> None:
        """End everything with an error."""
        for work in self.requests:
            self._end(work, "error", error)
        self._part()

    # --- reading ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Chunks of the prompts whose turn it is: one that is whole, or several that are not more than one together."""
        left = self._grid
        while self._prompts and (size := max(self._prompts[0].ahead(self._grid), _LEAST)) <= left:
            left -= size
            self._read_one(self._prompts[0])

    def _read_one(self, work: Generating) -> None:
        """The next chunk of a prompt."""
        self._prompts.rotate(-1)
        try:
            if not work.begun:
                work.begin(self._device, self._starts)
            if not work.rereads:
                work.read(self.stepper, self._grid, self._device)
                if work.unread:
                    return
            work.sit(self.stepper)
            self._prompts.remove(work)
            if work.rereads:
                self._rereaders.append(work)
            else:
                self._join(work, _array(work.logits))
        except BaseException as error:  # noqa: BLE001 - a request that raises ends alone, its reader gets the error
            self._end(work, "error", error)

    def _join(self, work: Generating, logits: Floats) -> None:
        """A row has read everything, and ``logits`` ``(1, V)`` come after it."""
        if not work.ready(self.stepper):
            self._end(work, "length")
            return
        # Copied: the stepper may use the memory again.
        self._logits = np.concatenate([self._logits, logits]) if self._writers else logits.copy()
        self._writers.append(work)
        self._chooser = None

    # --- stepping -----------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Every row reads one token: one drawn just now, or one that was generated before. Where the stepper draws
        too, every row reads several."""
        draws = not self._rereaders and all(self.stepper.runs(work.request.options) for work in self._writers)
        if draws and self._run():
            return
        ids, due = self._draw()
        ids += [work.reread() for work in self._rereaders]
        self._tell()
        logits, failed = self._forward([*self._writers, *self._rereaders], ids)
        if failed:
            self._writers = [work for work in self._writers if work not in failed]
            self._rereaders = [work for work in self._rereaders if work not in failed]
            self._chooser = None
        count = len(self._writers)
        self._logits = logits[:count]
        for work, error in failed.items():
            self._end(work, "error", error)
        for work in due:
            if work not in failed:
                self._settle(work)
        for row, work in enumerate(list(self._rereaders), count):
            if not work.rereads:
                self._rereaders.remove(work)
                self._settle(work, logits[row : row + 1])

    def _run(self) -> bool:
        """A run of all rows that write, as long as fits a turn and as none of them has anything else to do.

        While prompts wait, it takes no longer than what is left of the time of the last chunk.

        Returns:
            whether they read anything; if not, the reason shows when a token is drawn here.
        """
        writers, began = list(self._writers), perf_counter()
        seconds = min(self._owed, _RUN) if self._prompts else _RUN
        count = min(_LONGEST, max(1, int(seconds / self._pace)), *(work.room for work in writers))
        rows = [work.row() for work in writers]
        ran = self.stepper.run(count, rows, self._logits, self._forbidden.tolist(), self._ends)
        read = len(ran.ids)
        if not read:
            return False
        self._pace = (perf_counter() - began) / read
        self._logits = _array(ran.logits)
        due: list[Generating] = []
        failed: dict[Generating, BaseException] = {}
        drawn = [np.asarray(one).T.tolist() for one in (ran.ids, ran.logprobs, ran.entropies)]
        for work, *columns in zip(writers, *drawn, zip(*ran.reported, strict=True), strict=True):
            try:
                wrote, something = work.write_run(*columns)
                if something:
                    due.append(work)
                # Only here is a text looked at: what was drawn after its end is taken back.
                if wrote < read:
                    self.stepper.rewind(work.slot, wrote)
            except BaseException as error:  # noqa: BLE001 - a tokenizer may raise
                failed[work] = error
        self._tell()
        for work, trouble in failed.items():
            self._end(work, "error", trouble)
        for work in due:
            if work not in failed:
                self._settle(work)
        return True

    def _draw(self) -> tuple[list[int], list[Generating]]:
        """Ids drawn for the rows that write, and those of them with something to be done after the step."""
        if not self._writers:
            return [], []
        writers, picks = self._writers, self._pick()
        ids: list[int] = []
        due: list[Generating] = []
        failed: dict[Generating, BaseException] = {}
        drawn = zip(writers, picks.ids, picks.logprobs, picks.entropies, picks.reported, strict=True)
        for row, (work, token, logprob, entropy, reported) in enumerate(drawn):
            try:
                if row in picks.errors:
                    raise picks.errors[row]
                if work.write(token, logprob, entropy, reported):
                    due.append(work)
                ids.append(token)
            except BaseException as error:  # noqa: BLE001 - a tokenizer may raise too
                failed[work] = error
        for work, trouble in failed.items():
            self._end(work, "error", trouble)
        return ids, due

    def _pick(self) -> Picks:
        """The next token of each row that writes."""
        if len(self._writers) == 1:
            (work,) = self._writers
            return draw_alone(self._logits, work.request.options, work.number(), work.recent, self._forbidden)
        if self._chooser is None:
            self._chooser = Chooser([work.request.options for work in self._writers], self._forbidden)
        numbers = [work.number() for work in self._writers]
        return self._chooser(self._logits, numbers, [work.recent for work in self._writers])

    def _tell(self) -> None:
        """Wake readers now and then: each wake-up costs more than a token."""
        now = perf_counter()
        if now - self._told > _TELL:
            self._told = now
            for work in self._writers:
                work.channel.tell()

    def _forward(self, rows: list[Generating], ids: list[int]) -> tuple[Floats, dict[Generating, BaseException]]:
        """Logits of the rows that took the step, in order, and what the others raised."""
        found: list[Floats] = []
        failed: dict[Generating, BaseException] = {}
        width = self.stepper.width
        for start in range(0, len(rows), width):
            part, tokens = rows[start : start + width], ids[start : start + width]
            try:
                logits = _array(self.stepper.step(tokens, [work.slot for work in part]))
                # They are ours until the next step.
                found.append(logits if len(part) == len(rows) else logits.copy())
            except BaseException as error:  # noqa: BLE001 - as above
                if len(part) == 1:
                    failed[part[0]] = error
                    continue
                for work, token in zip(part, tokens, strict=True):
                    try:
                        found.append(_array(self.stepper.step([token], [work.slot])).copy())
                    except BaseException as own:  # noqa: BLE001 - as above
                        failed[work] = own
        if len(found) == 1:
            return found[0], failed
        return np.concatenate(found) if found else self._logits[:0], failed

    def _settle(self, work: Generating, logits: Floats | None = None) -> None:
        """After a step: keep a snapshot or end; ``logits`` are of a row that has just read everything."""
        try:
            if logits is not None:
                self._join(work, logits)
            elif (reason := work.keep(self.stepper)) is not None:
                self._end(work, reason)
        except BaseException as error:  # noqa: BLE001 - as above
            self._end(work, "error", error)

    # --- ending -------------------------------------------------------------------------------------------------

    def _end(self, work: Generating, reason: Reason, error: BaseException | None = None) -> None:
        if work in self._prompts:
            self._prompts.remove(work)
        elif work in self._rereaders:
            self._rereaders.remove(work)
        elif work in self._writers:
            row = self._writers.index(work)
            self._writers.remove(work)
            self._logits = np.delete(self._logits, row, axis=0)
            self._chooser = None
        try:
            work.finish(reason, self.stepper, error)
        except BaseException as trouble:  # noqa: BLE001 - the reader must hear of its end
            work.finish("error", self.stepper, trouble)
        self._over.append(work)
        self._ended(work)

    def _part(self) -> None:
        """Tell the readers of all that ended, together: the first to be told would compete with this thread for the
        interpreter while it ends the others."""
        over, self._over = self._over, []
        for work in over:
            work.tell()


def _array(logits: Tensor | None) -> Floats:
    """``(n, V)`` float32 in the memory numpy reads."""
    assert logits is not None
    found: Floats = logits.float().cpu().numpy()
    return found
