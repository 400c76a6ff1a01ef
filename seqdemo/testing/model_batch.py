"""Checks of recurrent models across a batch: rows, their ages, their lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqdemo.plugin import RecurrentModel, State
from seqdemo.plugin import state as verbs

from .compare import close, states_close
from .core import check, expect

if TYPE_CHECKING:
    from .model_lab import ModelLab


@check(
    "model",
    cause="a statistic over the batch axis (BatchNorm, a mean or maximum over axis 0), or a reshape that mixes axes.",
    mend="normalise over features only, and keep the batch axis first through every reshape.",
    needs=("causality",),
)
def rows_independent(lab: ModelLab) -> None:
    """What one row reads changes nothing in another row."""
    model = lab.model()
    x = lab.x(3, 6)
    other = x.clone()
    other[1] = 1 - 3 * x[1]
    (want, want_after), (got, after) = (model(each, model.initial_state(3)) for each in (x, other))
    close(got[[0, 2]], want[[0, 2]], "forward: y of two rows, for two contents of a third")
    states_close(
        verbs.select(after, [0, 2]), verbs.select(want_after, [0, 2]), "the state of two rows, for two of a third"
    )
    if model.causal:
        want, got = (model.step(each[:, 0], model.initial_state(3))[0] for each in (x, other))
        close(got[[0, 2]], want[[0, 2]], "step: y of two rows, for two contents of a third")


@check(
    "model",
    cause="one position, step counter or mask for the whole batch.",
    mend="keep counters in the state, one for each row: a tensor (B,).",
    needs=("any_split", "one_row_one_token"),
)
def rows_of_any_age(lab: ModelLab) -> None:
    """Rows that have read different amounts share a batch and give what each gives alone."""
    model = lab.model()
    states = [model(lab.x(1, age, seed=age), model.initial_state(1))[1] for age in (1, 6, 3)]
    x, together = lab.x(3, 3), verbs.concat(states)
    y, after = model(x, together)
    stepped = model.step(x[:, 0], together)[0] if model.causal else None
    for row, state in enumerate(states):
        want, want_after = model(x[row : row + 1], state)
        close(y[row : row + 1], want, "forward: y of a row among rows of other ages, and alone")
        states_close(verbs.select(after, [row]), want_after, "the state of a row among rows of other ages, and alone")
        if stepped is not None:
            want, _ = model.step(x[row : row + 1, 0], state)
            close(stepped[row : row + 1], want, "step: y of a row among rows of other ages, and alone")


def _ragged(lab: ModelLab, lengths: list[int], time: int) -> tuple[Tensor, Tensor]:
    """Input whose padding is NaN, and its lengths."""
    x = lab.x(len(lengths), time)
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    return x, torch.tensor(lengths)


def _read(lab: ModelLab, lengths: list[int], time: int) -> tuple[RecurrentModel, Tensor, State, Tensor, State]:
    model = lab.model()
    x, sizes = _ragged(lab, lengths, time)
    state = lab.used(model, len(lengths))
    y, after = model(x, state, sizes)
    return model, x, state, y, after


@check(
    "model",
    cause="padding that is multiplied by a mask (NaN * 0 is NaN), runs through the scan, or shifts the reading from "
    "the end; a final state taken at the batch's last position.",
    mend="blank the padding with seqdemo.plugin.sequence.blank_padding before reading, and keep each row's state "
    "where it ends with seqdemo.plugin.state.where.",
    needs=("rows_of_any_age",),
)
def ragged_rows(lab: ModelLab) -> None:
    """Rows of different lengths, padded with NaN, give the outputs and states each gives alone."""
    for lengths, time in (([5, 3, 1, 4], 6), ([4, 4], 4)):
        model, x, state, y, after = _read(lab, lengths, time)
        for row, length in enumerate(lengths):
            want, want_after = model(x[row : row + 1, :length], verbs.select(state, [row]))
            what = f"a row of length {length} in a batch of width {time}"
            close(y[row : row + 1, :length], want, f"{what}, and alone: y")
            states_close(verbs.select(after, [row]), want_after, f"{what}, and alone: the state")


@check(
    "model",
    cause="a length clamped to one, or x[row, length - 1], which is the last position for length 0.",
    mend="take the incoming state where lengths == 0: seqdemo.plugin.state.where(lengths > 0, new, state).",
    needs=("ragged_rows",),
)
def ragged_empty_row(lab: ModelLab) -> None:
    """A row of length 0 keeps the state it came with, whatever the other rows read."""
    for lengths in ([4, 0, 2], [0, 0]):
        _, _, state, _, after = _read(lab, lengths, 4)
        row = lengths.index(0)
        states_close(
            verbs.select(after, [row]), verbs.select(state, [row]), f"lengths {lengths}: the state of an empty row", 0
        )


@check(
    "model",
    cause="outputs computed on blanked padding and returned as they are: a bias alone makes them differ from zero.",
    mend="return blank_padding(y, lengths).",
    needs=("ragged_rows",),
)
def padding_is_zero(lab: ModelLab) -> None:
    """Outputs in the padding are zero."""
    for lengths in ([5, 3, 1], [2, 0, 4]):
        _, _, _, y, _ = _read(lab, lengths, 6)
        for row, length in enumerate(lengths):
            expect(
                bool(y[row, length:].eq(0).all()),
                f"y of a row of length {length} is not zero in the padding",
                "zero at every position beyond a row's length",
            )


@check(
    "model",
    cause="NaN that was computed and then selected away: the gradient of torch.where multiplies it by zero, "
    "which is NaN.",
    mend="blank the padding of the input before anything is computed from it.",
    needs=("ragged_empty_row", "padding_is_zero", "gradients_reach"),
)
def padding_gradients(lab: ModelLab) -> None:
    """NaN in the padding reaches no gradient, neither of the parameters nor of the input."""
    model = lab.model()
    x, lengths = _ragged(lab, [5, 0, 2], 5)
    with torch.enable_grad():
        x.requires_grad_()
        y, after = model(x, None, lengths)
        (y.sum() + sum(tensor.sum() for tensor in after.values() if tensor.requires_grad)).backward()
    wrong = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    expect(not wrong, f"gradients that are not finite: {', '.join(wrong)}", "finite gradients")
    grad = torch.zeros_like(x) if x.grad is None else x.grad
    inside = torch.arange(5) < lengths.unsqueeze(1)
    expect(bool(grad.isfinite().all()), "a gradient of the input that is not finite", "finite gradients")
    expect(bool(grad[~inside].eq(0).all()), "a gradient of the padding that is not zero", "zero")
