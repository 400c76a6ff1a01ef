"""QRNN against the paper's equations, in plain numpy and double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seqdemo_modern.config import QRNNConfig
from seqdemo_modern.qrnn import QRNN
from torch.nn import functional as F


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def paper(cell, x, c, before):
    """Equations 1 and 4: torch's own convolution over the padded sequence, then fo-pooling position by position."""
    kernel = before.shape[1] + 1
    weight = cell.project.weight.unflatten(1, (kernel, -1)).transpose(1, 2)
    seen = torch.cat([before, x], 1).transpose(1, 2)
    z, f, o = F.conv1d(seen, weight, cell.project.bias).transpose(1, 2).detach().chunk(3, 2)
    z, f, o = np.tanh(z.numpy()), sigmoid(f.numpy()), sigmoid(o.numpy())
    outputs, memory = [], []
    for t in range(x.shape[1]):
        c = f[:, t] * c + (1 - f[:, t]) * z[:, t]
        memory.append(c)
        outputs.append(o[:, t] * c)
    return np.stack(outputs, 1), np.stack(memory, 1)


@pytest.mark.parametrize("kernel", [2, 4])
@pytest.mark.parametrize("time", [1, 3, 30])
def test_the_layer_is_the_papers(kernel, time):
    """Reading together and step by step give the paper's layer, also where the convolutions see further back than x."""
    torch.manual_seed(0)
    cell = QRNN(QRNNConfig(hidden_size=5, kernel_size=kernel), 3).double()
    x, c = torch.randn(2, time, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    before = torch.randn(2, kernel - 1, 3, dtype=torch.float64)
    want, memory = map(torch.from_numpy, paper(cell, x, c.numpy(), before))
    y, after = cell(x, {"c": c, "x": before})
    torch.testing.assert_close(y, want, rtol=0, atol=1e-12)
    torch.testing.assert_close(after["c"], memory[:, -1], rtol=0, atol=1e-12)
    assert torch.equal(after["x"], torch.cat([before, x], 1)[:, time:])
    stepped, end, _ = cell.trace(x, {"c": c, "x": before})
    torch.testing.assert_close(stepped, want, rtol=0, atol=1e-12)
    assert torch.equal(end["x"], after["x"])


def test_one_step_by_hand():
    """f = o = σ(0) = 1/2 and z = tanh(2 * 3 - 1 * 6) = 0: a memory of 4 becomes 2 and 1 of it is shown."""
    cell = QRNN(QRNNConfig(hidden_size=1), 1).double()
    with torch.no_grad():
        cell.project.weight.zero_()
        cell.project.weight[0] = torch.tensor([-1.0, 2.0])
        cell.project.bias.zero_()
    state = {"c": torch.tensor([[4.0]]).double(), "x": torch.tensor([[[6.0]]]).double()}
    y, after, _ = cell.trace_step(torch.tensor([[3.0]]).double(), state)
    assert (y.item(), after["c"].item(), after["x"].item()) == (1.0, 2.0, 3.0)


def test_rows_keep_the_last_inputs_of_their_own_length():
    """After rows of 5, 1 and 0 positions each remembers the two inputs before its own end, old ones included."""
    cell = QRNN(QRNNConfig(hidden_size=2, kernel_size=3), 1).double()
    x = torch.arange(10.0, 25.0, dtype=torch.float64).view(3, 5, 1)
    state = {"c": torch.zeros(3, 2).double(), "x": torch.tensor([[[1.0], [2.0]]] * 3).double()}
    _, after = cell(x, state, torch.tensor([5, 1, 0]))
    assert after["x"].squeeze(2).tolist() == [[13.0, 14.0], [2.0, 15.0], [1.0, 2.0]]
