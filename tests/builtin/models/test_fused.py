"""What only the models on torch's fused layers have: torch's weights, weight dropout, the forget bias."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from seqdemo.plugin import state as verbs

FUSED = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CLOSE = {"rtol": 0.0, "atol": 1e-10}
fused = pytest.mark.parametrize("fused", sorted(FUSED))


@fused
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_weights_load_from_and_into_torchs_own_layer(fused, make, both, bias):
    """The layer inside has torch's own names, and reads as torch's layer with its weights reads."""
    model = make(fused, bidirectional=both, bias=bias)
    theirs = FUSED[fused](3, 4, 2, bidirectional=both, bias=bias, batch_first=True, dtype=torch.float64)
    model.layers.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    y, after = model(x)
    want, last = theirs(x)
    torch.testing.assert_close(y, want, **CLOSE)
    hidden = [tensor for entry, tensor in after.items() if entry.endswith(".h")]
    torch.testing.assert_close(torch.stack(hidden), last[0] if fused == "lstm" else last, **CLOSE)
    theirs.load_state_dict(model.layers.state_dict())


@fused
def test_fresh_weights_are_torchs_own(fused, make):
    """With default options the same seed draws the weights that torch's layer would have."""
    model = make(fused)
    torch.manual_seed(11)
    theirs = FUSED[fused](3, 4, 2).double()
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in model.layers.state_dict().items())


def test_relu_reaches_every_path(make):
    """With nonlinearity relu the whole sequence, the step and the trace agree with torch's relu network."""
    model = make("rnn", nonlinearity="relu")
    theirs = nn.RNN(3, 4, 2, nonlinearity="relu", batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(model.layers.state_dict())
    x = torch.randn(2, 1, 3, dtype=torch.float64)
    want = theirs(x)[0]
    for y in (model(x)[0], model.step(x[:, 0], model.initial_state(2))[0].unsqueeze(1), model.trace(x)[0]):
        torch.testing.assert_close(y, want, **CLOSE)
    assert want.min() == 0


@fused
def test_step_does_not_enter_the_fused_layer(fused, make, monkeypatch):
    """A step never calls torch's whole-sequence layer, which would repack its weights each time."""
    model = make(fused)
    monkeypatch.setattr(model.layers, "forward", lambda *_: pytest.fail("the fused layer was called"))
    model.step(torch.zeros(1, 3, dtype=torch.float64), model.initial_state(1))


@fused
@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 0, 2])])
def test_weight_dropout_in_training_only(fused, make, lengths):
    """Weight dropout changes nothing in evaluation, changes every training pass, and a seed repeats the pass."""
    plain, model = make(fused), make(fused, weight_dropout=0.5)
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    want = plain(x, None, lengths)
    assert torch.equal(model(x, None, lengths)[0], want[0])
    model.train()
    torch.manual_seed(0)
    a, b = model(x, None, lengths), model(x, None, lengths)
    torch.manual_seed(0)
    again = model(x, None, lengths)
    assert not torch.equal(a[0], b[0])
    assert not torch.equal(a[0], want[0])
    assert torch.equal(a[0], again[0])
    assert verbs.equal(a[1], again[1])
    assert list(a[1]) == list(want[1])
    model.eval()
    assert torch.equal(model(x, None, lengths)[0], want[0])


@fused
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("lengths", [None, torch.tensor([2, 0, 5])])
def test_weight_dropout_is_one_mask_on_the_hidden_weights(fused, make, both, lengths):
    """A pass equals a pass of torch's layer whose hidden-to-hidden weights were dropped by the same seed."""
    model = make(fused, weight_dropout=0.5, bidirectional=both).train()
    by_hand = copy.deepcopy(model).eval()
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    torch.manual_seed(3)
    y, after = model(x, None, lengths)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in by_hand.layers.named_parameters():
            if "weight_hh" in name:
                dropped = nn.functional.dropout(weight, 0.5)
                assert 0 < dropped.eq(0).double().mean() < 1
                weight.copy_(dropped)
    want, want_after = by_hand(x, None, lengths)
    torch.testing.assert_close(y, want, **CLOSE)
    assert verbs.max_difference(after, want_after) < 1e-10


@fused
def test_weight_dropout_lets_gradients_through_to_the_raw_weights(fused, make):
    """Each kept hidden weight gets a gradient, each dropped one gets zero, and the weights themselves stay whole."""
    model = make(fused, num_layers=1, hidden_size=8, weight_dropout=0.5).train()
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    torch.manual_seed(5)
    mask = nn.functional.dropout(torch.ones_like(model.layers.weight_hh_l0), 0.5)
    torch.manual_seed(5)
    y, _ = model(x)
    y.pow(2).sum().backward()
    grad = model.layers.weight_hh_l0.grad
    assert torch.equal(grad.ne(0), mask.ne(0))
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@fused
def test_weight_dropout_reaches_step_and_trace(fused, make):
    """While training a step and a trace draw a mask of their own; in evaluation they use the whole weights."""
    model = make(fused, weight_dropout=0.5)
    x, state = torch.randn(2, 3, 3, dtype=torch.float64), {k: v + 1 for k, v in make(fused).initial_state(2).items()}
    assert torch.equal(model.step(x[:, 0], state)[0], model.step(x[:, 0], state)[0])
    model.train()
    assert not torch.equal(model.step(x[:, 0], state)[0], model.step(x[:, 0], state)[0])
    assert not torch.equal(model.trace(x, state)[0], model.trace(x, state)[0])


@pytest.mark.parametrize("name", ["lstm", "scratch-lstm"])
@pytest.mark.parametrize("both", [False, True])
def test_forget_bias_is_what_the_gate_starts_with(name, make, both):
    """With forget_bias b and nothing to read or remember, each forget gate is exactly sigmoid(b)."""
    model = make(name, forget_bias=1.5, bidirectional=both)
    _, _, trace = model.trace(torch.zeros(1, 1, 3, dtype=torch.float64))
    lowest = [tensor for entry, tensor in trace.items() if entry.startswith("layer0") and entry.endswith(".f")]
    assert len(lowest) == 1 + both
    for tensor in lowest:
        torch.testing.assert_close(tensor, torch.full_like(tensor, 1.5).sigmoid(), **CLOSE)
    torch.manual_seed(0)
    plain = make(name, bidirectional=both)
    changed = [n for n, value in model.state_dict().items() if not torch.equal(value, plain.state_dict()[n])]
    assert changed
    assert all("bias" in n for n in changed)


@fused
def test_tracing_leaves_the_model_and_the_random_numbers_alone(fused, make):
    """A trace adds no parameter to the model and draws no random number."""
    model = make(fused)
    keys, generator = list(model.state_dict()), torch.get_rng_state()
    model.trace(torch.zeros(1, 2, 3, dtype=torch.float64))
    assert list(model.state_dict()) == keys
    assert torch.equal(torch.get_rng_state(), generator)


@fused
def test_no_warnings(fused, make):
    """Building and running a model of any depth warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for layers in (1, 2):
            model = make(fused, num_layers=layers, dropout=0.3, weight_dropout=0.3).train()
            model(torch.zeros(2, 3, 3, dtype=torch.float64), None, torch.tensor([3, 1]))
            model.step(torch.zeros(2, 3, dtype=torch.float64), model.initial_state(2))


@fused
def test_one_precision_to_another(fused, make):
    """A model moved to another precision, copied or given new weights in place steps with its present weights."""
    model = make(fused, dtype=torch.float32)
    model.double()
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.mul_(0.5)
    x = torch.randn(2, 3, dtype=torch.float64)
    for one in (model, moved):
        y, _ = one.step(x, one.initial_state(2))
        torch.testing.assert_close(y, one(x.unsqueeze(1))[0][:, 0], **CLOSE)
    assert not torch.equal(model(x.unsqueeze(1))[0], moved(x.unsqueeze(1))[0])
