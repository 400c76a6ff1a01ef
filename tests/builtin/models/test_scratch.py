"""The models written from their equations against torch's own layers, in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqdemo.builtin.models.config import ScratchGRUConfig, ScratchLSTMConfig, ScratchRNNConfig
from seqdemo.builtin.models.exchange import gate_weights, load_torch, save_torch
from seqdemo.builtin.models.scratch import ScratchGRU, ScratchLSTM, ScratchRNN
from seqdemo.errors import ConfigError
from seqdemo.plugin import build_model
from seqdemo.plugin import state as verbs

EXACT = {"rtol": 0.0, "atol": 1e-10}
INPUT, HIDDEN = 3, 4
KINDS = {
    "rnn": (ScratchRNN, ScratchRNNConfig, nn.RNN, nn.RNNCell, {"nonlinearity": "tanh"}),
    "rnn-relu": (ScratchRNN, ScratchRNNConfig, nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}),
    "lstm": (ScratchLSTM, ScratchLSTMConfig, nn.LSTM, nn.LSTMCell, {}),
    "gru": (ScratchGRU, ScratchGRUConfig, nn.GRU, nn.GRUCell, {}),
}


def pair(kind: str, layers: int = 1, both: bool = False, bias: bool = True, seed: int = 0):
    """A scratch model and a torch layer with the same weights, float64."""
    cell, config, torch_layer, _, extra = KINDS[kind]
    torch.manual_seed(seed)
    options = {"num_layers": layers, "bidirectional": both, "bias": bias, **extra}
    model = build_model(cell, config(hidden_size=HIDDEN, **options), INPUT).double()
    layer = torch_layer(INPUT, HIDDEN, batch_first=True, dtype=torch.float64, **options)
    load_torch(model, layer)
    return model, layer


def entries(kind: str) -> tuple[str, ...]:
    return ("h", "c") if kind == "lstm" else ("h",)


def places(layers: int, both: bool) -> list[str]:
    return [f"layer{k}.{d}" for k in range(layers) for d in (("forward.", "backward.") if both else ("",))]


def grad(tensor: Tensor) -> Tensor:
    """Its gradient; zeros where nothing was read."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def torch_alone(layer: nn.RNNBase, x: Tensor, hidden: list[Tensor], lengths: list[int]):
    """Torch's layer on each row alone, at its own length: ``y`` padded with zeros, and the final entries."""
    outputs, last = [], []
    for row, length in enumerate(lengths):
        before = [h[:, row : row + 1] for h in hidden]
        padding = x.new_zeros(x.shape[1] - length, layer.hidden_size * (2 if layer.bidirectional else 1))
        if length == 0:
            outputs.append(padding)
            last.append(before)
            continue
        y, after = layer(x[row : row + 1, :length], tuple(before) if len(before) > 1 else before[0])
        outputs.append(torch.cat([y[0], padding]))
        last.append(list(after) if len(before) > 1 else [after])
    return torch.stack(outputs), [torch.cat([rows[k] for rows in last], 1) for k in range(len(hidden))]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    layers=st.integers(1, 3),
    both=st.booleans(),
    bias=st.booleans(),
    lengths=st.one_of(st.none(), st.lists(st.integers(0, 5), min_size=1, max_size=4)),
    spare=st.integers(0, 2),
    seed=st.integers(0, 2**31),
)
def test_scratch_equals_torch_in_outputs_states_and_all_gradients(kind, layers, both, bias, lengths, spare, seed):
    """Outputs, final states and the gradient of every input, initial state and parameter are torch's to 1e-10."""
    model, layer = pair(kind, layers, both, bias, seed)
    rows = len(lengths) if lengths else 2
    time = max(max(lengths, default=0) + spare, 1) if lengths else 4
    own = lengths if lengths else [time] * rows
    x = torch.randn(rows, time, INPUT, dtype=torch.float64)
    hidden = [torch.randn(layers * (1 + both), rows, HIDDEN, dtype=torch.float64) for _ in entries(kind)]

    theirs_x = x.clone().requires_grad_()
    theirs_hidden = [h.clone().requires_grad_() for h in hidden]
    theirs_y, theirs_last = torch_alone(layer, theirs_x, theirs_hidden, own)

    inside = torch.arange(time).unsqueeze(0) < torch.tensor(own).unsqueeze(1)
    mine_x = torch.where(inside.unsqueeze(2), x, torch.nan).requires_grad_()
    mine_hidden = [h.clone().requires_grad_() for h in hidden]
    state = {
        place + entry: mine_hidden[k][at]
        for at, place in enumerate(places(layers, both))
        for k, entry in enumerate(entries(kind))
    }
    y, after = model(mine_x, state, torch.tensor(lengths) if lengths else None)
    last = [torch.stack([after[place + entry] for place in places(layers, both)]) for entry in entries(kind)]

    torch.testing.assert_close(y, theirs_y, **EXACT)
    torch.testing.assert_close(last, theirs_last, **EXACT)

    weights = [torch.randn_like(y), *(torch.randn_like(h) for h in last)]
    for found in ([theirs_y, *theirs_last], [y, *last]):
        sum((value * weight).sum() for value, weight in zip(found, weights, strict=True)).backward()
    torch.testing.assert_close(grad(mine_x), torch.where(inside.unsqueeze(2), grad(theirs_x), 0.0), **EXACT)
    for mine, theirs in zip(mine_hidden, theirs_hidden, strict=True):
        torch.testing.assert_close(grad(mine), grad(theirs), **EXACT)
    wanted = gate_weights(model, {name: grad(weight) for name, weight in layer.named_parameters()})
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grad(parameter), wanted[name], **EXACT)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("bias", [True, False])
def test_scratch_cell_loads_torch_cell(kind, bias):
    """One scratch cell with the weights of a torch cell steps exactly as it does."""
    cell, config, _, torch_cell, extra = KINDS[kind]
    mine = cell(config(hidden_size=HIDDEN, bias=bias, **extra), INPUT).double()
    theirs = torch_cell(INPUT, HIDDEN, bias=bias, dtype=torch.float64, **extra)
    load_torch(mine, theirs)
    x, *before = torch.randn(5, INPUT), *(torch.randn(5, HIDDEN) for _ in entries(kind))
    x, before = x.double(), [h.double() for h in before]
    y, after = mine.step(x, dict(zip(entries(kind), before, strict=True)))
    want = theirs(x, tuple(before) if len(before) > 1 else before[0])
    want = want if isinstance(want, tuple) else (want,)
    torch.testing.assert_close(y, want[0], **EXACT)
    for entry, value in zip(entries(kind), want, strict=True):
        torch.testing.assert_close(after[entry], value, **EXACT)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("both", [True, False])
def test_scratch_weights_go_back_into_torch(kind, both):
    """Saving a scratch model into a torch layer gives the layer the scratch model's outputs."""
    model, layer = pair(kind, 2, both)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_torch(model, layer)
    x = torch.randn(2, 5, INPUT, dtype=torch.float64)
    torch.testing.assert_close(model(x)[0], layer(x)[0], **EXACT)


def test_scratch_and_fused_continue_from_each_others_states(make):
    """A sequence begun by the fused LSTM and ended by the scratch one, or the reverse, is read as by either alone."""
    for both in (False, True):
        fused = make("lstm", bidirectional=both)
        scratch = make("scratch-lstm", bidirectional=both)
        load_torch(scratch, fused.layers)
        assert verbs.layout(fused.initial_state(1)) == verbs.layout(scratch.initial_state(1))
        assert list(fused.initial_state(1)) == list(scratch.initial_state(1))
        x = torch.randn(2, 3, 3, dtype=torch.float64)
        _, state = fused(x)
        for first, second in ((fused, scratch), (scratch, fused)):
            y, after = second(x, first(x)[1])
            want, want_after = first(x, state)
            torch.testing.assert_close(y, want, **EXACT)
            assert verbs.max_difference(after, want_after) < 1e-10


@pytest.mark.parametrize(
    ("kind", "names"),
    [("rnn", "a h"), ("lstm", "i f g o c h"), ("gru", "r z n h")],
)
@pytest.mark.parametrize("both", [True, False])
def test_scratch_trace_names_every_gate(kind, names, both):
    """The trace holds every gate of every layer and direction, and what it says of the outputs is so."""
    model, _ = pair(kind, 2, both)
    x = torch.randn(2, 5, INPUT, dtype=torch.float64)
    y, after, trace = model.trace(x)
    assert set(trace) == {place + name for place in places(2, both) for name in names.split()}
    assert all(tensor.shape == (2, 5, HIDDEN) for tensor in trace.values())
    want, want_after = model(x)
    torch.testing.assert_close(y, want, **EXACT)
    assert verbs.max_difference(after, want_after) < 1e-10
    top = [trace[place + "h"] for place in places(2, both)[-1 - both :]]
    torch.testing.assert_close(torch.cat(top, 2), y, **EXACT)


def test_scratch_lstm_trace_obeys_its_equations():
    """The traced gates, put into the published equations by hand, give the traced memory and hidden state."""
    model, _ = pair("lstm")
    x = torch.randn(2, 6, INPUT, dtype=torch.float64)
    _, _, t = model.trace(x)
    c = torch.zeros(2, HIDDEN, dtype=torch.float64)
    for step in range(6):
        c = t["layer0.f"][:, step] * c + t["layer0.i"][:, step] * t["layer0.g"][:, step]
        torch.testing.assert_close(t["layer0.c"][:, step], c, **EXACT)
        torch.testing.assert_close(t["layer0.h"][:, step], t["layer0.o"][:, step] * torch.tanh(c), **EXACT)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_scratch_starts_where_torch_starts(kind):
    """Fresh parameters are uniform within ±1/sqrt(H), as torch draws them."""
    cell, config, *_, extra = KINDS[kind]
    model = build_model(cell, config(hidden_size=64, **extra), 10)
    values = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    assert values.abs().max() <= 64**-0.5
    assert abs(values.std().item() - 64**-0.5 / 3**0.5) < 0.003


def test_scratch_load_refuses_what_does_not_fit():
    """Another kind, nonlinearity, width, depth, direction, bias or a projection is named, and nothing is changed."""
    model, _ = pair("lstm", 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrong = {
        "GRU": nn.GRU(INPUT, HIDDEN, 2),
        "forward|layers": nn.LSTM(INPUT, HIDDEN, 2, bidirectional=True),
        "is \\(4, 3\\)": nn.LSTM(INPUT + 1, HIDDEN, 2),
        "weight_ih_l1": nn.LSTM(INPUT, HIDDEN, 1),
        "weight_ih_l2": nn.LSTM(INPUT, HIDDEN, 3),
        "bias_ih_l0": nn.LSTM(INPUT, HIDDEN, 2, bias=False),
        "weight_h": nn.LSTM(INPUT, HIDDEN, 2, proj_size=2),
    }
    wrong["weight_ih_l0_reverse"] = wrong.pop("forward|layers")
    for words, layer in wrong.items():
        with pytest.raises(ConfigError, match=words):
            load_torch(model, layer)
    with pytest.raises(ConfigError, match="RNN_RELU"):
        load_torch(pair("rnn")[0], nn.RNN(INPUT, HIDDEN, nonlinearity="relu"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
