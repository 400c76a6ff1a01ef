"""RG-LRU against the paper's equations in a loop, and against the family's class in transformers."""

from __future__ import annotations

import pytest
import torch
from seqdemo_modern.config_ssm import RGLRUConfig
from seqdemo_modern.rglru import RGLRU, RGLRUBranch
from torch.nn.functional import gelu


@pytest.fixture
def branch() -> RGLRUBranch:
    """A branch of width 12 with 4 heads, its parameters moved from where they start."""
    torch.manual_seed(3)
    branch = RGLRUBranch(RGLRUConfig(hidden_size=12, num_heads=4)).double()
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return branch


def loop(branch: RGLRUBranch, x: torch.Tensor, h: torch.Tensor, recent: torch.Tensor) -> torch.Tensor:
    """De et al. 2024, equations 1 to 4 inside the recurrent block of section 2.3, one row and position at a time."""
    weights, width, size = dict(branch.named_parameters()), 12, 3
    rows = []
    for b in range(len(x)):
        state, past, outputs = h[b], list(recent[b]), []
        for t in range(x.shape[1]):
            both = weights["inputs.weight"] @ x[b, t] + weights["inputs.bias"]
            past.append(both[width:])
            z = sum(weights["conv.weight"][:, j] * past[j - 4] for j in range(4)) + weights["conv.bias"]
            r, i = torch.empty(width), torch.empty(width)
            r, i = r.double(), i.double()
            for head in range(4):
                at = slice(head * size, (head + 1) * size)
                gates = torch.sigmoid(z[at] @ weights["gates.weight"][head] + weights["gates.bias"][head])
                r[at], i[at] = gates[:size], gates[size:]
            a = torch.sigmoid(-weights["decay"]) ** (8 * r)
            state = a * state + torch.sqrt(1 - a**2) * (i * z)
            y = gelu(both[:width], approximate="tanh") * state
            outputs.append(weights["output.weight"] @ y + weights["output.bias"])
        rows.append(torch.stack(outputs))
    return torch.stack(rows)


def test_follows_the_equations(branch):
    """From any state the whole-sequence form gives what the equations give, position by position."""
    x, h = torch.randn(2, 11, 12, dtype=torch.float64), torch.randn(2, 12, dtype=torch.float64)
    recent = torch.randn(2, 3, 12, dtype=torch.float64)
    y, _ = branch(x, {"h": h, "conv": recent})
    torch.testing.assert_close(y, loop(branch, x, h, recent), rtol=0, atol=1e-10)


def test_agrees_with_recurrentgemma(branch):
    """The block and its gates are those of transformers' RecurrentGemma, under the same weights.

    Theirs treats position 0 of a text apart, which the paper does not: positions count from 1 here.
    """
    gemma = pytest.importorskip(
        "transformers.models.recurrent_gemma.modeling_recurrent_gemma", reason="transformers is not installed"
    )
    config = gemma.RecurrentGemmaConfig(
        hidden_size=12, lru_width=12, num_attention_heads=4, conv1d_width=4, hidden_activation="gelu_pytorch_tanh"
    )
    theirs = gemma.RecurrentGemmaRecurrentBlock(config, 0).double()
    ours = branch.state_dict()
    theirs.load_state_dict(
        {
            "linear_y.weight": ours["inputs.weight"][:12],
            "linear_y.bias": ours["inputs.bias"][:12],
            "linear_x.weight": ours["inputs.weight"][12:],
            "linear_x.bias": ours["inputs.bias"][12:],
            "linear_out.weight": ours["output.weight"],
            "linear_out.bias": ours["output.bias"],
            "conv_1d.weight": ours["conv.weight"].unsqueeze(1),
            "conv_1d.bias": ours["conv.bias"],
            "rg_lru.recurrent_param": ours["decay"],
            "rg_lru.recurrent_gate_weight": ours["gates.weight"][..., :3],
            "rg_lru.recurrent_gate_bias": ours["gates.bias"][..., :3],
            "rg_lru.input_gate_weight": ours["gates.weight"][..., 3:],
            "rg_lru.input_gate_bias": ours["gates.bias"][..., 3:],
        }
    )
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    positions = torch.arange(1, 10).expand(2, -1)
    want, _ = theirs(x, positions, torch.ones(2, 9), use_cache=False)
    # Their recurrence is accumulated in float32 whatever the model's precision.
    torch.testing.assert_close(branch(x)[0], want, rtol=0, atol=1e-5)


def test_starts_with_slow_decay():
    """With its recurrence gate open, a new unit keeps between 0.9 and 0.999 (section 2.4)."""
    branch = RGLRUBranch(RGLRUConfig(hidden_size=256))
    kept = torch.sigmoid(-branch.decay) ** 8
    assert 0.9 <= kept.min() < 0.91
    assert 0.99 < kept.max() <= 0.999


def test_a_closed_gate_gives_finite_gradients():
    """Where nothing is forgotten the square root is at its edge, and gradients stay finite."""
    model = RGLRU(RGLRUConfig(hidden_size=8), 8)
    with torch.no_grad():
        model.blocks.layers[0].branch.gates.bias.fill_(-200.0)
    y, _ = model(torch.randn(1, 5, 8))
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
