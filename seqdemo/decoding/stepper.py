"""Steppers: a pipeline prepared for one-token work. ``n`` is the number of active rows, ``V`` the vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from seqdemo.errors import BusyError
from seqdemo.plugin import Context, State, TokenHead
from seqdemo.plugin import state as verbs

__all__ = ["GenericStepper", "Stepper"]


class Stepper(ABC):
    """Owns the states of its slots, in whatever layout is fastest for it; gives them out in the model's own.

    Args:
        slots: how many rows it has room for.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._free = list(range(slots - 1, -1, -1))

    @property
    def idle(self) -> bool:
        """Whether no slot is claimed."""
        return len(self._free) == self.slots

    def claim(self) -> int:
        """A slot that nobody uses.

        Raises:
            BusyError: there is none.
        """
        if not self._free:
            raise BusyError(f"All {self.slots} rows of this stepper are in use. Try again when one has ended.")
        return self._free.pop()

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self.clear(slot)
        self._free.append(slot)

    @abstractmethod
    def put(self, slot: int, state: State, context: Context) -> None:
        """Let a slot hold a one-row state, which is not modified, and the context it is read with."""

    @abstractmethod
    def take(self, slot: int) -> State:
        """A copy of a slot's state, one row, in the model's named layout."""

    @abstractmethod
    def clear(self, slot: int) -> None:
        """Forget a slot's state."""

    @abstractmethod
    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        """Read one token in each active slot.

        Args:
            ids: ``n`` token ids.
            active: ``n`` different slots.

        Returns:
            logits ``(n, V)`` float32, for the token after it.
        """


class GenericStepper(Stepper):
    """Serves every token head through ``TokenHead.next``.

    Rows without context share one batched call; rows with one are read one after another, because contexts may differ
    in length.
    """

    def __init__(self, head: TokenHead, slots: int, device: torch.device) -> None:
        super().__init__(slots)
        self._head = head
        self._device = device
        self._rows: dict[int, tuple[State, Context]] = {}

    def put(self, slot: int, state: State, context: Context) -> None:
        self._rows[slot] = (state, context)

    def take(self, slot: int) -> State:
        # Outside inference mode: the copy is an ordinary tensor, fit for any later use, training included.
        with torch.inference_mode(False):
            return verbs.clone(self._rows[slot][0])

    def clear(self, slot: int) -> None:
        self._rows.pop(slot, None)

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        tokens = torch.tensor(ids, dtype=torch.long, device=self._device).unsqueeze(1)
        rows = [self._rows[slot] for slot in active]
        if len(rows) > 1 and any(context for _, context in rows):
            return torch.cat([self.step([token], [slot]) for token, slot in zip(ids, active, strict=True)])
        state = rows[0][0] if len(rows) == 1 else verbs.concat([state for state, _ in rows])
        logits, after, _ = self._head.next(tokens, state, rows[0][1])
        for row, slot in enumerate(active):
            self._rows[slot] = (after if len(rows) == 1 else verbs.select(after, [row]), rows[row][1])
        return logits
