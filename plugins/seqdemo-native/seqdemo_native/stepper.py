"""The stepper: slots, steps and runs in the library; everything here is passing arrays to it.

``n`` is the number of active rows, ``m`` the number of tokens of a run, ``V`` the vocabulary.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from ctypes import byref
from functools import lru_cache
from operator import is_not
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqdemo.errors import ConfigError, PluginError
from seqdemo.plugin import (
    Context,
    Precision,
    Prepared,
    Ran,
    Reported,
    RunRow,
    SamplingOptions,
    State,
    Stepper,
    TokenHead,
)

from .library import Draw, Drawn, Rules, failure, library, pointer
from .weights import Weights, reference

__all__ = ["NAMES", "SHARE", "THREADS_VARIABLE", "NativePrepared", "NativeStepper", "threads"]

THREADS_VARIABLE = "SEQDEMO_NATIVE_THREADS"

_PER_THREAD = 512_000
"""Weights of a step worth a thread: less than that is read while two threads find out about each other."""

_SHORT = 16
"""Prompt tokens that plain C++ reads in less time than torch's layer, which packs its weights at every call. With
vector instructions it is any number."""

NAMES = {"avx512": "AVX-512 kernels", "avx2": "AVX2 kernels", "plain": "plain C++ kernels"}
SHARE = {"fp32": 1e-3, "int8": 0.2}
"""How far logits may be off on the first tokens, as a share of their range; other equations are off by more."""


class NativePrepared(Prepared):
    """The weights of a head whose ``token_io`` offers a model on torch's layers.

    That the model computes nothing else is tried out: where it does, the next stepper is asked.
    """

    def __init__(self, head: TokenHead, device: torch.device, precision: Precision) -> None:
        io = head.token_io()
        if io is None or precision not in SHARE:
            raise PluginError(f"The compiled stepper does not step {type(head).__name__} in {precision}.")
        self.precision = precision
        self._weights = weights = Weights(io, precision)
        self.reads, self._threads = weights.count, threads(weights.count)
        first = f"embedding {'folded into a table' if weights.folded else 'gathered'}"
        self.description = (
            f"{NAMES[weights.level]}, {self._threads} thread{'s' * (self._threads > 1)}; "
            f"{first} of {weights.table.nbytes / 1e6:,.1f} MB; {weights.count / 1e6:,.1f}M weights a token"
        )
        ids = [k % weights.vocabulary for k in (0, 1, 2)]
        wanted = reference(io, ids)
        stepper = NativeStepper(weights, 1, 1)
        stepper.put(0, head.initial_state(1), {})
        found = torch.cat([stepper.step([token], [0]).clone() for token in ids])
        off = float((found - wanted).abs().max() / (wanted.amax() - wanted.amin()).clamp(min=1e-6))
        if not off <= SHARE[precision]:
            raise PluginError(
                f"{type(io.model).__name__} does not compute what its layers alone do (logits off by {off:.1e} of "
                "their range), so the compiled stepper cannot stand in for it."
            )

    def stepper(self, head: TokenHead, slots: int) -> NativeStepper:
        return NativeStepper(self._weights, slots, self._threads)


def threads(weights: int) -> int:
    """Threads for a step that reads so many weights: as many as torch may use and pay here, or what was asked for.

    Raises:
        ConfigError: ``SEQDEMO_NATIVE_THREADS`` is no number from 1 to 64.
    """
    asked = os.environ.get(THREADS_VARIABLE, "")
    if asked:
        if not asked.isdecimal() or not 1 <= int(asked) <= 64:
            raise ConfigError(f"{THREADS_VARIABLE} = {asked!r} is not accepted: give a number from 1 to 64.")
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(torch.get_num_threads(), cores, weights // _PER_THREAD))


class NativeStepper(Stepper):
    """Sums of integers are exact, and sums of each row in 32 bits run in one order: a row's bits depend on no other."""

    alike = True

    def __init__(self, weights: Weights, slots: int, count: int) -> None:
        super().__init__(slots)
        self._weights = weights
        self._library = library()
        # One slot more, where prompts are read.
        self._handle = self._library.stepper(weights.handle, slots + 1, count)
        if not self._handle:
            raise failure()
        # The finalizer holds the weights: the library's stepper refers to its model.
        weakref.finalize(self, _end, self._library, self._handle, weights)
        self._ids = np.zeros(slots, dtype=np.int32)
        self._slots = np.zeros(slots, dtype=np.int32)
        self._logits = np.zeros((slots, weights.vocabulary), dtype=np.float32)
        self._places = pointer(self._ids), pointer(self._slots), pointer(self._logits)
        self._flat = np.zeros((len(weights.places), weights.hidden), dtype=np.float32)
        self._read: dict[int, int] = {}
        self._page = _Page(0, 0, 0)
        self._by: list[SamplingOptions] = []
        self._penalised: list[int] = []
        self._recent: list[NDArray[np.int32]] = []
        self._draws: Any = (Draw * 0)()

    def put(self, slot: int, state: State, context: Context) -> None:
        self._put(self._slot(slot), state)

    def _put(self, slot: int, state: State) -> None:
        weights, flat = self._weights, self._flat
        for row, name in zip(flat, weights.places, strict=True):
            entry = state[name].detach()
            if entry.numel() != weights.hidden:
                sizes = {name: tuple(state[name].shape) for name in weights.places}
                expected = f"(1, {weights.hidden})"
                raise PluginError(f"This state does not fit: entries of {expected} were expected, got {sizes}.")
            row[:] = (entry if entry.dtype == torch.float32 else entry.float()).numpy().reshape(-1)
        self._library.put(self._handle, slot, pointer(flat))

    def take(self, slot: int) -> State:
        return self._take(self._slot(slot))

    def _take(self, slot: int) -> State:
        weights = self._weights
        # Outside inference mode: the copy is an ordinary tensor, fit for any later use, training included.
        with torch.inference_mode(False):
            names = (*weights.places, *([weights.output] if weights.output is not None else []))
            flat = np.empty((len(names), 1, weights.hidden), dtype=np.float32)
            self._library.take(self._handle, slot, pointer(flat))
            if weights.output is not None:
                flat[-1] = flat[names.index(weights.last)]
            found = {name: torch.from_numpy(entry) for name, entry in zip(names, flat, strict=True)}
            if weights.dtype != torch.float32:
                found = {name: entry.to(weights.dtype) for name, entry in found.items()}
        return found

    def clear(self, slot: int) -> None:
        """Nothing: whatever lies there is written over."""

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        if not ids.shape[1] or (ids.shape[1] > _SHORT and self._weights.level == "plain"):
            return super().read(head, ids, state, context)
        tokens = self._tokens(ids[0].tolist())
        # Memory of its own: what the last step of the rows gave is theirs until their next one.
        logits = np.empty((1, self._weights.vocabulary), dtype=np.float32)
        self._put(self.slots, state)
        self._library.read(self._handle, self.slots, pointer(tokens), len(tokens), pointer(logits))
        return torch.from_numpy(logits), self._take(self.slots)

    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        count = len(ids)
        self._ids[:count] = self._tokens(ids)
        self._slots[:count] = active
        where, slots, logits = self._places
        self._library.step(self._handle, where, slots, count, logits)
        return torch.from_numpy(self._logits[:count])

    def _tokens(self, ids: Sequence[int]) -> NDArray[np.int32]:
        if not 0 <= min(ids) <= max(ids) < self._weights.vocabulary:
            raise PluginError(f"Token ids {list(ids)} are not all in 0 … {self._weights.vocabulary - 1}.")
        return np.asarray(ids, dtype=np.int32)

    # --- runs ---------------------------------------------------------------------------------------------------

    def runs(self, options: SamplingOptions) -> bool:
        return True

    def run(
        self, count: int, rows: Sequence[RunRow], logits: Any, forbidden: Sequence[int], ends: Sequence[int]
    ) -> Ran:
        number, room = len(rows), max(row.options.alternatives for row in rows) + 1
        self._logits[:number] = logits
        self._rule(rows)
        banned, last = _numbers(tuple(forbidden)), _numbers(tuple(ends))
        if not self._page.fits(count, number, room):
            self._page = _Page(count, number, room)
        page = self._page
        made = self._library.run(
            self._handle, self._draws, number, count, banned.place, banned.size, last.place, last.size,
            self._places[2], byref(page.drawn),
        )  # fmt: skip
        if made < 0:
            raise failure()
        self._read = dict.fromkeys((row.slot for row in rows), made)
        return Ran(
            page.ids[:made].copy(),
            page.logprobs[:made].copy(),
            page.entropies[:made].copy(),
            page.alternatives(made),
            torch.from_numpy(self._logits[:number]),
        )

    def _rule(self, rows: Sequence[RunRow]) -> None:
        """Write down what the rows draw by. Most runs are of the rows of the one before, further on."""
        by = [row.options for row in rows]
        if len(by) != len(self._by) or any(map(is_not, by, self._by)):
            self._by, self._draws = by, (Draw * len(rows))(*map(_draw, rows))
            self._penalised = [place for place, one in enumerate(by) if _penalised(one)]
        for draw, row in zip(self._draws, rows, strict=True):
            draw.slot, draw.seed, draw.position = row.slot, row.seed, row.position
        self._recent = [_recent(rows[place]) for place in self._penalised]
        for place, ids in zip(self._penalised, self._recent, strict=True):
            self._draws[place].recent, self._draws[place].recent_count = pointer(ids), len(ids)

    def rewind(self, slot: int, count: int) -> None:
        if not 0 <= count <= self._read.get(slot, -1):
            raise PluginError(f"Slot {slot} read {self._read.get(slot, 0)} tokens in the last run, not {count}.")
        if self._library.rewind(self._handle, slot, count) < 0:
            raise failure()

    def _slot(self, slot: int) -> int:
        if not 0 <= slot < self.slots:
            raise PluginError(f"There is no slot {slot}: this stepper has {self.slots}.")
        return slot


class _Numbers(NamedTuple):
    """Ids where the library reads them."""

    array: NDArray[np.int32]
    place: int
    size: int


@lru_cache(maxsize=64)
def _numbers(ids: tuple[int, ...]) -> _Numbers:
    """The same for many runs."""
    array = np.asarray(sorted(ids), dtype=np.int32)
    return _Numbers(array, pointer(array), len(array))


class _Page:
    """Where runs write, used again by the next that fits: finding out where new memory lies takes longer than a token.

    Args:
        count: tokens at most, ``m``.
        number: rows.
        room: alternatives of a token.
    """

    def __init__(self, count: int, number: int, room: int) -> None:
        self._size = count, number, room
        shape = (count, number)
        self.ids, self._reported = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        self.logprobs, self.entropies = np.zeros(shape), np.zeros(shape)
        self._likely = np.zeros((*shape, room), np.int32)
        self._raw, self._ruled = np.zeros((*shape, room)), np.zeros((*shape, room))
        rest = (self._reported, self._likely, self._raw, self._ruled)
        self.drawn = Drawn(
            pointer(self.ids), pointer(self.logprobs), pointer(self.entropies), room, *(pointer(one) for one in rest)
        )

    def fits(self, count: int, number: int, room: int) -> bool:
        """Whether a run may write here."""
        most, *others = self._size
        return count <= most and others == [number, room]

    def alternatives(self, made: int) -> list[list[Reported | None]]:
        """Of the tokens made, by token and row."""
        _, rows, room = self._size
        if room == 1:
            return [[None] * rows] * made
        counts = self._reported[:made].ravel()
        found: list[list[Reported | None]] = [[None] * rows for _ in range(made)]
        for count in set(counts.tolist()) - {0}:
            columns = [column[:made, :, :count] for column in (self._likely, self._raw, self._ruled)]
            packed, size = np.concatenate(columns, axis=2, dtype=np.float64).tobytes(), 24 * count
            for place in np.flatnonzero(counts == count).tolist():
                found[place // rows][place % rows] = packed[place * size : (place + 1) * size]
        return found


def _end(lib: Any, handle: int, weights: Weights) -> None:
    lib.stepper_free(handle)


def _penalised(one: SamplingOptions) -> bool:
    """Whether recent ids change what is drawn."""
    return one.repetition_penalty != 1.0 and one.repetition_window > 0


def _recent(row: RunRow) -> NDArray[np.int32]:
    """The ids that count for the repetition penalty."""
    return np.asarray(list(row.recent)[-row.options.repetition_window :], dtype=np.int32)


def _draw(row: RunRow) -> Draw:
    one = row.options
    rules = Rules(
        one.temperature,
        one.top_p,
        one.min_p,
        one.repetition_penalty,
        min(one.top_k, 2**31 - 1),
        one.repetition_window,
        one.alternatives,
    )
    return Draw(row.slot, rules, row.seed, row.position, None, 0)
