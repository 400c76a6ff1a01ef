"""Checks of recurrent models: what each one rests on. Shapes, states, and nothing hidden."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from seqdemo.plugin import RecurrentModel, State
from seqdemo.plugin import state as verbs

from .compare import close, same_layout, states_close, unchanged
from .core import check, expect, fail

if TYPE_CHECKING:
    from .model_lab import ModelLab


@check(
    "model",
    cause=(
        "an argument order other than (config, input_size), a transposed output, a state that is no dict, "
        "or a trace_step that gives two things, as step does."
    ),
    mend=(
        "call super().__init__(input_size, output_size) first; return y as (B, T, output_size), the state as a dict, "
        "and from trace_step also a dict of what is to be seen."
    ),
    needs=(),
)
def builds(lab: ModelLab) -> None:
    """The model is built from its config and reads ``(B, T, I)`` into ``(B, T, O)`` and a state."""
    model = lab.build()
    expect(model.input_size == lab.input_size, f"input_size {model.input_size}", f"{lab.input_size}, as it was given")
    expect(
        isinstance(model.output_size, int) and model.output_size > 0,
        f"output_size {model.output_size!r}",
        "a positive number",
    )
    answer: object = model(lab.x(2, 5, dtype=torch.float32))
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor)):
        fail(f"forward returned {type(answer).__name__}", "a pair: y, state")
    shape = (2, 5, model.output_size)
    expect(answer[0].shape == shape, f"y of shape {tuple(answer[0].shape)}", f"{shape}, which is (B, T, output_size)")
    expect(isinstance(answer[1], dict), f"a state of type {type(answer[1]).__name__}", "a dict of tensors")


@check(
    "model",
    cause="nested dicts or lists, time or layers as the first axis, or random numbers in initial_state.",
    mend="name every entry in one flat dict and make its first axis the batch: {'h': (B, H), 'position': (B,)}.",
)
def initial_state_flat(lab: ModelLab) -> None:
    """``initial_state`` is a flat dict of batch-first tensors, and all its rows are alike."""
    model = lab.build()
    one, three = model.initial_state(1), model.initial_state(3)
    for rows, state in ((1, one), (3, three)):
        for name, tensor in state.items():
            expect(isinstance(name, str) and bool(name), f"an entry named {name!r}", "names that are text")
            if not isinstance(tensor, Tensor):
                fail(f"entry {name!r} is a {type(tensor).__name__}", "a tensor")
            expect(
                tensor.dim() > 0 and tensor.shape[0] == rows,
                f"initial_state({rows}): entry {name!r} of shape {tuple(tensor.shape)}",
                f"a first axis of {rows}, the batch",
            )
    states_close(three, verbs.select(one, [0, 0, 0]), "the rows of initial_state(3) beside that of initial_state(1)", 0)
    expect(model.initial_state(1) is not one, "the same dict twice", "a new dict each time")


@check(
    "model",
    cause="an in-place operation on the input, such as x.mul_(…), x += … or x[:, t] = ….",
    mend="compute a new tensor: x = x * scale.",
    needs=("dtype_follows",),
)
def input_unchanged(lab: ModelLab) -> None:
    """The input that was handed in is not written to, by ``forward``, ``step`` or ``trace``."""
    model = lab.model()
    for call in _calls(model):
        x = lab.x(2, 5)
        before, version = x.clone(), x._version
        _read(model, call, x, model.initial_state(2))
        expect(
            torch.equal(x, before) and x._version == version, f"{call} wrote into its input", "an input left untouched"
        )


@check(
    "model",
    cause="an in-place operation on a state entry, or state[name] = … on the dict that came in.",
    mend="build a new dict of new tensors: return y, {'h': h}.",
    needs=("input_unchanged",),
)
def state_unchanged(lab: ModelLab) -> None:
    """A state that was handed in is not written to, by ``forward``, ``step`` or ``trace``."""
    model = lab.model()
    for call in _calls(model):
        state = model.initial_state(2)
        before, versions = verbs.clone(state), {name: tensor._version for name, tensor in state.items()}
        _read(model, call, lab.x(2, 5), state)
        unchanged(state, before, versions, call)


def _calls(model: RecurrentModel) -> tuple[str, ...]:
    return ("forward", "step", "trace") if model.causal else ("forward", "trace")


def _read(model: RecurrentModel, call: str, x: Tensor, state: State) -> tuple[Tensor, State]:
    """``x`` ``(B, T, I)``, of which ``step`` reads the first position."""
    if call == "step":
        return model.step(x[:, 0], state)
    if call == "trace":
        return model.trace(x, state)[:2]
    y, after = model(x, state)
    return y, after


@check(
    "model",
    cause="dropout without training=self.training, or another random draw in evaluation mode.",
    mend="use nn.Dropout, or F.dropout(x, rate, self.training); draw nothing where self.training is false.",
    needs=("dtype_follows",),
)
def eval_deterministic(lab: ModelLab) -> None:
    """In evaluation mode the same call gives the same outputs, whatever dropout is configured."""
    fields = type(lab.config).model_fields
    config = lab.config_with(
        **{name: 0.5 for name, field in fields.items() if "dropout" in name and field.annotation is float}
    )
    for call in _calls(lab.build(config=config)):
        answers = []
        for seed in (1, 2):
            model = lab.build(config=config).double()
            torch.manual_seed(seed)
            answers.append(_read(model, call, lab.x(2, 5), model.initial_state(2))[0])
        close(answers[1], answers[0], f"two calls of {call}, in evaluation mode")


@check(
    "model",
    cause="a draw in evaluation mode whose value is then not used, such as a dropout mask multiplied away.",
    mend="draw only where self.training is true, or from a torch.Generator of the model's own.",
    needs=("eval_deterministic",),
)
def no_hidden_randomness(lab: ModelLab) -> None:
    """In evaluation mode no number is taken from the global random generators of torch, numpy or Python."""
    model = lab.model()
    before = _generators()
    for call in _calls(model):
        _read(model, call, lab.x(2, 5), model.initial_state(2))
    used = [name for name, now in _generators().items() if now != before[name]]
    expect(not used, f"the global generator of {', '.join(used)} moved on", "generators left as they were")


def _generators() -> dict[str, str]:
    """The states of the global random generators."""
    return {
        "torch": str(torch.get_rng_state().tolist()),
        "numpy": str(np.random.get_state()),
        "random": str(random.getstate()),
    }


@check(
    "model",
    cause="weights drawn from numpy, random or a generator of their own, which torch.manual_seed does not reach.",
    mend="initialise with torch.nn.init, or with torch functions that take no generator.",
)
def same_seed_same_weights(lab: ModelLab) -> None:
    """Under the same seed of torch the model starts with the same weights."""
    first, second = lab.build(seed=3).state_dict(), lab.build(seed=3).state_dict()
    expect(first.keys() == second.keys(), "two builds have different parameters", "the same parameters")
    other = [name for name in first if not verbs.equal({name: first[name]}, {name: second[name]})]
    expect(not other, f"two builds under one seed differ in {', '.join(other)}", "equal weights")


@check(
    "model",
    cause="memory kept on the module (self.h = h), or a buffer that is handed out and used again.",
    mend="keep everything that is remembered in the state that is returned, and make new tensors for each call.",
    needs=("state_unchanged", "eval_deterministic"),
)
def continuations_agree(lab: ModelLab) -> None:
    """Two continuations of one state agree, and leave alone what the first one gave."""
    model = lab.model()
    for call in _calls(model):
        state, x = lab.used(model, 2), lab.x(2, 4)
        first, after = _read(model, call, x, state)
        kept, kept_after = first.clone(), verbs.clone(after)
        _read(model, call, lab.x(2, 3, seed=1), after)  # 4 + 3 positions: a clock of period 2, 4 or 8 would show
        close(first, kept, f"y of {call}, before and after it is called again")
        states_close(after, kept_after, f"the state {call} gave, before and after it is called again")
        second, again = _read(model, call, x, state)
        close(second, kept, f"y of {call}, continuing one state twice")
        states_close(again, kept_after, f"the state after {call}, continuing one state twice")


@check(
    "model",
    cause="something remembered on the module when a session begins: its batch size, a counter, a mask.",
    mend="read sizes from the tensors that come in; put what a session remembers into its state.",
    needs=("continuations_agree",),
)
def sessions_independent(lab: ModelLab) -> None:
    """A session gives the same whether or not another one, of another batch size, runs between its steps."""

    def read(between: bool) -> Tensor:
        model = lab.model()
        state, outputs = model.initial_state(2), []
        other = model.initial_state(3) if between else {}
        for piece in range(4):
            if between:
                y, other = model(lab.x(3, 3, seed=10 + piece), other)
            if model.causal:
                y, state = model.step(lab.x(2, 1, seed=piece)[:, 0], state)
                outputs.append(y.unsqueeze(1))
            y, state = model(lab.x(2, 2, seed=20 + piece), state)
            outputs.append(y)
        return torch.cat(outputs, 1)

    close(read(between=True), read(between=False), "y of a session beside another one, and by itself")


@check(
    "model",
    cause="a history or cache that is appended to, or a dtype that widens while reading.",
    mend="keep a fixed number of values: running sums, a ring buffer of fixed length.",
    needs=("sessions_independent",),
)
def state_size_constant(lab: ModelLab) -> None:
    """The state has the same entries, shapes and dtypes however much was read."""
    model = lab.model()
    state = model.initial_state(2)
    if model.causal:
        _, after = model.step(lab.x(2, 1)[:, 0], state)
        same_layout(after, state, "the state after one step")
    for time in (1, 7, 90):
        _, after = model(lab.x(2, time), state)
        same_layout(after, state, f"the state after {time} positions")


@check(
    "model",
    cause="forward fills in zeros where no state is given, while initial_state gives something else.",
    mend="begin forward with: state = self.initial_state(x.shape[0]) if state is None else state.",
    needs=("state_size_constant",),
)
def none_is_initial_state(lab: ModelLab) -> None:
    """``forward`` without a state starts from ``initial_state``."""
    model = lab.model()
    got, after = model(lab.x(2, 4))
    want, want_after = model(lab.x(2, 4), model.initial_state(2))
    close(got, want, "y without a state and from initial_state")
    states_close(after, want_after, "the state after reading without one and from initial_state")
