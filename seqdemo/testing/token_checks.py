"""Checks of task heads that emit tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqdemo.plugin import Decoded, Done, Result, State, TokenHead, Usage
from seqdemo.plugin import state as verbs

from .compare import close, states_close, unchanged
from .core import check, expect, fail, inapplicable

if TYPE_CHECKING:
    from .task_lab import TaskLab

_CLOSE = 1e-5
"""Between logits, which are float32."""


@check(
    "task",
    cause="logits in half precision, for every position, or transposed.",
    mend="return StepOutput(logits of the last position (B, V).float(), state, {}).",
)
def next_shape(lab: TaskLab) -> None:
    """``next`` gives float32 logits ``(B, V)`` and a state of the same layout."""
    head = lab.token_head()
    context, state = lab.begin(head, [0, 1])
    out = head.next(lab.ids(head, 2, 3), state, dict(context))
    shape = (2, head.output_tokenizer.vocab_size)
    expect(out.logits.shape == shape, f"logits of shape {tuple(out.logits.shape)}", f"{shape}, which is (B, V)")
    expect(out.logits.dtype == torch.float32, f"logits in {out.logits.dtype}", "float32")
    expect(verbs.layout(out.state) == verbs.layout(state), f"a state of {verbs.layout(out.state)}", "the same layout")


@check(
    "task",
    cause="an in-place operation on a state entry, or state[name] = … on the dict that came in.",
    mend="build a new dict: return StepOutput(logits, {**inner, 'head.output': y}, {}).",
    needs=("next_shape",),
)
def state_unchanged(lab: TaskLab) -> None:
    """A state handed to ``next`` or ``logits`` is not written to."""
    head = lab.token_head()
    context, state = lab.begin(head, [0, 1])
    before, versions = verbs.clone(state), {name: tensor._version for name, tensor in state.items()}
    for time in (0, 1, 4):
        head.next(lab.ids(head, 2, time), state, dict(context))
        unchanged(state, before, versions, f"next on {time} ids")
    head.logits(lab.ids(head, 2, 4), state, dict(context))
    unchanged(state, before, versions, "logits")


def _whole(lab: TaskLab, head: TokenHead, ids: Tensor) -> tuple[Tensor, State, State]:
    """Logits ``(B, T, V)``, the state after, the state before."""
    context, state = lab.begin(head, list(range(len(ids))))
    logits, after = head.logits(ids, state, dict(context))
    return logits, after, state


@check(
    "task",
    cause="next reads its state differently from logits, or takes the output of another position.",
    mend="write both from one function that reads ids from a state.",
    needs=("state_unchanged",),
)
def next_equals_logits(lab: TaskLab) -> None:
    """``next`` repeated, id by id or in pieces, gives the logits and the state of ``logits``."""
    head = lab.token_head()
    ids = lab.ids(head, 2, 9)
    context, state = lab.begin(head, [0, 1])
    want, end, _ = _whole(lab, head, ids)
    for pieces in ([1] * 9, [4, 3, 2]):
        at, now = 0, state
        for size in pieces:
            out = head.next(ids[:, at : at + size], now, dict(context))
            at, now = at + size, out.state
            close(out.logits, want[:, at - 1], f"next in pieces of {pieces} and logits, after {at} ids", _CLOSE)
        states_close(now, end, f"the state after next in pieces of {pieces} and after logits")


@check(
    "task",
    cause="next on no ids reads something, or starts anew, because the state does not hold the last output.",
    mend="keep the model's last output in the state, as head.output (B, O), and give its logits when T = 0.",
    needs=("next_equals_logits",),
)
def next_of_nothing(lab: TaskLab) -> None:
    """``next`` on no ids gives the distribution after the last one, and the state as it is."""
    head = lab.token_head()
    context, state = lab.begin(head, [0, 1])
    ids = lab.ids(head, 2, 4)
    out = head.next(ids, state, dict(context))
    bare = head.next(ids[:, :0], out.state, dict(context))
    close(bare.logits, out.logits, "the logits of the state alone, and of the ids that led to it", _CLOSE)
    states_close(bare.state, out.state, "the state after reading nothing and before", 0)


@check(
    "task",
    cause="the output at the last column is taken for every row, or at lengths - 1, which is -1 for length 0.",
    mend="take each row's output at its own last id, and the incoming one where its length is 0.",
    needs=("next_of_nothing",),
)
def next_ragged(lab: TaskLab) -> None:
    """``next`` with lengths gives each row what it gets alone; a row of length 0 stays where it is."""
    head = lab.token_head()
    ids, lengths = lab.ids(head, 3, 5), [5, 0, 2]
    context, state = lab.begin(head, [0, 1, 2])
    state = head.next(lab.ids(head, 3, 2), state, dict(context)).state
    out = head.next(ids, state, dict(context), lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        own = {name: tensor[row : row + 1] for name, tensor in context.items()}
        alone = head.next(ids[row : row + 1, :length], verbs.select(state, [row]), own)
        close(
            out.logits[row : row + 1], alone.logits, f"logits of a row of {length} ids among others, and alone", _CLOSE
        )
        states_close(verbs.select(out.state, [row]), alone.state, f"the state of a row of {length} ids, and alone")


@check(
    "task",
    cause="trace=True takes another way through the model.",
    mend="use the model's trace in place of its forward, and everything else as it is.",
    needs=("next_equals_logits",),
)
def next_traces(lab: TaskLab) -> None:
    """``next`` with ``trace=True`` gives the same logits and state, and traces ``(B, T, ...)``."""
    head = lab.token_head()
    context, state = lab.begin(head, [0, 1])
    ids = lab.ids(head, 2, 4)
    out, traced = (head.next(ids, state, dict(context), trace=each) for each in (False, True))
    close(traced.logits, out.logits, "logits with trace and without", _CLOSE)
    states_close(traced.state, out.state, "the state with trace and without")
    for name, tensor in traced.trace.items():
        expect(tensor.shape[:2] == (2, 4), f"trace {name!r} of shape {tuple(tensor.shape)}", "(2, 4, ...)")


@check(
    "task",
    cause="a scale, projection or tied weight that token_io leaves out.",
    mend="fold it into the tables, or return None from token_io.",
    needs=("next_equals_logits",),
)
def token_io_computes(lab: TaskLab) -> None:
    """The tables of ``token_io`` reproduce the head: its vectors, its model, its logits and the output it keeps."""
    head = lab.token_head()
    io = head.token_io()
    if io is None:
        inapplicable("it offers no tables")
    role = io.role or lab.config.model_roles[-1]
    model = lab.models[role] if io.model is None else io.model
    size, width = head.output_tokenizer.vocab_size, model.output_size
    tables: dict[str, tuple[Tensor, tuple[int, ...]]] = {"embedding": (io.embedding, (size, model.input_size))}
    if io.project is not None:
        tables["project[0]"] = io.project[0], (io.weight.shape[1], width)
        tables["project[1]"] = io.project[1], (io.weight.shape[1],)
        width = io.weight.shape[1]
    tables |= {"weight": (io.weight, (size, width)), "bias": (io.bias, (size,))}
    for name, (tensor, shape) in tables.items():
        expect(tensor.shape == shape, f"{name} of shape {tuple(tensor.shape)}", f"{shape}")
    ids = lab.ids(head, 2, 6)
    want, after, state = _whole(lab, head, ids)
    y, _ = model(io.embedding[ids], verbs.unprefixed(state, role))
    p = y if io.project is None else y @ io.project[0].T + io.project[1]
    close(p @ io.weight.T + io.bias, want, "logits by the tables and by the head", _CLOSE)
    if io.output:
        expect(io.output in after, f"no state entry {io.output!r}, which output names", "an entry of the state")
        close(after[io.output], y[:, -1], f"state entry {io.output!r} and the model's last output")


@check(
    "task",
    cause="the empty text gives no ids, and nothing can be predicted from nothing.",
    mend="begin with the tokenizer's bos or eos token, or read a new line.",
)
def prompt_not_empty(lab: TaskLab) -> None:
    """``prompt`` gives at least one id of the vocabulary, for the empty text too."""
    head = lab.token_head()
    empty = {column.name: "" for column in lab.config.columns if column.kind == "text" and column.role == "input"}
    for row in [*(lab.inputs(place) for place in range(len(lab.rows))), {**lab.inputs(0), **empty}]:
        ids = head.prompt(row)
        expect(len(ids) > 0, f"no ids for {row}", "at least one")
        wrong = [token for token in ids if not 0 <= token < head.output_tokenizer.vocab_size]
        expect(not wrong, f"ids {wrong} for {row}", f"ids below {head.output_tokenizer.vocab_size}")


@check(
    "task",
    cause="ids of another tokenizer, or an end token that is forbidden as well, so that no text ever ends.",
    mend="take both from output_tokenizer.special_tokens, and keep them apart.",
)
def end_and_forbidden_ids(lab: TaskLab) -> None:
    """End ids and forbidden ids are of the vocabulary and apart, and some id may be chosen."""
    head = lab.token_head()
    size = head.output_tokenizer.vocab_size
    for name, found in (("end_ids", head.end_ids), ("forbidden_ids", head.forbidden_ids)):
        wrong = sorted(token for token in found if not 0 <= token < size)
        expect(not wrong, f"{name} holds {wrong}", f"ids below {size}")
    both = sorted(head.end_ids & head.forbidden_ids)
    expect(not both, f"{both} end a text and are forbidden", "ids that are one or the other")
    expect(len(head.forbidden_ids) < size, "every id is forbidden", "some that may be chosen")


@check(
    "task",
    cause="result returns the text, or nothing.",
    mend="return Generation(decoded.prompt, decoded.text, decoded.tokens, decoded.done), or a Result of your own.",
)
def result_is_typed(lab: TaskLab) -> None:
    """``result`` makes a typed result of a finished decoding loop."""
    head = lab.token_head()
    found: object = head.result(Decoded("It was", " late.", (), Done("end", Usage(1, 0, 0.0, 0.0, 0))))
    if not isinstance(found, Result):
        fail(f"result gave a {type(found).__name__}", "a subclass of Result")
