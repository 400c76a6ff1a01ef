"""Steps of one size always, so that a row's bits do not depend on its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seqdemo.plugin import Context, State, TokenHead

from .stepper import Stepper

__all__ = ["ROWS", "PaddedStepper"]

ROWS = 16
"""Rows of each padded step."""

_even: WeakKeyDictionary[TokenHead, dict[tuple[Any, ...], bool]] = WeakKeyDictionary()
"""What was found out about a head, by what it depends on."""


class PaddedStepper(Stepper):
    """Steps another stepper with as many rows in every step, those that are lacking made up.

    A matrix product sums in an order chosen by its size; of one size, a row comes out the same whatever stands in the
    other rows, if it does so in every place. That is tried out when the stepper is made: where it does not hold, each
    row is stepped alone. So are rows with a context, whose products are of the size of the longest.

    Args:
        inner: has ``ROWS`` slots more than this one is to have, none of them claimed.
        head: of the pipeline ``inner`` steps.
    """

    alike = True

    def __init__(self, inner: Stepper, head: TokenHead) -> None:
        super().__init__(inner.slots - ROWS)
        self._inner = inner
        self._at = [inner.claim() for _ in range(inner.slots)]
        self._fill = self._at[self.slots :]
        self.width = ROWS if self._tested(head) else 1

    def put(self, slot: int, state: State, context: Context) -> None:
        self._inner.put(self._at[slot], state, context)
        if context:
            self.width = 1

    def take(self, slot: int) -> State:
        return self._inner.take(self._at[slot])

    def clear(self, slot: int) -> None:
        self._inner.clear(self._at[slot])

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        places = [self._at[slot] for slot in active]
        if self.width == 1:
            return self._inner.step(ids, places)
        lacking = ROWS - len(active)
        return self._inner.step([*ids, *[0] * lacking], places + self._fill[:lacking])[: len(active)]

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        return self._inner.read(head, ids, state, context)

    def _tested(self, head: TokenHead) -> bool:
        """Whether a row comes out the same in every place and beside other rows."""
        first = next(head.parameters(), torch.empty(0))
        circumstances = (type(self._inner), head.precision, torch.get_num_threads(), first.dtype, first.device)
        known = _even.setdefault(head, {})
        if circumstances not in known:
            known[circumstances] = self._test(head)
        self._fill_up(head)
        return known[circumstances]

    def _test(self, head: TokenHead) -> bool:
        size, sequence = head.output_tokenizer.vocab_size, (1, 2, 3)
        try:
            same = self._try(head, [[token % size] * ROWS for token in sequence])
            mixed = self._try(head, [[(token + row) % size for row in range(ROWS)] for token in sequence])
        except Exception:  # noqa: BLE001 - a head that cannot be stepped without its input says so when it has one
            return False
        return all(torch.equal(row, same[0]) for row in (*same, mixed[0]))

    def _try(self, head: TokenHead, steps: Sequence[Sequence[int]]) -> Tensor:
        self._fill_up(head)
        for ids in steps:
            logits = self._inner.step(ids, self._fill)
        return logits.clone()

    def _fill_up(self, head: TokenHead) -> None:
        """Let the made-up rows hold a state."""
        for place in self._fill:
            self._inner.put(place, head.initial_state(1), {})
