"""Checks of every task head: data, loss, metrics, prediction, saving."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqdemo.errors import SeqdemoError
from seqdemo.plugin import Batch, LossOutput, Options, TaskConfig, TaskHead, TokenHead
from seqdemo.plugin import state as verbs

from .compare import close, states_close, unchanged
from .core import check, expect, fail, inapplicable
from .model_learning import copied, gradients_arrived, learned

if TYPE_CHECKING:
    from .task_lab import TaskLab

_CLOSE = 1e-5
"""Between losses: heads may compute their logits in float32."""


@check(
    "task",
    cause="an argument order other than (config, tokenizers, models), or roles that the config does not name.",
    mend="call super().__init__(config, tokenizers, models); name every role in the config's class variables.",
    needs=(),
)
def builds(lab: TaskLab) -> None:
    """The head is built from its config, tokenizers by role and a factory of models by role."""
    head = lab.build()
    expect(isinstance(head.config, TaskConfig), f"config is {getattr(head, 'config', None)!r}", "its TaskConfig")
    expect(
        set(lab.models) == set(lab.config.model_roles),
        f"it asked for models in the roles {sorted(lab.models)}",
        f"each of model_roles: {sorted(lab.config.model_roles)}",
    )


@check(
    "task",
    cause="an option without a default: nobody can predict without naming it.",
    mend="give every field of the options class a default.",
    needs=(),
)
def options_default(lab: TaskLab) -> None:
    """Prediction options can be left out, every one of them."""
    schema = lab.config.options
    expect(isinstance(schema, type) and issubclass(schema, Options), f"options is {schema!r}", "a subclass of Options")
    needed = [name for name, option in schema.model_fields.items() if option.is_required()]
    expect(not needed, f"no default for {', '.join(needed)}", "a default for every option")


def _loss(head: TaskHead, batch: Batch) -> LossOutput:
    return head.loss({name: tensor.clone() for name, tensor in batch.items()})


@check(
    "task",
    cause="a mean in place of a sum, a float in place of a tensor, or a state returned with examples.",
    mend="return LossOutput(sum in nats, number of predictions, state or None): reduction='sum'.",
)
def loss_shape(lab: TaskLab) -> None:
    """The loss is a finite sum with a gradient, a count, and with streams the state after the batch."""
    head = lab.head()
    with torch.enable_grad():
        out: object = _loss(head, lab.batch(head, [0, 1, 2]))
    if not isinstance(out, LossOutput):
        fail(f"loss returned a {type(out).__name__}", "a LossOutput")
    for name, tensor in (("sum", out.sum), ("count", out.count)):
        if not isinstance(tensor, Tensor):
            fail(f"{name} is a {type(tensor).__name__}", "a scalar tensor")
        expect(tensor.dim() == 0, f"{name} of shape {tuple(tensor.shape)}", "a scalar tensor")
    expect(math.isfinite(out.sum.item()), f"a loss of {out.sum.item()}", "a finite number")
    expect(out.sum.requires_grad, "a loss without gradient", "a loss to learn from")
    expect(out.count.item() > 0, f"a count of {out.count.item()}", "the number of predictions")
    if lab.streams:
        expect(isinstance(out.state, dict), f"a state of type {type(out.state).__name__}", "the state after the batch")
    else:
        expect(out.state is None, "a state, with examples", "None")


@check(
    "task",
    cause="dropout without training=self.training, or another draw in evaluation mode.",
    mend="use nn.Dropout, or F.dropout(x, rate, self.training).",
    needs=("loss_shape",),
)
def eval_deterministic(lab: TaskLab) -> None:
    """In evaluation mode the same batch gives the same loss."""
    head = lab.head()
    batch = lab.batch(head, [0, 1, 2])
    sums = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        sums.append(_loss(head, batch).sum)
    close(sums[1], sums[0], "the loss of one batch, twice")


@check(
    "task",
    cause="a loss averaged over the batch, a count that is not that of the sum, or a statistic across rows.",
    mend="sum over rows and positions, and count exactly what was summed.",
    needs=("eval_deterministic",),
)
def loss_adds_up(lab: TaskLab) -> None:
    """The loss and count of a batch are those of its rows, added: the same row three times is three times one."""
    head = lab.head()
    one, three = (_loss(head, lab.batch(head, rows)) for rows in ([1], [1, 1, 1]))
    close(three.sum, 3 * one.sum, "the loss of a row three times, and three times its loss", _CLOSE)
    expect(
        three.count.item() == 3 * one.count.item(),
        f"a count of {three.count.item()} for a row three times, {one.count.item()} for it once",
        "three times as many",
    )


@check(
    "task",
    cause="padding that is counted or read: no lengths given to the model, or no ignore_index.",
    mend="give the model the lengths, and leave padding (in streams, targets of -100) out of sum and count.",
    needs=("loss_adds_up",),
)
def padding_does_not_count(lab: TaskLab) -> None:
    """Rows of different lengths give together what they give alone; with streams, a target of -100 counts nothing."""
    head = lab.head()
    if not lab.streams:
        rows = list(range(len(lab.rows)))
        parts = [_loss(head, lab.batch(head, [row])) for row in rows]
        out = _loss(head, lab.batch(head, rows))
        want, count = torch.stack([part.sum for part in parts]).sum(), sum(part.count.item() for part in parts)
    else:
        batch = lab.batch(head, [0, 1])
        short = {name: tensor[:, :7] for name, tensor in batch.items()}
        batch["targets"] = batch["targets"].clone()
        batch["targets"][:, 7:] = -100
        out, part = _loss(head, batch), _loss(head, short)
        want, count = part.sum, part.count.item()
    close(out.sum, want, "the loss with padding and without", _CLOSE)
    expect(out.count.item() == count, f"a count of {out.count.item()} with padding", f"{count}, as without")


@check(
    "task",
    cause="compute that reads something else than totals, or means that are added up.",
    mend="add sums in update, divide in compute, keep nothing outside totals.",
    needs=("loss_adds_up",),
)
def metrics_merge(lab: TaskLab) -> None:
    """Counting two batches in one counter, or in two that are merged, gives the same values; ``loss`` is the mean."""
    head = lab.head()
    batches = [lab.batch(head, rows) for rows in ([0, 1], [2])]
    outputs = [_loss(head, batch) for batch in batches]
    whole, left, right = head.metrics(), head.metrics(), head.metrics()
    for counter, chosen in ((whole, (0, 1)), (left, (0,)), (right, (1,))):
        for which in chosen:
            counter.update(batches[which], outputs[which])
    left.merge(right.totals)
    one, two = whole.compute(), left.compute()
    expect(one.keys() == two.keys(), f"{sorted(two)} after merging", f"{sorted(one)}")
    for name, value in one.items():
        expect(math.isclose(value, two[name], rel_tol=1e-9), f"{name} is {two[name]} after merging", f"{value}")
    mean = sum(out.sum.item() for out in outputs) / sum(out.count.item() for out in outputs)
    expect(
        math.isclose(one.get("loss", math.nan), mean, rel_tol=1e-6), f"loss is {one.get('loss')}", f"{mean}, the mean"
    )


@check(
    "task",
    cause="entries named by the model alone.",
    mend="return verbs.prefixed(model.initial_state(batch_size), role), and name the head's own entries head.….",
)
def state_prefixed(lab: TaskLab) -> None:
    """Every entry of the pipeline's state begins with a model role or ``head``, and is batch-first."""
    head = lab.head()
    states = {}
    if lab.streams:
        states["initial_state(3)"] = head.initial_state(3)
    if isinstance(head, TokenHead):
        context, states["start of three rows"] = lab.begin(head, [0, 1, 2])
        for name, tensor in context.items():
            expect(tensor.shape[:1] == (3,), f"context {name!r} of shape {tuple(tensor.shape)}", "3 rows first")
    if not states:
        inapplicable("it has no state")
    roles = (*lab.config.model_roles, "head")
    for what, state in states.items():
        for name, tensor in state.items():
            expect(
                name.partition(".")[0] in roles and "." in name, f"{what}: {name!r}", f"a prefix of {', '.join(roles)}"
            )
            expect(tensor.shape[:1] == (3,), f"{what}: {name!r} of shape {tuple(tensor.shape)}", "3 rows first")


@check(
    "task",
    cause="loss starts from the initial state whatever it is given, or returns the state it was given.",
    mend="read from the state that came in, and return the one after the last position.",
    needs=("padding_does_not_count", "state_prefixed"),
)
def stream_carries_state(lab: TaskLab) -> None:
    """With streams, windows read one after the other with the state carried give the loss of reading them as one."""
    lab.only_streams()
    head = lab.head()
    batch = lab.batch(head, [0, 1])
    want = head.loss(batch)
    state = head.initial_state(2)
    before, versions = verbs.clone(state), {name: tensor._version for name, tensor in state.items()}
    first = head.loss({name: tensor[:, :5] for name, tensor in batch.items()}, state)
    unchanged(state, before, versions, "loss")
    second = head.loss({name: tensor[:, 5:] for name, tensor in batch.items()}, first.state)
    close(first.sum + second.sum, want.sum, "the loss of two windows and of both as one", _CLOSE)
    if want.state is not None and second.state is not None:
        states_close(second.state, want.state, "the state after two windows and after both as one")


@check(
    "task",
    cause="detach(), argmax or no_grad on the way to the loss; a layer that is created and never used.",
    mend="compute the loss from the parameters themselves; remove what is not used.",
    needs=("loss_shape",),
)
def gradients_reach(lab: TaskLab) -> None:
    """Gradients of the loss reach every parameter, and are finite."""
    head = lab.head()
    parameters = learned(head)
    with torch.enable_grad():
        torch.autograd.backward(_loss(head, lab.batch(head, [0, 1, 2])).sum)
    gradients_arrived(parameters)


@check(
    "task",
    cause="a tensor kept as a plain attribute or in a list: state_dict does not see it.",
    mend="use nn.Parameter, register_buffer, nn.ModuleList.",
    needs=("eval_deterministic",),
)
def saves_and_loads(lab: TaskLab) -> None:
    """Weights saved and loaded into a head built under another seed give the same loss."""
    head, other = lab.head(), lab.build(seed=99).double()
    other.load_state_dict(copied(head))
    batch = lab.batch(head, [0, 1, 2])
    close(_loss(other, batch).sum, _loss(head, batch).sum, "the loss of the head and of its reloaded copy", _CLOSE)


@check(
    "task",
    cause="row['…'] lets KeyError through, or a value of another type reaches the tokenizer.",
    mend="check what the row holds, and raise DataError that says what was expected.",
)
def bad_rows_refused(lab: TaskLab) -> None:
    """``encode`` refuses a row that lacks a required column, holds a number for text, or a lone surrogate."""
    head = lab.head()
    good = lab.rows[0]
    bad: dict[str, dict[str, Any]] = {}
    for column in lab.config.columns:
        if column.required:
            bad[f"without {column.name!r}"] = {name: value for name, value in good.items() if name != column.name}
        if column.kind == "text":
            bad[f"with a number for {column.name!r}"] = {**good, column.name: 7}
            bad[f"with a lone surrogate in {column.name!r}"] = {**good, column.name: "a\ud800"}
    for what, row in bad.items():
        try:
            head.encode(row)
        except SeqdemoError:
            continue
        except Exception as error:  # noqa: BLE001 - which one is what is reported
            fail(f"a row {what} raised {type(error).__name__}: {error}", "DataError or TokenizerError")
        fail(f"a row {what} was accepted", "DataError or TokenizerError")


@check(
    "task",
    cause="one result for the whole batch, plain values in place of results, or an answer that depends on neighbours.",
    mend="return one result of the config's type for each input, in order; give the model the lengths.",
    needs=("eval_deterministic", "options_default"),
)
def predicts_each_row(lab: TaskLab) -> None:
    """``predict`` gives one typed result for each input, the same as for that input alone."""
    head = lab.head()
    if isinstance(head, TokenHead):
        inapplicable("it emits tokens, so the decoding loops predict")
    inputs, options = [lab.inputs(row) for row in range(len(lab.rows))], lab.config.options()
    results = head.predict(inputs, options)
    expect(len(results) == len(inputs), f"{len(results)} results for {len(inputs)} inputs", "one for each")
    for row, result in enumerate(results):
        if not isinstance(result, lab.config.result):
            fail(f"a result of type {type(result).__name__}", f"{lab.config.result.__name__}, as the config says")
        (alone,) = head.predict([inputs[row]], options)
        expect(_alike(result, alone), f"{str(result)[:120]} in a batch, {str(alone)[:120]} alone", "the same result")


def _alike(a: Any, b: Any) -> bool:
    """Whether two results agree, numbers to 1e-5."""
    if is_dataclass(a) and type(a) is type(b):
        return all(_alike(getattr(a, each.name), getattr(b, each.name)) for each in fields(a))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-5)
    return bool(a == b)
