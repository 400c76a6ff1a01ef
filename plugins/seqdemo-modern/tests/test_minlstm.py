"""minLSTM against the paper's equations, in plain numpy and double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seqdemo_modern.config import MinLSTMConfig
from seqdemo_modern.minlstm import MinLSTM, MinLSTMCell


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def paper(cell, x, h):
    """Section 3.2, one position after another: every hidden state ``(B, T, H)``."""
    weights = [part.detach().numpy() for part in cell.project.weight.chunk(3)]
    biases = [part.detach().numpy() for part in cell.project.bias.chunk(3)]
    hidden = []
    for t in range(x.shape[1]):
        f, i, v = (x[:, t] @ weight.T + bias for weight, bias in zip(weights, biases, strict=True))
        f, i = sigmoid(f), sigmoid(i)
        h = f / (f + i) * h + i / (f + i) * v
        hidden.append(h)
    return np.stack(hidden, 1)


@pytest.mark.parametrize("time", [1, 2, 50])
def test_the_cell_is_the_papers(time):
    """Reading together and step by step give the paper's loop, from a state of either sign."""
    torch.manual_seed(0)
    cell = MinLSTMCell(3, 5).double()
    x, h = torch.randn(2, time, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    want = torch.from_numpy(paper(cell, x.numpy(), h.numpy()))
    y, after = cell(x, {"h": h})
    torch.testing.assert_close(y, want, rtol=0, atol=1e-12)
    torch.testing.assert_close(after["h"], want[:, -1], rtol=0, atol=1e-12)
    torch.testing.assert_close(cell.trace(x, {"h": h})[0], want, rtol=0, atol=1e-12)


def test_one_step_by_hand():
    """σ(0) for both gates gives one half each, whatever their common scale: 0.5 * 1 + 0.5 * 7 = 4."""
    cell = MinLSTMCell(1, 1).double()
    with torch.no_grad():
        cell.project.weight.copy_(torch.tensor([[0.0], [0.0], [3.0]]))
        cell.project.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    y, state, trace = cell.trace_step(torch.tensor([[2.0]]).double(), {"h": torch.tensor([[1.0]]).double()})
    assert (y.item(), state["h"].item(), trace["f"].item(), trace["i"].item()) == (4.0, 4.0, 0.5, 0.5)


def test_gates_that_both_close_keep_their_proportion():
    """Where both gates underflow in single precision, their quotient is still the paper's: e² to 1 here."""
    cell = MinLSTMCell(1, 1)
    with torch.no_grad():
        cell.project.weight.zero_()
        cell.project.bias.copy_(torch.tensor([-198.0, -200.0, 0.0]))
    _, _, trace = cell.trace_step(torch.zeros(1, 1), {"h": torch.ones(1, 1)})
    assert trace["f"].item() == pytest.approx(1 / (1 + np.exp(-2.0)), rel=1e-5)


def test_the_model_holds_minlstm_cells():
    """The registered model is made of minLSTM cells as wide as the config says."""
    model = MinLSTM(MinLSTMConfig(hidden_size=8, num_layers=2, expansion=2.0), 3)
    cells = [block.branch.cell for block in model.blocks.layers]
    assert [type(cell) for cell in cells] == [MinLSTMCell, MinLSTMCell]
    assert {cell.output_size for cell in cells} == {16}
