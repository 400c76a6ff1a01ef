"""The built-in models on a CUDA device, against themselves in float64 on the CPU."""

from __future__ import annotations

import warnings

import pytest
import torch

from seqdemo.plugin import state as verbs

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

PRECISIONS = [(torch.float64, 1e-9), (torch.float32, 1e-3), (torch.bfloat16, 0.1)]


def both_ways(make, random_state, name, dtype, **config):
    """The model on the CPU in float64 and on CUDA in ``dtype``, with a sequence and a state for each."""
    model, other = make(name, **config), make(name, **config).to("cuda", dtype)
    x, state = torch.randn(3, 6, 3, dtype=torch.float64), random_state(model, 3)
    there = {entry: tensor.to("cuda", dtype) for entry, tensor in state.items()}
    return model, x, state, other, x.to("cuda", dtype), there


@pytest.mark.parametrize(("dtype", "near"), PRECISIONS)
@pytest.mark.parametrize("both", [False, True])
def test_forward_agrees_with_the_cpu(name, make, random_state, dtype, near, both):
    """Outputs and states of any lengths, whichever device those are on, are the CPU's; padding may be NaN."""
    for lengths in (None, [6, 6, 6], [6, 0, 3], [0, 0, 0]):
        model, x, state, other, there_x, there = both_ways(make, random_state, name, dtype, bidirectional=both)
        counts = None if lengths is None else torch.tensor(lengths)
        for row, length in enumerate(lengths or []):
            there_x[row, length:] = torch.nan
        want, want_after = model(x, state, counts)
        for where in ("cpu", "cuda"):
            y, after = other(there_x, there, None if counts is None else counts.to(where))
            assert y.device.type == "cuda"
            assert y.dtype == dtype
            torch.testing.assert_close(y.cpu().double(), want, rtol=0, atol=near)
            assert verbs.layout(after) == verbs.layout(there)
            assert verbs.max_difference({k: v.cpu().double() for k, v in after.items()}, want_after) < near


@pytest.mark.parametrize(("dtype", "near"), PRECISIONS)
def test_step_agrees_with_forward(name, make, random_state, dtype, near):
    """Stepping on CUDA gives what reading the whole gives there and on the CPU, and trace does too."""
    model, x, state, other, there_x, there = both_ways(make, random_state, name, dtype)
    want, _ = model(x, state)
    whole, after = other(there_x, there)
    traced, traced_after, _ = other.trace(there_x, there)
    outputs = []
    for t in range(6):
        y, there = other.step(there_x[:, t], there)
        outputs.append(y)
    for found in (torch.stack(outputs, 1), whole, traced):
        torch.testing.assert_close(found.cpu().double(), want, rtol=0, atol=near)
    assert verbs.max_difference(there, after) < near
    assert verbs.max_difference(traced_after, after) < near


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_gradients_agree_with_the_cpu(name, make, random_state, both, training):
    """Gradients of a ragged batch with an empty row are the CPU's, in evaluation too, and none is NaN."""
    model, x, state, other, there_x, there = both_ways(make, random_state, name, torch.float64, bidirectional=both)
    lengths = torch.tensor([6, 0, 3])
    for row, length in enumerate(lengths.tolist()):
        there_x[row, length:] = torch.nan
    for one, inputs, before in ((model, x, state), (other, there_x, there)):
        y, after = one.train(training)(inputs, before, lengths)
        (y.pow(2).sum() + sum(tensor.sum() for tensor in after.values())).backward()
    wanted = dict(model.named_parameters())
    for entry, parameter in other.named_parameters():
        torch.testing.assert_close(parameter.grad.cpu(), wanted[entry].grad, rtol=0, atol=1e-8)


@pytest.mark.parametrize("lengths", [None, [6, 0, 3]])
def test_autocast_keeps_the_states_precision(name, make, lengths):
    """Under bf16 autocast on CUDA a float32 model trains, and its state stays float32 from window to window."""
    model = make(name, dtype=torch.float32).to("cuda").train()
    state = model.initial_state(3)
    layout = verbs.layout(state)
    counts = None if lengths is None else torch.tensor(lengths)
    for _ in range(2):
        with torch.autocast("cuda", torch.bfloat16):
            y, state = model(torch.randn(3, 6, 3, device="cuda"), verbs.detach(state), counts)
            stepped, one = model.step(torch.randn(3, 3, device="cuda"), state)
        assert verbs.layout(state) == verbs.layout(one) == layout
        (y.float().sum() + stepped.float().sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("lengths", [None, [6, 0, 3]])
def test_weight_dropout_trains_without_warnings(name, make, lengths):
    """Dropped weights give finite gradients in every pass, and cuDNN's remark on their layout is not shown."""
    model = make(name, dtype=torch.float32, weight_dropout=0.5).to("cuda").train()
    counts = None if lengths is None else torch.tensor(lengths)
    with warnings.catch_warnings(record=True) as caught:
        for _ in range(2):
            y, _ = model(torch.randn(3, 6, 3, device="cuda"), None, counts)
            y.pow(2).sum().backward()
    assert not [str(warning.message) for warning in caught if "contiguous chunk" in str(warning.message)]
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert model.layers.weight_hh_l0.grad.abs().sum() > 0
