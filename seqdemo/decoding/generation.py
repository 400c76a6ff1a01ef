"""One request on its way through the engine: what it is, what it has read and written, how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import perf_counter
from typing import Any, Literal

import torch
from torch import Tensor

from seqdemo.errors import StateError
from seqdemo.plugin import (
    Context,
    Done,
    Prefill,
    RecurrentModel,
    Reported,
    RunRow,
    SamplingOptions,
    State,
    TokenHead,
    Usage,
)
from seqdemo.plugin import state as verbs

from .prepare import Start
from .random import fresh_seed, uniforms
from .snapshot import Snapshot
from .stepper import Stepper
from .stream import Channel, Signal
from .text import TextStream, token_text

__all__ = ["CHUNK", "Generating", "Reason", "Request", "chunk_size"]

CHUNK = 256
"""Prompt tokens read in one turn at most."""

_LEAST_CHUNK = 16
_READS = 600_000_000
"""Weights read in some 50 ms, when each token reads all of a model's: what two cores did with large models."""

_RECENT = 64
"""Ids a snapshot keeps at least for the repetition penalty."""

_AHEAD = 64
"""Random numbers made at a time."""

Reason = Literal["length", "stop", "end", "timeout", "cancelled", "error"]


def chunk_size(head: TokenHead) -> int:
    """Prompt tokens read in one turn: chunks end at multiples of it.

    A power of two, the smaller the larger the model. It follows from the number of weights and nothing else: where
    chunks end changes the last bits of a state, so neither the clock nor what was cached may move them. A snapshot
    inside a prompt is only good for going on if it was taken at such a multiple.
    """
    models = [module for module in head.modules() if isinstance(module, RecurrentModel)]
    weights = sum({id(p): p.numel() for model in models for p in model.parameters()}.values())
    fitting = max(_READS // max(weights, 1), 1)
    return min(max(1 << (fitting.bit_length() - 1), _LEAST_CHUNK), CHUNK)


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate.

    Attributes:
        head: the pipeline's head, in evaluation mode.
        ids: read before the first token is drawn; none to go on where ``start`` stands, text held back included.
        options: how tokens are drawn and when to stop.
        row: the input the head computes a context from; its first column is the prompt that is reported.
        start: where to go on from; the head's own beginning when None.
        anchors_every: keep a snapshot at the end of the prompt and after each so many generated tokens; 0: none.
        stepped: ``ids`` are generated tokens: read them one by one, as they were read when they were drawn, so that
            the state is the same bit for bit where steps are exact.
    """

    head: TokenHead
    ids: Sequence[int]
    options: SamplingOptions
    row: Mapping[str, Any] = field(default_factory=dict)
    start: Snapshot | None = None
    anchors_every: int = 0
    stepped: bool = False

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings of the options and of the head."""
        return (*self.options.stop, *self.head.stop_texts)


class Generating:
    """What the owner thread knows of a request; only ``channel`` is shared with readers.

    After each step the state has read every token that was given out. So the snapshot at the end, for any reason, is
    the place after all tokens.

    Attributes:
        request: what to generate.
        channel: to the readers.
        slot: in the stepper, once there is one.
        recent: the last ids read and written, oldest first.
        logits: ``(1, V)`` after the prompt.
        deadline: when it is to end, by ``perf_counter``.
    """

    def __init__(self, request: Request, stirred: Signal) -> None:
        seed, options = request.options.seed, request.options
        tokenizer = request.head.output_tokenizer
        self.request = request
        self.channel = Channel(fresh_seed() if seed is None else seed, partial(token_text, tokenizer), stirred)
        self.slot = -1
        self.logits: Tensor | None = None
        self.recent: deque[int] = deque(maxlen=max(options.repetition_window, _RECENT))
        self.deadline = inf if options.timeout is None else perf_counter() + options.timeout
        self._limit, self._ends = request.head.max_tokens(request.row, options), request.head.end_ids
        self._began = self._ready = 0.0
        self._position = 0 if request.start is None else request.start.position
        self._read = self._written = self._pause = self._bytes = 0
        self._reason: Reason | None = None
        self._numbers: list[float] = []
        self._state: State = {}
        self._context: Context = {}
        self._text: TextStream | None = None
        self._last: tuple[Done, Snapshot | None, BaseException | None] | None = None

    def unwanted(self, now: float) -> Reason | None:
        """Why it is to end at once, ``now`` by ``perf_counter``; None if it is not."""
        if self.channel.cancelled:
            return "cancelled"
        return "timeout" if now >= self.deadline else None

    # --- reading ------------------------------------------------------------------------------------------------

    def begin(self, device: torch.device, starts: Start) -> None:
        """Make the state to start from, by what reads inputs.

        Raises:
            StateError: the snapshot to go on from is of another pipeline.
        """
        request, start = self.request, self.request.start
        head = request.head
        self._began = perf_counter()
        self._context, self._state = starts([request.row])
        pending, held = b"", ""
        if start is not None:
            try:
                verbs.check(start.state, verbs.layout(self._state))
            except StateError as error:
                raise StateError(f"This snapshot does not fit this pipeline. {error}") from error
            self._state = verbs.move(start.state, device)
            self.recent.extend(start.recent)
            if not request.ids or request.stepped:
                pending, held = start.pending, start.held
        self._text = TextStream(head.output_tokenizer, request.stops, pending, held)
        self._bytes = verbs.nbytes(self._state)

    @property
    def begun(self) -> bool:
        """Whether there is a state."""
        return self._text is not None

    @property
    def rereads(self) -> bool:
        """Whether ids are left that were generated before and are read in steps."""
        return self.request.stepped and self.unread

    @property
    def unread(self) -> bool:
        """Whether ids are left to be read."""
        return self._read < len(self.request.ids)

    def ahead(self, grid: int) -> int:
        """Tokens of the next chunk, where chunks end at multiples of ``grid``."""
        if self.request.stepped:
            return 0
        return min(grid - self._position % grid, len(self.request.ids) - self._read)

    def read(self, stepper: Stepper, grid: int, device: torch.device) -> None:
        """Read a chunk; no ids at all give the distribution where the state stands."""
        ids, size = self.request.ids, self.ahead(grid)
        chunk = ids[self._read : self._read + size]
        tokens = torch.tensor([list(chunk)], dtype=torch.long, device=device)
        self.logits, self._state = stepper.read(self.request.head, tokens, self._state, self._context)
        self.recent.extend(chunk)
        self._position += size
        self._read += size
        if ids:
            self.channel.put(Prefill(self._read, len(ids)))

    def sit(self, stepper: Stepper) -> None:
        """Hand the state to a slot of the stepper."""
        self.slot = stepper.claim()
        stepper.put(self.slot, self._state, self._context)
        self._state, self._context = {}, {}

    def reread(self) -> int:
        """The next id that was generated before; it counts as read."""
        assert self._text is not None
        token = self.request.ids[self._read]
        self._text.push(token)
        self.recent.append(token)
        self._position += 1
        self._read += 1
        if self._read % 32 == 0 or self._read == len(self.request.ids):
            self.channel.put(Prefill(self._read, len(self.request.ids)))
        return token

    # --- writing ------------------------------------------------------------------------------------------------

    def ready(self, stepper: Stepper) -> bool:
        """All is read.

        Returns:
            whether a token is to be drawn.
        """
        self._ready = perf_counter()
        self.keep(stepper)
        return self._limit > 0

    def number(self) -> float:
        """The random number of the position."""
        if not self._numbers:
            self._numbers = uniforms(self.channel.seed, self._position, _AHEAD)[::-1]
        return self._numbers.pop()

    @property
    def room(self) -> int:
        """Tokens until it has something else to do."""
        return self._pause - self._written

    def row(self) -> RunRow:
        """What a stepper that draws needs to know."""
        self._numbers.clear()  # they are of positions that the run may pass
        return RunRow(self.slot, self.request.options, self.channel.seed, self._position, self.recent)

    def write(self, token: int, logprob: float, entropy: float, reported: Reported | None) -> bool:
        """Give out a token that was drawn.

        Returns:
            whether something is to be done once it was read: to keep a snapshot, or to end.
        """
        assert self._text is not None
        self.channel.add((token, self._text.push(token), logprob, entropy, reported, self._position))
        self.recent.append(token)
        return self._wrote(token, 1)

    def write_run(
        self,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        entropies: Sequence[float],
        reported: Sequence[Reported | None],
    ) -> tuple[int, bool]:
        """Give out tokens that were drawn in a run, up to one after which something is to be done.

        Returns:
            how many were given out, and whether there is something to be done.
        """
        assert self._text is not None
        texts = self._text.push_all(tokens[: self.room], self._ends)
        count = len(texts)
        places = range(self._position, self._position + count)
        self.channel.add_all(zip(tokens, texts, logprobs, entropies, reported, places, strict=False))
        self.recent.extend(tokens[:count])
        return count, self._wrote(tokens[count - 1], count)

    def _wrote(self, token: int, count: int) -> bool:
        """Tokens were given out, this one last: whether something is to be done."""
        assert self._text is not None
        self._position += count
        self._written += count
        if token in self._ends:
            self._reason = "end"
        elif self._text.stopped_by is not None:
            self._reason = "stop"
        elif self._written < self._pause:
            return False
        elif self._written >= self._limit:
            self._reason = "length"
        return True

    def keep(self, stepper: Stepper) -> Reason | None:
        """Keep a snapshot where one is due.

        Returns:
            why the request is to end; None if it is not.
        """
        every, written = self.request.anchors_every, self._written
        if every and written % every == 0:
            self.channel.anchors[written] = self._snapshot(stepper)
        if written == 1:
            self.channel.tell()
        following = written - written % every + every if every else self._limit
        self._pause = min(following, self._limit) if written else 1
        return self._reason

    # --- ending -------------------------------------------------------------------------------------------------

    def end(self, reason: Reason, stepper: Stepper | None, error: BaseException | None = None) -> None:
        """Give the slot back, if there is one, and tell the readers."""
        self.finish(reason, stepper, error)
        self.tell()

    def tell(self) -> None:
        """Tell the readers how it ended."""
        assert self._last is not None
        self.channel.end(*self._last)
        self._last = None

    def finish(self, reason: Reason, stepper: Stepper | None, error: BaseException | None = None) -> None:
        """Give the slot back, if there is one, and tell nobody yet."""
        now = perf_counter()
        began, ready = self._began or now, self._ready or now
        usage = Usage(self._read, self._written, now - ready, ready - began, self._bytes)
        text, snapshot = "", None
        if self._ready and self._text is not None and stepper is not None:
            if error is None:
                snapshot = self.channel.anchors.get(self._written) or self._snapshot(stepper)
            self.channel.stopped_by = self._text.stopped_by
            text = self._text.finish()
        if self.slot >= 0 and stepper is not None:
            stepper.free(self.slot)
        self.slot, self.logits, self._state, self._context = -1, None, {}, {}
        self._last = Done(reason, usage, text, self.channel.seed), snapshot, error

    def _snapshot(self, stepper: Stepper) -> Snapshot:
        assert self._text is not None
        state = verbs.move(stepper.take(self.slot), "cpu")
        return Snapshot(state, self._position, self._text.pending, self._text.held, tuple(self.recent))
