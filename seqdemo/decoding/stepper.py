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

    One thread uses it. The engine keeps one for each pipeline with requests, and lets it go with the last of them:
    whatever is costly to prepare is kept by whoever makes steppers.

    Args:
        slots: how many rows it has room for.

    Attributes:
        alike: a row's logits and state are the same bits whichever rows share the step, and wherever it stands among
            them. Where that is so, ``exact=True`` costs nothing.
        width: rows one step takes at most.
    """

    alike = False

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.width = slots
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
        """Read one token in each active slot. A step that raises leaves every slot as it was.

        Args:
            ids: ``n`` token ids.
            active: ``n`` different slots; mostly those of the step before, in the same order.

        Returns:
            logits ``(n, V)`` float32, for the token after it; the caller's until the next step.
        """

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        """Read a piece of a prompt in the whole-sequence form, with the output layer on the last position only.

        Args:
            head: of the pipeline.
            ids: ``(1, T)``; ``T = 0`` gives the distribution of the state as it stands.
            state: one row, in the model's named layout; not modified.

        Returns:
            logits ``(1, V)`` float32 and the state after all tokens read.
        """
        logits, after, _ = head.next(ids, state, context)
        return logits, after


class GenericStepper(Stepper):
    """Serves every token head through ``TokenHead.next``.

    The state of the rows that step together stays as the head returned it, one batch, for as long as the same rows
    step; all others lie in an arena, ``(slots, ...)`` for each entry. Rows with a context are read one after another,
    because contexts may differ in length.
    """

    def __init__(self, head: TokenHead, slots: int, device: torch.device) -> None:
        super().__init__(slots)
        self._head = head
        self._device = device
        self._arena: State = {}
        self._contexts: dict[int, Context] = {}
        self._live: list[int] = []
        self._batch: State = {}

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
        if len(active) > 1 and any(self._contexts[slot] for slot in active):
            return self._singly(ids, active)
        tokens = torch.tensor(ids, dtype=torch.long, device=self._device).unsqueeze(1)
        if self._live != list(active):
            self._settle()
            self._live, self._batch = list(active), verbs.select(self._arena, active)
        logits, self._batch, _ = self._head.next(tokens, self._batch, self._contexts[active[0]])
        return logits

    def _singly(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        """One call for each row; where one raises, those before it are put back."""
        before = {slot: self.take(slot) for slot in active}
        try:
            return torch.cat([self.step([token], [slot]) for token, slot in zip(ids, active, strict=True)])
        except BaseException:
            for slot, state in before.items():
                self.put(slot, state, self._contexts[slot])
            raise

    def _settle(self) -> None:
        """Write the rows that stepped together back to the arena."""
        if self._live:
            at = torch.tensor(self._live, device=self._device)
            for name, tensor in self._batch.items():
                self._arena[name].index_copy_(0, at, tensor)
        self._live, self._batch = [], {}
