"""Checks of recurrent models along time: the invariant the product stands on."""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqdemo.errors import NotCausalError
from seqdemo.plugin import RecurrentModel, State
from seqdemo.plugin import state as verbs

from .compare import close, same_layout, states_close
from .core import check, expect, fail, inapplicable
from .draws import for_all_splits

if TYPE_CHECKING:
    from .model_lab import ModelLab

STEPS = 10_000
_SECONDS = 1.0
_PIECE = 250


@check(
    "model",
    cause="a mean, maximum or convolution over the whole sequence; a mask off by one; or a bidirectional model that "
    "does not say so.",
    mend="let position t use positions up to t only; or return False from causal, whereupon step raises by itself.",
    needs=("state_size_constant",),
)
def causality(lab: ModelLab) -> None:
    """A causal model's output depends on nothing after it; one that is not causal refuses ``step`` by name."""
    model = lab.model()
    if not model.causal:
        try:
            model.step(lab.x(2, 1)[:, 0], model.initial_state(2))
        except NotCausalError:
            return
        fail("causal is False, and step gave an output", "NotCausalError")
    for length, at in ((12, 1), (12, 7), (70, 66)):
        x = lab.x(2, length)
        want, _ = model(x, model.initial_state(2))
        x = torch.cat([x[:, :at], lab.x(2, length - at, seed=1)], 1)
        got, _ = model(x, model.initial_state(2))
        close(got[:, :at], want[:, :at], f"y before position {at}, for two different futures")


@check(
    "model",
    cause="squeeze() without an axis, or reshape(-1), which drop an axis of size one.",
    mend="name the axis: squeeze(1), x[:, 0], flatten(0, 1).",
    needs=("state_size_constant",),
)
def one_row_one_token(lab: ModelLab) -> None:
    """One row, one position, or both keep their axes."""
    model = lab.model()
    for rows, length in ((1, 1), (1, 4), (3, 1)):
        state = model.initial_state(rows)
        y, after = model(lab.x(rows, length), state)
        expect(
            y.shape == (rows, length, model.output_size),
            f"forward on (B, T) = ({rows}, {length}) gives y of shape {tuple(y.shape)}",
            f"{(rows, length, model.output_size)}",
        )
        same_layout(after, state, f"the state after ({rows}, {length})")
        expect(
            verbs.batch_size(after) == (rows if after else 0), f"a state of {verbs.batch_size(after)} rows", f"{rows}"
        )
        if model.causal:
            y, after = model.step(lab.x(rows, 1)[:, 0], state)
            expect(
                y.shape == (rows, model.output_size),
                f"step on {rows} rows gives y of shape {tuple(y.shape)}",
                f"{(rows, model.output_size)}",
            )
            same_layout(after, state, f"the state after a step of {rows} rows")


@check(
    "model",
    cause="a term that forward has and step lacks (a bias, a normalisation, the state's decay before or after the "
    "input is added), or positions shifted by one.",
    mend="write both from one function of one position, or derive the scan again from the step's equation.",
    needs=("causality", "rows_independent"),
)
def step_equals_forward(lab: ModelLab) -> None:
    """Reading one position at a time gives the outputs and the state of reading them together."""
    model = lab.model()
    _only_causal(model)
    x = lab.x(2, 70)
    want, want_after = model(x, model.initial_state(2))
    got, after = lab.stepped(model, x, model.initial_state(2))
    close(got, want, "y of repeated step and of forward")
    states_close(after, want_after, "the state after repeated step and after forward")


def _only_causal(model: RecurrentModel) -> None:
    if not model.causal:
        inapplicable("it is not causal")


@check(
    "model",
    cause="forward starts every piece from zero, forgets the last inputs of a convolution, or hands on a state from "
    "before the last position or from a chunk's edge.",
    mend="start the scan from the state that came in and return the state after the last position.",
    needs=("step_equals_forward",),
)
def any_split(lab: ModelLab) -> None:
    """A sequence read in any pieces is read as a whole, outputs and state."""
    model = lab.model()
    _only_causal(model)

    def agree(length: int, cuts: list[int]) -> None:
        x, state = lab.x(2, length), model.initial_state(2)
        want, want_after = model(x, state)
        got, after = lab.in_pieces(model, x, state, cuts)
        what = f"{length} positions cut at {cuts}"
        close(got, want, f"{what}: y in pieces and as a whole")
        states_close(after, want_after, f"{what}: the state in pieces and as a whole")

    agree(300, [1, 2, 63, 65, 128, 257])
    for_all_splits(agree)


@check(
    "model",
    cause="torch.stack or x[:, -1] on no positions at all.",
    mend="return early where x.shape[1] == 0: x.new_zeros(B, 0, output_size) and dict(state).",
    needs=("state_size_constant",),
)
def empty_input(lab: ModelLab) -> None:
    """No positions give an empty output and the state as it was."""
    model = lab.model()
    state, x = lab.used(model, 2), lab.x(2, 0)
    y, after = model(x, state)
    expect(y.shape == (2, 0, model.output_size), f"y of shape {tuple(y.shape)}", f"{(2, 0, model.output_size)}")
    states_close(after, state, "the state after reading nothing and before", 0)
    y, after, _ = model.trace(x, state)
    expect(y.shape == (2, 0, model.output_size), f"trace: y of shape {tuple(y.shape)}", f"{(2, 0, model.output_size)}")
    states_close(after, state, "the state after tracing nothing and before", 0)


@check(
    "model",
    cause="something kept for every step: a list on the module, a cache that grows, a graph that is never cut.",
    mend="keep nothing on the module while reading; what must be remembered goes into the state, at a fixed size.",
    needs=("state_size_constant",),
)
def flat_over_10000_steps(lab: ModelLab) -> str:
    """Over 10,000 positions the state keeps its layout and bytes, and memory stays flat.

    One layer is read with, where the config says how many there are, and a quarter first, so that caches fill. A model
    too slow to be stepped 10,000 times in about a second is stepped as often as fits, at least 500 times, and reads
    the rest in pieces of 250; the remark says so.
    """
    model = lab.build(config=lab.config_with(num_layers=1))
    reader = _Reader(lab, model)
    first = model.initial_state(1)
    with torch.inference_mode():
        state = reader.read(first, STEPS // 4)
        before = _memory()
        state = reader.read(state, STEPS - STEPS // 4)
        after = _memory()
    same_layout(state, first, f"the state after {STEPS:,} positions")
    expect(
        verbs.nbytes(state) == verbs.nbytes(first),
        f"{verbs.nbytes(state):,} bytes of state after {STEPS:,} positions",
        f"{verbs.nbytes(first):,}, as at the start",
    )
    grown = after[0] - before[0]
    expect(grown < 4 * STEPS, f"{grown:,} bytes of tensors more than after {STEPS // 4:,} positions", "no growth")
    objects = after[1] - before[1]
    calls = reader.calls
    expect(objects < max(calls // 4, 400), f"{objects:,} Python objects more, in {calls:,} calls", "no growth")
    return f"{reader.steps:,} single steps" + (f", the rest in pieces of {_PIECE}" if reader.steps < STEPS else "")


class _Reader:
    """Reads on, by single steps while time allows and in pieces after that."""

    def __init__(self, lab: ModelLab, model: RecurrentModel) -> None:
        self._model = model
        self._x = lab.x(1, _PIECE, dtype=torch.float32)
        self._spent = 0.0
        self.steps = self.calls = 0

    def read(self, state: State, positions: int) -> State:
        """``positions`` more."""
        left, share, begun = positions, positions / STEPS, time.perf_counter()
        while (
            left
            and self._model.causal
            and (time.perf_counter() - begun < _SECONDS * share or positions - left < 500 * share)
        ):
            state = self._model.step(self._x[:, left % _PIECE], state)[1]
            left -= 1
            self.steps += 1
            self.calls += 1
        while left:
            piece = min(left, _PIECE)
            state = self._model(self._x[:, :piece], state)[1]
            left -= piece
            self.calls += 1
        return state


def _memory() -> tuple[int, int]:
    """Bytes of all tensors alive, each storage once, and the number of memory blocks Python holds."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), Tensor) and thing.layout is torch.strided and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values()), sys.getallocatedblocks()
