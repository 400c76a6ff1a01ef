"""Batches by position: any batch of any epoch can be asked for, so that resuming needs no replay.

Shape letters: ``B`` streams or examples of one process, ``T`` window, ``N`` tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seqdemo.errors import DataError
from seqdemo.plugin import Batch

__all__ = ["POOLED", "Batches", "Examples", "Streams", "evaluation_examples", "evaluation_streams", "token_ids"]

POOLED = 50
"""Batches whose rows are sorted together: enough for likeness, few enough that no two epochs are alike."""


class Batches(Protocol):
    """Training data of one process.

    Attributes:
        carries: whether the state goes on from one batch to the next within an epoch.
        batch_size: rows of a batch.
        steps: batches in an epoch, the same in every epoch and process.
    """

    carries: bool
    batch_size: int
    steps: int

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch ``index`` of an epoch, on the device."""


def token_ids(encoded: Sequence[Sequence[int]]) -> Tensor:
    """Encoded rows one after another: ``(N,)`` int32."""
    parts = [np.asarray(ids, dtype=np.int32) for ids in encoded if len(ids)]
    return torch.from_numpy(np.concatenate(parts)) if parts else torch.zeros(0, dtype=torch.int32)


class Streams:
    """Contiguous streams of one long text, read in windows.

    The text is cut into ``world * batch_size`` streams of equal length; process ``rank`` holds the streams
    ``rank * batch_size … (rank + 1) * batch_size - 1``. So P processes train on what one process with P times the
    batch size would. What is left at a stream's end, less than a window, is not read in that epoch.

    Args:
        ids: ``(N,)``, every token of the training data in order; moved to ``device`` once.
        window: ``T``; shorter where a stream is.
        shift: begin each epoch after the first at a random token below ``T`` and cut the rest into streams anew, so
            that what lies at a stream's end, and is read less often, is not always the same.
        seed: of the shift.

    Raises:
        DataError: fewer than two tokens for each stream.
    """

    carries = True

    def __init__(
        self,
        ids: Tensor,
        batch_size: int,
        window: int,
        *,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        shift: bool = False,
        seed: int = 0,
    ) -> None:
        streams = batch_size * world
        predicted = len(ids) - 1
        if predicted < streams:
            raise DataError(
                f"The training data is {len(ids)} tokens; {streams} streams need at least {streams + 1}. "
                "Give more data, or a smaller --batch-size."
            )
        room = window - 1 if shift and predicted - (window - 1) >= streams * window else 0
        shortest = (predicted - room) // streams
        self._predicted, self._room, self._seed = predicted, room, seed
        self._first = rank * batch_size
        self._streams = streams
        self._ids = ids.to(device)
        self._views: tuple[int, Tensor, Tensor] | None = None
        self.batch_size = batch_size
        self.window = min(window, shortest)
        self.steps = shortest // self.window

    def _epoch(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of an epoch, ``(B, L)`` each, without copying."""
        if self._views is None or self._views[0] != epoch:
            start = random.Random(f"{self._seed}/{epoch}").randint(0, self._room) if epoch else 0
            size = (self._predicted - start) // self._streams * self._streams
            mine = slice(self._first, self._first + self.batch_size)
            inputs = self._ids[start : start + size].view(self._streams, -1)[mine]
            targets = self._ids[start + 1 : start + 1 + size].view(self._streams, -1)[mine]
            self._views = (epoch, inputs, targets)
        return self._views[1], self._views[2]

    def batch(self, epoch: int, index: int) -> Batch:
        """``inputs`` and ``targets``, ``(B, T)`` long each."""
        inputs, targets = self._epoch(epoch)
        cut = slice(index * self.window, (index + 1) * self.window)
        return {"inputs": inputs[:, cut].long(), "targets": targets[:, cut].long()}


class Examples:
    """Encoded rows in an order shuffled for each epoch. A last batch that is not full is left out where it may be.

    With sizes, batches are of rows of like size: the shuffled rows of ``POOLED`` batches are sorted by size and cut
    into batches, and the batches of the epoch are shuffled. ``P`` processes train on what one process with ``P`` times
    the batch size would.

    Args:
        items: what ``head.encode`` gave for each row.
        collate: makes a batch of some of them.
        sizes: of the rows; None where they do not matter.

    Raises:
        DataError: too few rows for every process to get one.
    """

    carries = False

    def __init__(
        self,
        items: Sequence[Any],
        batch_size: int,
        collate: Callable[[Sequence[Any]], Batch],
        *,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        sizes: Sequence[int] | None = None,
    ) -> None:
        if len(items) < world:
            raise DataError(f"The training data is {len(items)} rows, too few for {world} processes.")
        self.batch_size = min(batch_size, len(items) // world)
        self.steps = len(items) // (self.batch_size * world)
        self._items, self._collate, self._device = items, collate, device
        self._rank, self._world, self._seed, self._sizes = rank, world, seed, sizes
        self._order: tuple[int, list[int]] = (-1, [])

    def batch(self, epoch: int, index: int) -> Batch:
        if self._order[0] != epoch:
            self._order = (epoch, self._shuffled(epoch))
        start = (index * self._world + self._rank) * self.batch_size
        chosen = self._order[1][start : start + self.batch_size]
        return _moved(self._collate([self._items[i] for i in chosen]), self._device)

    def _shuffled(self, epoch: int) -> list[int]:
        """The rows in the order of an epoch: those of its first batch, those of its second, ..."""
        draw = random.Random(f"{self._seed}/{epoch}")
        order = list(range(len(self._items)))
        draw.shuffle(order)
        if self._sizes is None:
            return order
        together = self.batch_size * self._world
        order = order[: self.steps * together]
        batches: list[list[int]] = []
        for start in range(0, len(order), POOLED * together):
            pool = sorted(order[start : start + POOLED * together], key=self._sizes.__getitem__)
            batches += (pool[at : at + together] for at in range(0, len(pool), together))
        draw.shuffle(batches)
        return [row for batch in batches for row in batch]


def _moved(batch: Batch, device: torch.device | str) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def evaluation_streams(
    ids: Tensor,
    streams: int,
    window: int,
    *,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Windows over a whole text, every token but the first predicted exactly once, to be read with the state carried.

    The text is cut into at most ``streams`` streams of at least 512 tokens, the same ones however many processes share
    them; targets beyond its end are -100.

    Raises:
        DataError: fewer than two tokens.
    """
    predicted = len(ids) - 1
    if predicted < 1:
        raise DataError(f"The validation data is {len(ids)} tokens; there must be at least 2.")
    streams = max(1, min(streams, predicted // 512))
    length = -(-predicted // streams)
    rows = -(-streams // world)
    ids = ids.to(torch.long)
    blank = rows * world * length - predicted
    inputs = torch.cat([ids[:-1], ids.new_zeros(blank)]).view(-1, length)
    targets = torch.cat([ids[1:], ids.new_full((blank,), -100)]).view(-1, length)
    mine = slice(rank * rows, (rank + 1) * rows)
    inputs, targets = inputs[mine].to(device), targets[mine].to(device)
    for start in range(0, length, window):
        cut = slice(start, start + window)
        yield {"inputs": inputs[:, cut], "targets": targets[:, cut]}


def evaluation_examples(
    items: Sequence[Any],
    batch_size: int,
    collate: Callable[[Sequence[Any]], Batch],
    *,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    sizes: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """Every item once over all processes: in order, or with sizes the small ones first."""
    order = range(len(items)) if sizes is None else sorted(range(len(items)), key=sizes.__getitem__)
    mine = [items[place] for place in order[rank::world]]
    for start in range(0, len(mine), batch_size):
        yield _moved(collate(mine[start : start + batch_size]), device)
