"""SRU against the paper's equations, in plain numpy and double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seqdemo_modern.config import SRUConfig
from seqdemo_modern.sru import SRU
from torch.func import functional_call


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def paper(cell, x, c, bias):
    """Equations 1 to 4, one position after another: every output and memory ``(B, T, H)``."""
    candidate, forget, show, *rest = (part.detach().numpy() for part in cell.project.weight.chunk(cell.parts))
    (v_f, v_r), (b_f, b_r) = cell.from_memory.detach().numpy(), cell.bias.detach().numpy()
    alpha = np.sqrt(1 + 2 * np.exp(bias))
    outputs, memory = [], []
    for t in range(x.shape[1]):
        f = sigmoid(x[:, t] @ forget.T + v_f * c + b_f)
        r = sigmoid(x[:, t] @ show.T + v_r * c + b_r)
        c = f * c + (1 - f) * (x[:, t] @ candidate.T)
        highway = x[:, t] @ rest[0].T if rest else x[:, t]
        outputs.append(r * c + (1 - r) * alpha * highway)
        memory.append(c)
    return np.stack(outputs, 1), np.stack(memory, 1)


@pytest.mark.parametrize("inputs", [3, 5])
@pytest.mark.parametrize("time", [1, 30])
def test_the_layer_is_the_papers(inputs, time):
    """Reading together and step by step give the paper's loop, with and without a projection of the highway."""
    torch.manual_seed(0)
    cell = SRU(SRUConfig(hidden_size=5, highway_bias=-1.0), inputs).double()
    with torch.no_grad():
        cell.bias[0].normal_()
    x, c = torch.randn(2, time, inputs, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    want, memory = map(torch.from_numpy, paper(cell, x.numpy(), c.numpy(), -1.0))
    y, after = cell(x, {"c": c})
    torch.testing.assert_close(y, want, rtol=0, atol=1e-12)
    torch.testing.assert_close(after["c"], memory[:, -1], rtol=0, atol=1e-12)
    stepped, _, trace = cell.trace(x, {"c": c})
    torch.testing.assert_close(stepped, want, rtol=0, atol=1e-12)
    torch.testing.assert_close(trace["c"], memory, rtol=0, atol=1e-12)


def test_one_step_by_hand():
    """f = r = σ(0) = 1/2, u = 3 * 2 = 6: c = 0.5 * 4 + 0.5 * 6 = 5, h = 0.5 * 5 + 0.5 * √3 * 2."""
    cell = SRU(SRUConfig(hidden_size=1), 1).double()
    with torch.no_grad():
        cell.project.weight.copy_(torch.tensor([[3.0], [0.0], [0.0]]))
        cell.from_memory.zero_()
    y, state, _ = cell.trace_step(torch.tensor([[2.0]]).double(), {"c": torch.tensor([[4.0]]).double()})
    assert state["c"].item() == 5.0
    assert y.item() == pytest.approx(2.5 + 3**0.5)


@pytest.mark.parametrize("inputs", [2, 3])
def test_the_gradient_is_the_derivative(inputs):
    """The gradient through the memory, written by hand, matches finite differences for everything it reaches."""
    torch.manual_seed(2)
    cell = SRU(SRUConfig(hidden_size=3), inputs).double()
    names = [name for name, _ in cell.named_parameters()]
    given = [torch.randn(2, 6, inputs, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)]
    given += [parameter.detach().clone() for parameter in cell.parameters()]

    def read(x, c, *weights):
        y, after = functional_call(cell, dict(zip(names, weights, strict=True)), (x, {"c": c}))
        return y, after["c"]

    assert torch.autograd.gradcheck(read, [tensor.requires_grad_() for tensor in given])
