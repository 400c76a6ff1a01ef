"""sLSTM against the paper's equations without a stabilizer, and its written-out gradient against autograd's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from seqdemo_modern.config_xlstm import SLSTMConfig
from seqdemo_modern.slstm import SLSTM, SLSTMBranch
from seqdemo_modern.slstm_loop import slstm_loop

from seqdemo.plugin import State


@pytest.fixture
def branch() -> SLSTMBranch:
    """A branch of width 6 with 2 heads, its parameters moved from where they start."""
    torch.manual_seed(3)
    branch = SLSTMBranch(SLSTMConfig(hidden_size=6, num_heads=2)).double()
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return branch


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def loop(branch: SLSTMBranch, x: np.ndarray) -> np.ndarray:
    """Beck et al. 2024, equations 8 to 14 as they stand, without a stabilizer, for one row ``(T, H)``."""
    weights = {name: value.detach().numpy() for name, value in branch.named_parameters()}
    c, n, h, past, outputs = np.zeros(6), np.zeros(6), np.zeros(6), [np.zeros(6)] * 3, []
    for value in x:
        past.append(value)
        recent = sum(weights["conv.weight"][:, j] * past[j - 4] for j in range(4)) + weights["conv.bias"]
        recent = recent * sigmoid(recent)
        z, o = np.split(weights["values.weight"] @ value + weights["values.bias"], 2)
        i, f = np.split(weights["gates.weight"] @ recent + weights["gates.bias"], 2)
        mixed = np.stack([h[3 * k : 3 * k + 3] @ weights["recurrent"][k] for k in range(2)]).reshape(2, 4, 3)
        r_z, r_o, r_i, r_f = (mixed[:, gate].reshape(6) for gate in range(4))
        z, o, i, f = np.tanh(z + r_z), sigmoid(o + r_o), np.exp(i + r_i), sigmoid(f + r_f)
        c, n = f * c + i * z, f * n + i
        h = o * c / n
        heads = h.reshape(2, 3)
        normal = (heads - heads.mean(1, keepdims=True)) / np.sqrt(heads.var(1, keepdims=True) + 1e-5)
        outputs.append(normal.reshape(6) * weights["norm.weight"])
    return np.stack(outputs)


def test_follows_the_equations(branch):
    """From the start, the loop over a sequence gives what the plain equations give."""
    x = torch.randn(2, 12, 6, dtype=torch.float64)
    y, _ = branch(x)
    for b in range(2):
        np.testing.assert_allclose(y[b].detach().numpy(), loop(branch, x[b].numpy()), rtol=0, atol=1e-9)


def stepped(branch: SLSTMBranch, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
    """``forward`` by repeated ``step``, with autograd's own gradient."""
    outputs = []
    for t in range(x.shape[1]):
        y, state = branch.step(x[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("entries", [(), ("h", "c", "n", "m")])
def test_gradient_is_that_of_the_steps(branch, entries):
    """Gradients of outputs, and of final states, in weights, input and incoming state are autograd's through steps."""
    _, used = branch(torch.randn(3, 5, 6, dtype=torch.float64))
    found = []
    for read in (branch, lambda x, state: stepped(branch, x, state)):
        torch.manual_seed(1)
        x = torch.randn(3, 8, 6, dtype=torch.float64, requires_grad=True)
        state = {name: tensor.detach().clone().requires_grad_() for name, tensor in used.items()}
        y, after = read(x, state)
        loss = (y * torch.randn_like(y)).sum() + sum(
            (after[name] * torch.randn_like(after[name])).sum() for name in entries
        )
        found.append(torch.autograd.grad(loss, [x, *state.values(), *branch.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("level", [-1000.0, 1000.0])
def test_gates_of_any_size_are_finite(branch, level):
    """Input gates whose exponential overflows or vanishes leave the outputs as they are: only their ratios count."""
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    want, _ = branch(x)
    with torch.no_grad():
        branch.gates.bias[:6] += level
    y, after = branch(x)
    torch.testing.assert_close(y, want, rtol=0, atol=1e-8)
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in branch.parameters())
    assert all(entry.isfinite().all() for entry in after.values())


def test_normalizer_never_falls_below_one():
    """From the initial state on, the stabilized normalizer is at least 1 whatever is read."""
    torch.manual_seed(0)
    draw = lambda *shape: 5 * torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    zeros = torch.zeros(2, 3, 4, dtype=torch.float64)
    _, _, n, _ = slstm_loop(draw(50, 2, 3, 16), draw(2, 4, 16), zeros, zeros, zeros, zeros - 1e4)
    assert n.min() >= 1 - 1e-12


def test_heads_do_not_mix_in_the_recurrence(branch):
    """A change of one head's hidden state changes the next gates of that head alone."""
    state = {name: torch.randn_like(tensor) for name, tensor in branch.initial_state(1).items()}
    other = state | {"h": state["h"] + torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)}
    x = torch.randn(1, 6, dtype=torch.float64)
    one, two = (branch.trace_step(x, before)[2] for before in (state, other))
    for name in ("z", "i", "f", "o"):
        changed = (one[name] != two[name])[0]
        assert changed[:3].any()
        assert not changed[3:].any()


def test_width_that_four_does_not_divide():
    """Heads are lowered to a number that divides the width."""
    model = SLSTM(SLSTMConfig(hidden_size=7), 3)
    assert model(torch.randn(2, 4, 3))[0].shape == (2, 4, 7)
