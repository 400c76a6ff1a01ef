"""What every built-in model must keep, whatever computes it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqdemo.errors import NotCausalError
from seqdemo.plugin import state as verbs

CLOSE = {"rtol": 0.0, "atol": 1e-10}
some = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ragged(model, lengths, extra=1):
    """Inputs whose padding is NaN."""
    time = max(lengths) + extra
    x = torch.randn(len(lengths), time, model.input_size, dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    return x


def test_step_repeated_equals_forward(name, make, random_state):
    """Reading one position at a time gives the outputs and the state of reading them together."""
    model = make(name)
    x, state = torch.randn(3, 7, 3, dtype=torch.float64), random_state(model, 3)
    want, want_after = model(x, state)
    outputs = []
    for t in range(7):
        y, state = model.step(x[:, t], state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), want, **CLOSE)
    assert verbs.max_difference(state, want_after) < 1e-10


@some
@given(time=st.integers(0, 9), data=st.data())
def test_any_split_equals_the_whole(name, make, random_state, time, data):
    """A sequence read in any pieces, empty ones included, is read as a whole."""
    model = make(name)
    at = sorted(data.draw(st.lists(st.integers(0, time), max_size=4)))
    x, state = torch.randn(2, time, 3, dtype=torch.float64), random_state(model, 2)
    want, want_after = model(x, state)
    outputs = []
    for start, end in zip([0, *at], [*at, time], strict=True):
        y, state = model(x[:, start:end], state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), want, **CLOSE)
    assert verbs.max_difference(state, want_after) < 1e-10


@some
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5), extra=st.integers(0, 2), both=st.booleans())
def test_a_ragged_batch_equals_its_rows_alone(name, make, random_state, lengths, extra, both):
    """Rows of any lengths padded with NaN come out as they would alone; an empty row keeps the state it came with."""
    model = make(name, bidirectional=both)
    x, state = ragged(model, lengths, extra), random_state(model, len(lengths))
    y, after = model(x, state, torch.tensor(lengths))
    assert y.shape == (len(lengths), x.shape[1], model.output_size)
    for row, length in enumerate(lengths):
        alone, alone_after = model(x[row : row + 1, :length], verbs.select(state, [row]))
        torch.testing.assert_close(y[row : row + 1, :length], alone, **CLOSE)
        assert y[row, length:].eq(0).all()
        assert verbs.max_difference(verbs.select(after, [row]), alone_after) < 1e-10
        if length == 0:
            assert verbs.equal(verbs.select(after, [row]), verbs.select(state, [row]))


@pytest.mark.parametrize("both", [False, True])
def test_padding_of_nan_leaves_gradients_finite_and_its_own_zero(name, make, random_state, both):
    """NaN in the padding reaches no gradient, and an empty row passes its state's gradient straight through."""
    model = make(name, bidirectional=both)
    lengths = [4, 0, 2]
    x = ragged(model, lengths).requires_grad_()
    state = {entry: tensor.requires_grad_() for entry, tensor in random_state(model, 3).items()}
    y, after = model(x, state, torch.tensor(lengths))
    (y.sum() + sum(tensor.sum() for tensor in after.values())).backward()
    assert x.grad.isfinite().all()
    for row, length in enumerate(lengths):
        assert x.grad[row, length:].eq(0).all()
        assert length == 0 or x.grad[row, :length].ne(0).any()
    for tensor in state.values():
        assert tensor.grad.isfinite().all()
        assert tensor.grad[1].eq(1).all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_lengths_that_pad_nothing_change_nothing(name, make):
    """Lengths equal to the width of the batch give what no lengths give."""
    model = make(name)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    with_lengths, without = model(x, None, torch.tensor([5, 5])), model(x)
    torch.testing.assert_close(with_lengths[0], without[0], **CLOSE)
    assert verbs.max_difference(with_lengths[1], without[1]) < 1e-10


@pytest.mark.parametrize("call", ["forward", "ragged", "step", "trace", "empty"])
def test_a_state_handed_in_is_unchanged(name, make, random_state, call):
    """Neither the values nor the version counters nor the names of a state that was handed in change."""
    model = make(name)
    x, state = torch.randn(2, 5, 3, dtype=torch.float64), random_state(model, 2)
    before, versions, names = verbs.clone(state), [t._version for t in state.values()], list(state)
    if call == "forward":
        model(x, state)
    elif call == "ragged":
        model(x, state, torch.tensor([5, 0]))
    elif call == "step":
        model.step(x[:, 0], state)
    elif call == "trace":
        model.trace(x, state)
    else:
        _, after = model(x[:, :0], state)
        assert after is not state
    assert list(state) == names
    assert verbs.equal(state, before)
    assert [t._version for t in state.values()] == versions


def test_rows_are_independent(name, make, random_state):
    """Changing one row's input and state changes nothing in another row."""
    model = make(name)
    x, state = torch.randn(3, 4, 3, dtype=torch.float64), random_state(model, 3)
    y, after = model(x, state)
    x[1] += 5.0
    other, other_after = model(x, {entry: t + torch.tensor([[0.0], [1.0], [0.0]]).to(t) for entry, t in state.items()})
    torch.testing.assert_close(other[[0, 2]], y[[0, 2]], **CLOSE)
    assert verbs.max_difference(verbs.select(after, [0, 2]), verbs.select(other_after, [0, 2])) < 1e-10
    assert (other[1] - y[1]).abs().max() > 1e-3


def test_dropout_works_between_layers_and_only_in_training(name, make):
    """While training two passes differ and a lower layer's state does not; in evaluation they are equal."""
    model = make(name, dropout=0.5)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    plain = make(name)(x)[0]
    assert torch.equal(model(x)[0], plain)
    model.train()
    torch.manual_seed(0)
    (a, a_after), (b, b_after) = model(x), model(x)
    assert not torch.equal(a, b)
    first = [entry for entry in a_after if entry.startswith("layer0")]
    assert all(torch.equal(a_after[entry], b_after[entry]) for entry in first)
    assert not torch.equal(model.trace(x)[0], model.trace(x)[0])
    state = model.initial_state(2)
    assert not torch.equal(model.step(x[:, 0], state)[0], model.step(x[:, 0], state)[0])


def test_one_layer_never_drops_out(name, make):
    """There is nothing between the layers of one layer, and torch's warning about it is not shown."""
    model = make(name, num_layers=1, dropout=0.5).train()
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    assert torch.equal(model(x)[0], model(x)[0])
    state = model.initial_state(2)
    assert torch.equal(model.step(x[:, 0], state)[0], model.step(x[:, 0], state)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 2, 0])])
def test_everything_has_the_models_dtype(name, make, dtype, lengths):
    """A model in any precision makes states, outputs and traces of that precision, near those of float64."""
    x = torch.randn(3, 4, 3)
    model = make(name, dtype=dtype)
    state = model.initial_state(3)
    y, after = model(x.to(dtype), state, lengths)
    stepped, one = model.step(x[:, 0].to(dtype), state)
    traced, end, trace = model.trace(x.to(dtype), state)
    for tensor in (y, stepped, traced, *state.values(), *after.values(), *one.values(), *end.values(), *trace.values()):
        assert tensor.dtype == dtype
    want, _ = make(name)(x.double(), None, lengths)
    torch.testing.assert_close(y.double(), want, rtol=0, atol=0.05 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("lengths", [None, torch.tensor([6, 2, 0])])
def test_autocast_keeps_the_states_precision(name, make, lengths):
    """Under bf16 autocast a state stays in the model's precision, outputs stay near, and gradients are finite."""
    model = make(name, dtype=torch.float32).train()
    x = torch.randn(3, 6, 3)
    want, want_after = model(x, None, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        y, after = model(x, None, lengths)
        stepped, one = model.step(x[:, 0], model.initial_state(3))
        traced, end, _ = model.trace(x)
    assert {t.dtype for state in (after, one, end) for t in state.values()} == {torch.float32}
    torch.testing.assert_close(y.float(), want, rtol=0, atol=0.05)
    torch.testing.assert_close(stepped.float(), want[:, 0] if lengths is None else model(x)[0][:, 0], rtol=0, atol=0.05)
    assert traced.shape == y.shape
    assert verbs.max_difference(after, want_after) < 0.05
    y.float().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_to_read(name, make, random_state, rows):
    """No positions or no rows give an empty output of the right shape and the state as it was."""
    model = make(name)
    state = random_state(model, rows)
    for x, lengths in (
        (torch.zeros(rows, 0, 3, dtype=torch.float64), None),
        (torch.zeros(rows, 0, 3, dtype=torch.float64), torch.zeros(rows, dtype=torch.long)),
        (torch.full((rows, 3, 3), torch.nan, dtype=torch.float64), torch.zeros(rows, dtype=torch.long)),
    ):
        y, after = model(x, state, lengths)
        assert y.shape == (*x.shape[:2], model.output_size)
        assert y.eq(0).all()
        assert verbs.equal(after, state)
    assert model.step(torch.zeros(rows, 3, dtype=torch.float64), state)[0].shape == (rows, model.output_size)


def test_bidirectional_refuses_to_step(name, make):
    """A model that reads the future says so by name when it is stepped, and knows that it is not causal."""
    model = make(name, bidirectional=True)
    assert not model.causal
    assert model.output_size == 8
    with pytest.raises(NotCausalError, match="bidirectional=False"):
        model.step(torch.zeros(1, 3, dtype=torch.float64), model.initial_state(1))
    assert make(name).causal


def test_the_states_size_is_fixed(name, make):
    """A state has the same layout after a thousand positions as before the first."""
    model = make(name)
    state = model.initial_state(1)
    _, after = model(torch.randn(1, 1000, 3, dtype=torch.float64), state)
    assert verbs.layout(after) == verbs.layout(state)
    assert verbs.nbytes(after) == verbs.nbytes(state)


def test_trace_agrees_with_forward(name, make, random_state):
    """The trace's outputs and state are those of ``forward``, it names gates, and gradients flow through it."""
    for both in (False, True):
        model = make(name, bidirectional=both)
        x, state = torch.randn(2, 5, 3, dtype=torch.float64), random_state(model, 2)
        (want, want_after), (y, after, trace) = model(x, state), model.trace(x, state)
        torch.testing.assert_close(y, want, **CLOSE)
        assert verbs.max_difference(after, want_after) < 1e-10
        assert list(after) == list(want_after) == list(state)
        assert all(tensor.shape == (2, 5, 4) for tensor in trace.values())
        assert any(entry.endswith(".h") for entry in trace)
        y.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.trace(x[:, :0], state)[0].shape == (2, 0, 8)
