"""minGRU against the paper's equations, in plain numpy and double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seqdemo_modern.config import MinGRUConfig
from seqdemo_modern.mingru import MinGRU, MinGRUCell
from torch.nn import functional as F

from seqdemo.plugin import state as verbs


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def paper(cell, x, h):
    """Section 3.1.3, one position after another: every hidden state ``(B, T, H)``."""
    gate, candidate = (part.detach().numpy() for part in cell.project.weight.chunk(2))
    gate_bias, candidate_bias = (part.detach().numpy() for part in cell.project.bias.chunk(2))
    hidden = []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ gate.T + gate_bias)
        h = (1 - z) * h + z * (x[:, t] @ candidate.T + candidate_bias)
        hidden.append(h)
    return np.stack(hidden, 1)


@pytest.mark.parametrize("time", [1, 2, 50])
def test_the_cell_is_the_papers(time):
    """Reading together and step by step give the paper's loop, from a state of either sign."""
    torch.manual_seed(0)
    cell = MinGRUCell(3, 5).double()
    x, h = torch.randn(2, time, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    want = torch.from_numpy(paper(cell, x.numpy(), h.numpy()))
    y, after = cell(x, {"h": h})
    torch.testing.assert_close(y, want, rtol=0, atol=1e-12)
    torch.testing.assert_close(after["h"], want[:, -1], rtol=0, atol=1e-12)
    stepped, _, trace = cell.trace(x, {"h": h})
    torch.testing.assert_close(stepped, want, rtol=0, atol=1e-12)
    assert torch.equal(trace["h"], stepped)


def test_one_step_by_hand():
    """z = σ(0) = 1/2 and v = 3 x + 1 = 7: a state of 1 becomes 0.5 * 1 + 0.5 * 7 = 4."""
    cell = MinGRUCell(1, 1).double()
    with torch.no_grad():
        cell.project.weight.copy_(torch.tensor([[0.0], [3.0]]))
        cell.project.bias.copy_(torch.tensor([0.0, 1.0]))
    y, state, trace = cell.trace_step(torch.tensor([[2.0]]).double(), {"h": torch.tensor([[1.0]]).double()})
    assert (y.item(), state["h"].item(), trace["z"].item(), trace["v"].item()) == (4.0, 4.0, 0.5, 7.0)


def test_the_model_is_a_residual_block_around_the_cell():
    """One layer is: norm, causal convolution, cell, projection, added; norm, gated MLP, added; a last norm."""
    torch.manual_seed(1)
    model = MinGRU(MinGRUConfig(hidden_size=4), 3).double()
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    block = model.blocks.layers[0]
    with torch.no_grad():
        stream = model.enter(x)
        normed = stream / (stream.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()
        padded = F.pad(normed, (0, 0, 3, 0))
        kernel = block.branch.conv.weight
        mixed = sum(padded[:, k : k + 9] * kernel[:, k] for k in range(4)) + block.branch.conv.bias
        hidden = torch.from_numpy(paper(block.branch.cell, mixed.numpy(), np.zeros((2, 6))))
        stream = stream + block.branch.down(hidden)
        want = F.rms_norm(stream + block.mlp[1](F.rms_norm(stream, (4,))), (4,))
        y, after = model(x)
    torch.testing.assert_close(y, want, rtol=0, atol=1e-12)
    torch.testing.assert_close(after["layer0.h"], hidden[:, -1], rtol=0, atol=1e-12)


def test_the_state_is_one_vector_and_the_last_inputs():
    """Bytes of state follow from the config alone: expansion · H and (conv_kernel - 1) · H numbers a layer."""
    state = MinGRU(MinGRUConfig(hidden_size=8, num_layers=2, expansion=2.0), 3).initial_state(1)
    assert verbs.layout(state) == {
        "layer0.h": ((16,), "float32"),
        "layer0.conv": ((3, 8), "float32"),
        "layer1.h": ((16,), "float32"),
        "layer1.conv": ((3, 8), "float32"),
    }
