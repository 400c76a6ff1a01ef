"""One-token work for ``rnn``, ``lstm`` and ``gru`` on the CPU.

A layer's new output is multiplied once, by its own recurrent weights for the step to come, and by the weights of what
stands above it for this one: one pair of products for each layer, ``[U; W above]``, and the first is kept.

Several tokens are read layer by layer: inputs in one product, then the recurrent ones one after another. Torch's own
layer packs its weights in each call, so in 32 bits it is left to long pieces only.

Shape letters: ``n`` active rows, ``H`` hidden, ``G`` gates, ``V`` vocabulary, ``E`` embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqdemo.builtin.models.fused import Fused
from seqdemo.errors import PluginError
from seqdemo.plugin import Context, Precision, Prepared, State, Stepper, TokenHead, TokenIO

from .cells import Entries, Kind, weights_of
from .crew import Crew
from .products import Floats, Pair, Product, product

__all__ = ["TABLE_BYTES", "RecurrentPrepared", "RecurrentStepper"]

TABLE_BYTES = 256 << 20
"""What the first layer's input projections of all tokens, ``(V, G * H)`` in 32 bits, may take."""

_PER_THREAD = 1 << 26
"""Multiplications worth a thread where their number may change bits, so that time must not choose it. Where another
process takes a core, threads that wait for each other are slower than one by orders of magnitude; a row of all but the
largest models is stepped by one."""


class _Row(NamedTuple):
    """One layer's part of ``n`` rows: its entries, and ``U h + d`` ``(n, G * H)`` for the step to come."""

    entries: Entries
    ahead: Floats


@dataclass(frozen=True, slots=True)
class _Weights:
    """What steppers of one head share.

    Attributes:
        kind: of the cells.
        places: names of each layer's entries in the pipeline state.
        output: the entry that keeps the last layer's output, if one does.
        table: ``W x + b`` of the first layer for every token, or the embedding where ``enter`` makes that of it.
        pairs: for each layer ``[U; W above]``.
        split: ``G * H``.
        leave: what is above the last product, where the head has a projection.
        dtype: of the pipeline's states.
        crew: who steps, where products are alike by any number of threads.
    """

    kind: Kind
    places: tuple[tuple[str, ...], ...]
    output: str | None
    table: Floats
    enter: Product | None
    pairs: tuple[Pair, ...]
    split: int
    leave: Product | None
    dtype: torch.dtype
    crew: Crew

    @property
    def parts(self) -> tuple[Product | Pair, ...]:
        """Every product of a step."""
        return (*self.pairs, *(part for part in (self.enter, self.leave) if part is not None))

    @property
    def count(self) -> int:
        """Weights each token reads."""
        return sum(part.count for part in self.parts)

    @property
    def alike(self) -> bool:
        """Whether a row's result is the same bits beside any others and by any number of threads."""
        return all(part.alike for part in self.parts)


class RecurrentPrepared(Prepared):
    """The weights of a head whose ``token_io`` offers a model on torch's fused layers."""

    def __init__(self, head: TokenHead, device: torch.device, precision: Precision) -> None:
        io = head.token_io()
        if io is None or not isinstance(io.model, Fused):
            raise PluginError(f"{type(head).__name__} offers no recurrent model that this stepper knows.")
        self.precision = precision
        self._weights = _prepared(io, io.model, precision)
        parts, folds = self._weights.parts, self._weights.enter is None
        names = ", ".join(dict.fromkeys(part.name for part in parts))
        self.reads = self._weights.count
        size = self._weights.table.nbytes / 1e6
        first = f"embedding folded into a table of {size:,.1f} MB" if folds else "embedding gathered"
        by = ", by as many threads as are quickest" if self._weights.alike else ""
        self.description = f"{names}{by}; {first}; {self.reads / 1e6:,.1f}M weights a token"

    def stepper(self, head: TokenHead, slots: int) -> RecurrentStepper:
        return RecurrentStepper(self._weights, slots)


def _prepared(io: TokenIO, model: Fused, precision: Precision) -> _Weights:
    kind, layers = weights_of(model)
    top, bias = (io.weight, io.bias) if io.project is None else io.project
    above = [(w, b) for w, b, _, _ in layers[1:]] + [(top.float(), bias.float())]
    w, b, u, _ = layers[0]
    folds = len(io.embedding) * len(w) * 4 <= TABLE_BYTES
    return _Weights(
        kind=kind,
        places=tuple(tuple(f"{io.role}.layer{k}.{entry}" for entry in kind.entries) for k in range(len(layers))),
        output=io.output,
        table=(torch.addmm(b, io.embedding.float(), w.t()) if folds else io.embedding.float().clone()).numpy(),
        enter=None if folds else product(w, b, precision),
        pairs=tuple(
            Pair((u, d), (w, b), precision, kind.bounded) for (_, _, u, d), (w, b) in zip(layers, above, strict=True)
        ),
        split=len(u),
        leave=None if io.project is None else product(io.weight.float(), io.bias.float(), precision),
        dtype=io.weight.dtype,
        crew=Crew(),
    )


@contextmanager
def _threads(multiplications: int) -> Iterator[None]:
    """As many threads as so much work at a time is worth, of those torch has."""
    before = torch.get_num_threads()
    threads = max(1, min(before, multiplications // _PER_THREAD))
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class RecurrentStepper(Stepper):
    """The rows that step together stay one batch for as long as the same rows step; all others lie in an arena."""

    def __init__(self, weights: _Weights, slots: int) -> None:
        super().__init__(slots)
        self._weights = weights
        self._count = weights.count
        self.alike = weights.alike
        width = weights.split // len(weights.kind.order)
        self._arena = [
            _Row(
                tuple(np.zeros((slots, width), np.float32) for _ in weights.kind.entries),
                np.zeros((slots, weights.split), np.float32),
            )
            for _ in weights.places
        ]
        self._live: list[int] = []
        self._batch: list[_Row] = []

    def put(self, slot: int, state: State, context: Context) -> None:
        self._settle()
        weights = self._weights
        for row, names, pair in zip(self._arena, weights.places, weights.pairs, strict=True):
            for entry, name in zip(row.entries, names, strict=True):
                entry[slot] = state[name][0].detach().float().numpy()
            row.ahead[slot] = pair.ahead(row.entries[0][slot : slot + 1])[0]

    def take(self, slot: int) -> State:
        rows, at = (self._batch, self._live.index(slot)) if slot in self._live else (self._arena, slot)
        return self._named([tuple(entry[at : at + 1].copy() for entry in row.entries) for row in rows])

    def _named(self, rows: Sequence[Entries]) -> State:
        """Each layer's entries ``(1, H)``, in memory of their own, as a state."""
        weights = self._weights
        found: State = {}
        # Outside inference mode: these are ordinary tensors, fit for any later use, training included.
        with torch.inference_mode(False):
            for entries, names in zip(rows, weights.places, strict=True):
                for entry, name in zip(entries, names, strict=True):
                    found[name] = torch.from_numpy(entry)
            if weights.output is not None:
                found[weights.output] = torch.from_numpy(rows[-1][0].copy())
            if weights.dtype != torch.float32:
                found = {name: entry.to(weights.dtype) for name, entry in found.items()}
        return found

    def clear(self, slot: int) -> None:
        """Nothing: whatever lies there is written over."""

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        weights = self._weights
        if not ids.shape[1]:
            return super().read(head, ids, state, context)
        x = weights.table[ids[0].numpy()]
        if weights.enter is not None:
            x = weights.enter(x)
        rows: list[Entries] = []
        for pair, names in zip(weights.pairs, weights.places, strict=True):
            entries: Entries = tuple(state[name].detach().float().numpy() for name in names)
            outputs = np.empty((len(x), entries[0].shape[1]), np.float32)
            ahead: Callable[[Floats], Floats] = pair.ahead
            if self.alike:
                ahead = partial(weights.crew.do, "ahead", pair.ahead)
            with nullcontext() if self.alike else _threads(pair.ahead.count):
                for t in range(len(x)):
                    entries = weights.kind.cell(x[t : t + 1], ahead(entries[0]), entries)
                    outputs[t] = entries[0][0]
            rows.append(entries)
            x = pair.above(outputs if len(rows) < len(weights.pairs) else entries[0])
        if weights.leave is not None:
            x = weights.leave(x)
        return torch.from_numpy(x), self._named(rows)

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        if self.alike:
            return self._weights.crew.do(len(ids).bit_length(), self._step, ids, active)
        with _threads(len(ids) * self._count):
            return self._step(ids, active)

    def _step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        weights = self._weights
        if self._live != list(active):
            self._settle()
            rows = list(active)
            self._batch = [_Row(tuple(entry[rows] for entry in row.entries), row.ahead[rows]) for row in self._arena]
            self._live = rows
        x = weights.table[ids[0]][None] if len(ids) == 1 else weights.table[list(ids)]
        if weights.enter is not None:
            x = weights.enter(x)
        after: list[_Row] = []
        for row, multiply in zip(self._batch, weights.pairs, strict=True):
            entries = weights.kind.cell(x, row.ahead, row.entries)
            ahead, x = multiply(entries[0])
            after.append(_Row(entries, ahead))
        if weights.leave is not None:
            x = weights.leave(x)
        self._batch = after
        return torch.from_numpy(x)

    def _settle(self) -> None:
        """Write the rows that stepped together back to the arena."""
        for lying, row in zip(self._arena, self._batch, strict=False):
            for entry, new in zip(lying.entries, row.entries, strict=True):
                entry[self._live] = new
            lying.ahead[self._live] = row.ahead
        self._live, self._batch = [], []
