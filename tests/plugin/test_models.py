"""Cells, stacks and directions, with cells of the tests' own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from seqdemo.errors import NotCausalError, PluginError
from seqdemo.plugin import Bidirectional, Cell, ModelConfig, RecurrentModel, Stack, State, Trace, build_model
from seqdemo.plugin import state as verbs

CLOSE = {"rtol": 0.0, "atol": 1e-12}


class LeakyConfig(ModelConfig):
    """What the cell of the plugin guide takes."""

    residual: bool = False
    bidirectional: bool = False


class Leaky(Cell):
    """The thirty-line cell: a leaky average of what was read, that starts at a learned place and counts its steps."""

    def __init__(self, config: LeakyConfig, input_size: int) -> None:
        super().__init__(input_size, config.hidden_size)
        self.read = nn.Linear(input_size, config.hidden_size)
        self.start = nn.Parameter(torch.linspace(-1, 1, config.hidden_size))

    def initial_state(self, batch_size: int) -> State:
        counts = torch.zeros(batch_size, dtype=torch.long, device=self.start.device)
        return {"h": self.start.expand(batch_size, -1), "count": counts}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        keep = torch.sigmoid(self.read(x))
        h = keep * state["h"] + (1 - keep) * torch.tanh(self.read(x))
        return h, {"h": h, "count": state["count"] + 1}, {"keep": keep}


class Sum(RecurrentModel):
    """A model that writes ``forward`` only: the running sum."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size)

    def initial_state(self, batch_size: int) -> State:
        return {"sum": torch.zeros(batch_size, self.input_size, dtype=torch.float64)}

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        y = state["sum"].unsqueeze(1) + x.cumsum(1)
        return y, {"sum": y[:, -1]}


class LSTMLayer(Cell):
    """``nn.LSTMCell`` as a cell, so that stacks and directions can be compared with ``nn.LSTM``."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.inner = nn.LSTMCell(input_size, hidden_size, dtype=torch.float64)

    def initial_state(self, batch_size: int) -> State:
        zeros = torch.zeros(batch_size, self.output_size, dtype=torch.float64)
        return {"h": zeros, "c": zeros.clone()}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = self.inner(x, (state["h"], state["c"]))
        return h, {"h": h, "c": c}

    def load(self, layer: nn.LSTM, suffix: str) -> LSTMLayer:
        for name, parameter in self.inner.named_parameters():
            parameter.data.copy_(getattr(layer, name + suffix))
        return self


def leaky(**config) -> RecurrentModel:
    torch.manual_seed(0)
    return build_model(Leaky, LeakyConfig(**({"hidden_size": 4, "num_layers": 2} | config)), 3).double().eval()


def rows(count: int, time: int) -> Tensor:
    return torch.randn(count, time, 3, dtype=torch.float64)


def test_a_thirty_line_cell_gets_everything():
    """A cell of one step becomes layers, a loop, lengths, directions, splits and a trace."""
    model = leaky()
    assert isinstance(model, Stack)
    assert (model.input_size, model.output_size, model.causal) == (3, 4, True)
    assert list(model.initial_state(2)) == ["layer0.h", "layer0.count", "layer1.h", "layer1.count"]
    x = rows(2, 5)
    y, after = model(x)
    state, outputs = model.initial_state(2), []
    for t in range(5):
        one, state = model.step(x[:, t], state)
        outputs.append(one)
    torch.testing.assert_close(torch.stack(outputs, 1), y, **CLOSE)
    assert verbs.max_difference(state, after) < 1e-12
    first, middle = model(x[:, :2])
    rest, end = model(x[:, 2:], middle)
    torch.testing.assert_close(torch.cat([first, rest], 1), y, **CLOSE)
    assert verbs.max_difference(end, after) < 1e-12
    traced, traced_after, trace = model.trace(x)
    torch.testing.assert_close(traced, y, **CLOSE)
    assert verbs.max_difference(traced_after, after) < 1e-12
    assert {name: tuple(t.shape) for name, t in trace.items()} == {"layer0.keep": (2, 5, 4), "layer1.keep": (2, 5, 4)}
    assert after["layer0.count"].tolist() == [5, 5]
    assert after["layer0.count"].dtype == torch.long


@pytest.mark.parametrize("both", [False, True])
def test_an_initial_state_need_not_be_zero(both):
    """Without a state a model starts at its own initial one, and a row of length 0 still stands there."""
    model = leaky(bidirectional=both)
    x = rows(3, 4)
    x[1], x[2, 2:] = torch.nan, torch.nan
    lengths = torch.tensor([4, 0, 2])
    y, after = model(x, None, lengths)
    want, want_after = model(x, model.initial_state(3), lengths)
    assert torch.equal(y, want)
    assert verbs.equal(after, want_after)
    assert verbs.equal(verbs.select(after, [1]), verbs.clone(model.initial_state(1)))
    assert after["layer0.forward.count" if both else "layer0.count"].tolist() == [4, 0, 2]
    assert y[1].eq(0).all()
    assert y[2, 2:].eq(0).all()
    alone, alone_after = model(x[2:, :2])
    torch.testing.assert_close(y[2:, :2], alone, **CLOSE)
    assert verbs.max_difference(verbs.select(after, [2]), alone_after) < 1e-12


@pytest.mark.parametrize("bare", [False, True])
def test_a_learned_initial_state_is_learned(bare):
    """Gradients reach the parameter that the initial state is made of, and are finite beside NaN padding."""
    model = Leaky(LeakyConfig(hidden_size=4), 3).double() if bare else leaky()
    x = rows(2, 3)
    x[1, 1:] = torch.nan
    y, _ = model(x, None, torch.tensor([3, 1]))
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_state_handed_in_is_unchanged():
    """Reading, stepping and tracing leave the state as it was."""
    model = leaky()
    state = model.initial_state(2)
    before, versions = verbs.clone(state), [tensor._version for tensor in state.values()]
    model(rows(2, 3), state)
    model(rows(2, 3), state, torch.tensor([0, 2]))
    model.step(rows(2, 1)[:, 0], state)
    model.trace(rows(2, 3), state)
    assert verbs.equal(state, before)
    assert [tensor._version for tensor in state.values()] == versions


def test_forward_alone_gives_step():
    """A model that writes only forward can be stepped."""
    model = Sum(3)
    y, state = model.step(torch.ones(2, 3, dtype=torch.float64), {"sum": torch.ones(2, 3, dtype=torch.float64)})
    assert y.shape == (2, 3)
    assert y.eq(2).all()
    assert state["sum"].eq(2).all()


@pytest.mark.parametrize("time", [0, 1])
def test_a_stack_of_mixed_layers(time):
    """Layers of different kinds and widths, one of them a stack, read as they would one after the other."""
    torch.manual_seed(0)
    layers = [Leaky(LeakyConfig(hidden_size=5), 3).double(), LSTMLayer(5, 2), Stack([LSTMLayer(2, 4), Sum(4)])]
    model = Stack(layers).eval()
    x = rows(2, time + 3) if time else rows(2, 3)
    y, after = model(x)
    want = x
    for layer in layers:
        want, _ = layer(want)
    torch.testing.assert_close(y, want, **CLOSE)
    assert set(after) == {
        "layer0.h", "layer0.count", "layer1.h", "layer1.c", "layer2.layer0.h", "layer2.layer0.c", "layer2.layer1.sum",
    }  # fmt: skip
    stepped, _ = model.step(x[:, 0], model.initial_state(2))
    torch.testing.assert_close(stepped, y[:, 0], **CLOSE)


def test_residual_adds_where_sizes_agree():
    """A layer's input is added to its output where they are equally wide, and nowhere else."""
    torch.manual_seed(0)
    layers = [LSTMLayer(3, 4), LSTMLayer(4, 4)]
    model = Stack(layers, residual=True).eval()
    x = rows(2, 4)
    below, _ = layers[0](x)
    above, _ = layers[1](below)
    want = below + above
    torch.testing.assert_close(model(x)[0], want, **CLOSE)
    torch.testing.assert_close(model.trace(x)[0], want, **CLOSE)
    torch.testing.assert_close(model.step(x[:, 0], model.initial_state(2))[0], want[:, 0], **CLOSE)
    x[1, 2:] = torch.nan
    y, _ = model(x, None, torch.tensor([4, 2]))
    torch.testing.assert_close(y[1, :2], want[1, :2], **CLOSE)
    assert y[1, 2:].eq(0).all()


def test_dropout_is_between_layers_and_in_training_only():
    """Dropout changes the passes of training, never evaluation, and is not applied after the last layer."""
    model = leaky(dropout=0.5)
    x = rows(2, 6)
    assert torch.equal(model(x)[0], leaky()(x)[0])
    model.train()
    a, b = model(x)[0], model(x)[0]
    assert not torch.equal(a, b)
    assert a.ne(0).all()
    one = leaky(dropout=0.5, num_layers=1).train()
    assert torch.equal(one(x)[0], one(x)[0])


@pytest.mark.parametrize("lengths", [None, [5, 2, 1]])
@pytest.mark.parametrize("depth", [1, 2])
def test_bidirectional_equals_torch(lengths, depth):
    """Two cells in two directions are torch's bidirectional LSTM: outputs and both final states, any initial ones."""
    theirs = nn.LSTM(3, 4, depth, bidirectional=True, batch_first=True, dtype=torch.float64)
    model = Stack(
        [
            Bidirectional(
                LSTMLayer(8 if k else 3, 4).load(theirs, f"_l{k}"),
                LSTMLayer(8 if k else 3, 4).load(theirs, f"_l{k}_reverse"),
            )
            for k in range(depth)
        ]
    )
    assert not model.causal
    x = rows(3, 5)
    h, c = torch.randn(2, 2 * depth, 3, 4, dtype=torch.float64)
    names = [f"layer{k}.{direction}" for k in range(depth) for direction in ("forward", "backward")]
    state = {f"{name}.h": h[k] for k, name in enumerate(names)} | {f"{name}.c": c[k] for k, name in enumerate(names)}
    counts = None if lengths is None else torch.tensor(lengths)
    y, after = model(x, state, counts)
    if lengths is None:
        want, (last_h, last_c) = theirs(x, (h, c))
        torch.testing.assert_close(model.trace(x, state)[0], want, **CLOSE)
    else:
        packed = nn.utils.rnn.pack_padded_sequence(x, counts, batch_first=True)
        packed, (last_h, last_c) = theirs(packed, (h, c))
        want, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    torch.testing.assert_close(y, want, **CLOSE)
    for k, name in enumerate(names):
        torch.testing.assert_close(after[f"{name}.h"], last_h[k], **CLOSE)
        torch.testing.assert_close(after[f"{name}.c"], last_c[k], **CLOSE)


def test_bidirectional_traces_in_the_order_of_the_input():
    """The backward direction's trace at a position is what it did at that position."""
    torch.manual_seed(0)
    ahead, back = (Leaky(LeakyConfig(hidden_size=4), 3).double() for _ in range(2))
    x = rows(2, 5)
    _, _, trace = Bidirectional(ahead, back).trace(x)
    assert set(trace) == {"forward.keep", "backward.keep"}
    torch.testing.assert_close(trace["backward.keep"], torch.sigmoid(back.read(x)), **CLOSE)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: Stack([m])])
def test_bidirectional_refuses_to_step(wrap):
    """Stepping a model that reads the future raises an error that says what to do, alone and inside a stack."""
    model = wrap(Bidirectional(LSTMLayer(3, 4), LSTMLayer(3, 4)))
    assert not model.causal
    with pytest.raises(NotCausalError, match="bidirectional=False"):
        model.step(torch.zeros(1, 3, dtype=torch.float64), model.initial_state(1))


def test_wrong_parts_are_named():
    """Layers that do not fit, none at all, a model without methods and a wrong return are each named."""
    with pytest.raises(PluginError, match="at least one layer"):
        Stack([])
    with pytest.raises(PluginError, match="gives 4 values feeds one that takes 5"):
        Stack([LSTMLayer(3, 4), LSTMLayer(5, 4)])
    with pytest.raises(PluginError, match="take 3 and 5"):
        Bidirectional(LSTMLayer(3, 4), LSTMLayer(5, 4))
    with pytest.raises(PluginError, match="Linear, expected a RecurrentModel"):
        build_model(lambda config, size: nn.Linear(size, 2), ModelConfig(), 3)
    with pytest.raises(PluginError, match="must define initial_state"):
        RecurrentModel(3, 4).initial_state(1)

    class Empty(RecurrentModel):
        def initial_state(self, batch_size: int) -> State:
            return {}

    class EmptyCell(Cell):
        initial_state = Empty.initial_state

    with pytest.raises(PluginError, match="Empty must define forward or step"):
        Empty(3, 4)(torch.zeros(1, 2, 3))
    with pytest.raises(PluginError, match="EmptyCell must define step or trace_step"):
        EmptyCell(3, 4)(torch.zeros(1, 2, 3))


def test_the_namespace_is_lazy():
    """Importing seqdemo.plugin and announcing a model loads neither torch nor pydantic; every public name resolves."""
    code = (
        "import sys, seqdemo.plugin as p; p.ModelRecord('a', 'b:c', 'd:e'); p.hookimpl; "
        "print([m for m in ('torch', 'pydantic', 'gradio') if m in sys.modules]); p.Config; "
        "print([m for m in ('torch', 'gradio') if m in sys.modules]); "
        "print([n for n in p.__all__ if getattr(p, n, None) is None], set(dir(p)) == set(p.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]", "[] True"]
    import seqdemo.plugin

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = seqdemo.plugin.Nothing
