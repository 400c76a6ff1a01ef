"""One request on its way through the engine: read the prompt in chunks, then draw and read one token a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from seqdemo.errors import StateError
from seqdemo.plugin import Alternative, Context, Done, Prefill, SamplingOptions, State, Token, TokenHead, Usage
from seqdemo.plugin import state as verbs

from .random import fresh_seed, uniform
from .sampling import choose
from .snapshot import Snapshot
from .stepper import Stepper
from .stream import Channel
from .text import TextStream, token_text

__all__ = ["CHUNK", "Generating", "Request"]

CHUNK = 256
"""Prompt tokens read in one turn at most. Chunks end at multiples of it, so what was cached moves no boundary."""

_RECENT = 64
"""Ids a snapshot keeps at least for the repetition penalty."""

Reason = Literal["length", "stop", "end", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate.

    Attributes:
        head: the pipeline's head, in evaluation mode.
        ids: read before the first token is drawn; none to go on where ``start`` stands, text held back included.
        options: how tokens are drawn and when to stop.
        row: the input the head computes a context from; its ``text`` is the prompt that is reported.
        start: where to go on from; the head's own beginning when None.
        anchors_every: keep a snapshot at the end of the prompt and after each so many generated tokens; 0: none.
        stepped: ``ids`` are generated tokens: read them one by one, as they were read when they were drawn, so that
            the state is the same bit for bit.
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
    """A request's work, done by the owner thread; only ``channel`` is shared with readers.

    After each turn the state has read every token that was given out. So the snapshot at the end, for any reason, is
    the place after all tokens.
    """

    def __init__(self, request: Request, device: torch.device, open_stepper: Callable[[TokenHead], Stepper]) -> None:
        seed = request.options.seed
        self.channel = Channel(fresh_seed() if seed is None else seed)
        self._request = request
        self._device = device
        self._open_stepper = open_stepper
        self._stepper: Stepper | None = None
        self._slot = -1
        self._began = self._ready = 0.0
        self._read = self._written = 0
        self._bytes = 0
        self._state: State = {}
        self._context: Context = {}
        self._logits: Tensor | None = None
        self._turn = self._begin

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the rest."""
        return self.channel.cancelled

    def cancel(self) -> None:
        """End it with its next turn."""
        self.channel.cancel()

    def turn(self) -> bool:
        """Do a bounded piece of work.

        Returns:
            whether more is left.
        """
        try:
            if self.cancelled:
                self._end("cancelled")
            else:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - a request that raises ends alone, its reader gets the error
            self._end("error", error)
        return not self.channel.ended

    # --- reading ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        request, start = self._request, self._request.start
        head, options = request.head, request.options
        self._began = perf_counter()
        self._context, self._state = head.start([request.row])
        self._position = 0
        self._recent: deque[int] = deque(maxlen=max(options.repetition_window, _RECENT))
        pending, held = b"", ""
        if start is not None:
            try:
                verbs.check(start.state, verbs.layout(self._state))
            except StateError as error:
                raise StateError(f"This snapshot does not fit this pipeline. {error}") from error
            self._state = verbs.move(start.state, self._device)
            self._position = start.position
            self._recent.extend(start.recent)
            if not request.ids or request.stepped:
                pending, held = start.pending, start.held
        self._text = TextStream(head.output_tokenizer, request.stops, pending, held)
        self._bytes = verbs.nbytes(self._state)
        self._forbidden = np.array(sorted(head.forbidden_ids), dtype=np.int64)
        if request.stepped and request.ids:
            self._seat()
            self._turn = self._reread
        else:
            self._turn = self._prefill
        self._turn()

    def _prefill(self) -> None:
        """Read a chunk; no ids at all give the distribution where the state stands."""
        ids = self._request.ids
        size = min(CHUNK - self._position % CHUNK, len(ids) - self._read)
        chunk = list(ids[self._read : self._read + size])
        tokens = torch.tensor([chunk], dtype=torch.long, device=self._device)
        self._logits, self._state, _ = self._request.head.next(tokens, self._state, self._context)
        self._advance(chunk)
        if ids:
            self.channel.put(Prefill(self._read, len(ids)))
        if self._read == len(ids):
            self._seat()
            self._begin_writing()

    def _reread(self) -> None:
        """Read one token that was generated before."""
        ids = self._request.ids
        if self._read < len(ids):
            token = ids[self._read]
            self._text.push(token)
            self._step(token)
            self._read += 1
            if self._read % 32 == 0 or self._read == len(ids):
                self.channel.put(Prefill(self._read, len(ids)))
        if self._read == len(ids):
            self._begin_writing()

    def _seat(self) -> None:
        self._stepper = self._open_stepper(self._request.head)
        self._slot = self._stepper.claim()
        self._stepper.put(self._slot, self._state, self._context)
        self._state = {}

    def _advance(self, ids: Sequence[int]) -> None:
        self._recent.extend(ids)
        self._position += len(ids)
        self._read += len(ids)

    # --- writing ------------------------------------------------------------------------------------------------

    def _begin_writing(self) -> None:
        self._ready = perf_counter()
        self._turn = self._write
        self._keep_anchor()
        if self._request.options.max_tokens == 0:
            self._end("length")

    def _write(self) -> None:
        """Draw a token, give it out, read it."""
        request, options = self._request, self._request.options
        token = self._draw()
        text = self._text.push(token.id)
        self.channel.put(
            Token(token.id, text, token.logprob, token.entropy, token.alternatives, token.position) if text else token
        )
        self._written += 1
        self._step(token.id)
        self._keep_anchor()
        if token.id in request.head.end_ids:
            self._end("end")
        elif self._text.stopped_by is not None:
            self._end("stop")
        elif self._written >= options.max_tokens:
            self._end("length")

    def _draw(self) -> Token:
        assert self._logits is not None
        tokenizer = self._request.head.output_tokenizer
        logits = self._logits[0].float().cpu().numpy()
        number = uniform(self.channel.seed, self._position)
        choice = choose(logits, self._request.options, number, tuple(self._recent), self._forbidden)
        alternatives = tuple(Alternative(c.id, token_text(tokenizer, c.id), c.raw, c.ruled) for c in choice.candidates)
        return Token(choice.id, "", choice.logprob, choice.entropy, alternatives, self._position)

    def _step(self, token: int) -> None:
        assert self._stepper is not None
        self._logits = self._stepper.step([token], [self._slot])
        self._recent.append(token)
        self._position += 1

    # --- ending -------------------------------------------------------------------------------------------------

    def _keep_anchor(self) -> None:
        every = self._request.anchors_every
        if every and self._written % every == 0:
            self.channel.anchors[self._written] = self._snapshot()

    def _snapshot(self) -> Snapshot:
        assert self._stepper is not None
        state = verbs.move(self._stepper.take(self._slot), "cpu")
        return Snapshot(state, self._position, self._text.pending, self._text.held, tuple(self._recent))

    def _end(self, reason: Reason, error: BaseException | None = None) -> None:
        now = perf_counter()
        began, ready = self._began or now, self._ready or now
        usage = Usage(self._read, self._written, now - ready, ready - began, self._bytes)
        text, snapshot = "", None
        if self._ready:
            if error is None:
                snapshot = self.channel.anchors.get(self._written) or self._snapshot()
            self.channel.stopped_by = self._text.stopped_by
            text = self._text.finish()
        self._release()
        self.channel.end(Done(reason, usage, text, self.channel.seed), snapshot, error)

    def _release(self) -> None:
        """Give the row back and let go of tensors."""
        if self._stepper is not None:
            self._stepper.free(self._slot)
        self._stepper, self._logits, self._state = None, None, {}
