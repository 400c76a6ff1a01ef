"""The stepper that serves every token head. ``n`` is the number of active rows, ``V`` the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqdemo.plugin import Context, State, StepOutput, Stepper, TokenHead
from seqdemo.plugin import state as verbs

from .contexts import join

__all__ = ["Advance", "GenericStepper", "Sharing", "Stepper"]

Advance = Callable[[Tensor, State, Context], StepOutput]
"""One token in each of ``n`` rows: ``(n, 1)`` ids, their states and contexts."""

Sharing = Callable[[Tensor, State, Context, Tensor], StepOutput]
"""The same with contexts that rows share; last, the row of the context that each is given."""


class GenericStepper(Stepper):
    """Serves every token head, through ``TokenHead.next`` or what was prepared in its place.

    The state of the rows that step together stays as the head returned it, one batch, for as long as the same rows
    step, and so do their contexts, joined; all others lie in an arena, ``(slots, ...)`` for each entry.

    Args:
        advance: what reads one token; the head itself by default.
    """

    def __init__(self, head: TokenHead, slots: int, device: torch.device, advance: Advance | None = None) -> None:
        super().__init__(slots)
        self._advance = advance or head.next
        self._device = device
        self._arena: State = {}
        self._contexts: dict[int, Context] = {}
        self._live: list[int] = []
        self._batch: State = {}
        self._context: Context = {}

    def put(self, slot: int, state: State, context: Context) -> None:
        self._settle()
        if not self._arena:
            self._arena = {
                name: row.new_empty((self.slots, *row.shape[1:]), device=self._device) for name, row in state.items()
            }
        for name, row in state.items():
            self._arena[name][slot] = row[0]
        self._contexts[slot] = context

    def take(self, slot: int) -> State:
        rows, at = (self._batch, self._live.index(slot)) if slot in self._live else (self._arena, slot)
        # Outside inference mode: the copy is an ordinary tensor, fit for any later use, training included.
        with torch.inference_mode(False):
            return verbs.clone({name: tensor[at : at + 1] for name, tensor in rows.items()})

    def clear(self, slot: int) -> None:
        self._contexts.pop(slot, None)

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        tokens = torch.tensor(ids, dtype=torch.long, device=self._device).unsqueeze(1)
        if self._live != list(active):
            self._settle()
            self._context = join([self._contexts[slot] for slot in active])
            self._live, self._batch = list(active), verbs.select(self._arena, active)
        logits, self._batch, *_ = self._advance(tokens, self._batch, self._context)
        return logits

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        if ids.shape[1] != 1:
            return super().read(head, ids, state, context)
        logits, after, *_ = self._advance(ids, state, context)
        return logits, after

    def _settle(self) -> None:
        """Write the rows that stepped together back to the arena."""
        if self._live:
            at = torch.tensor(self._live, device=self._device)
            for name, tensor in self._batch.items():
                self._arena[name].index_copy_(0, at, tensor)
        self._live, self._batch, self._context = [], {}, {}
