"""Mamba against algorithm 2 in a loop, against transformers' mixer, and what its chunks save."""

from __future__ import annotations

import pytest
import torch
from seqdemo_modern import selective
from seqdemo_modern.config_ssm import MambaConfig
from seqdemo_modern.mamba import MambaBranch
from seqdemo_modern.selective import selective_scan
from torch.nn import functional as F


@pytest.fixture
def branch() -> MambaBranch:
    """A branch of width 6, 12 channels of 5 numbers each, its parameters moved from where they start."""
    torch.manual_seed(3)
    branch = MambaBranch(MambaConfig(hidden_size=6, state_size=5, step_rank=2)).double()
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return branch


def loop(branch: MambaBranch, x: torch.Tensor, h: torch.Tensor, recent: torch.Tensor) -> torch.Tensor:
    """Gu & Dao 2023, algorithm 2 inside the block of figure 3, for one row ``(T, H)``, one channel at a time."""
    weights = dict(branch.named_parameters())
    past, outputs, h = list(recent), [], h.clone()
    for value in x:
        both = weights["inputs.weight"] @ value
        past.append(both[:12])
        z = F.silu(sum(weights["conv.weight"][:, j] * past[j - 4] for j in range(4)) + weights["conv.bias"])
        parts = weights["select.weight"] @ z
        write, read = parts[2:7], parts[7:]
        delta = torch.log1p(torch.exp(weights["steps.weight"] @ parts[:2] + weights["steps.bias"]))
        y = torch.empty_like(z)
        for d in range(12):
            a = -torch.exp(weights["log_decay"][:, d])
            h[d] = torch.exp(delta[d] * a) * h[d] + delta[d] * write * z[d]
            y[d] = read @ h[d] + weights["skip"][d] * z[d]
        outputs.append(weights["output.weight"] @ (y * F.silu(both[12:])))
    return torch.stack(outputs)


@torch.no_grad()
def test_follows_the_algorithm(branch):
    """From any state the whole-sequence form gives what the algorithm gives, position by position."""
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    h, recent = torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 3, 12, dtype=torch.float64)
    y, _ = branch(x, {"h": h, "conv": recent})
    for b in range(2):
        torch.testing.assert_close(y[b], loop(branch, x[b], h[b].T, recent[b]), rtol=0, atol=1e-10)


@torch.no_grad()
def test_agrees_with_transformers(branch):
    """Under the same weights the block is transformers' MambaMixer."""
    theirs = pytest.importorskip("transformers.models.mamba.modeling_mamba", reason="transformers is not installed")
    config = theirs.MambaConfig(
        hidden_size=6, state_size=5, time_step_rank=2, expand=2, conv_kernel=4, num_hidden_layers=1, use_bias=False
    )
    mixer = theirs.MambaMixer(config, 0).double().eval()
    ours = branch.state_dict()
    mixer.load_state_dict(
        {
            "in_proj.weight": ours["inputs.weight"],
            "conv1d.weight": ours["conv.weight"].unsqueeze(1),
            "conv1d.bias": ours["conv.bias"],
            "x_proj.weight": ours["select.weight"],
            "dt_proj.weight": ours["steps.weight"],
            "dt_proj.bias": ours["steps.bias"],
            "A_log": ours["log_decay"].T,
            "D": ours["skip"],
            "out_proj.weight": ours["output.weight"],
        }
    )
    x = torch.randn(2, 17, 6, dtype=torch.float64)
    # Parts of theirs are computed in float32 whatever the model's precision.
    torch.testing.assert_close(branch(x)[0], mixer(x), rtol=0, atol=1e-5)


def inputs(rows: int, time: int, features: int, size: int) -> list[torch.Tensor]:
    """Arguments of ``selective_scan``, all of which want a gradient."""
    torch.manual_seed(0)
    options = {"dtype": torch.float64}
    made = [
        torch.randn(rows, time, features, **options),
        torch.rand(rows, time, features, **options),
        -torch.rand(size, features, **options),
        torch.randn(rows, time, size, **options),
        torch.randn(rows, time, size, **options),
        torch.randn(rows, size, features, **options),
    ]
    return [tensor.requires_grad_() for tensor in made]


@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_chunks_of_any_size_agree(monkeypatch, at_once):
    """Outputs, state and every gradient are the same however many positions are held at a time."""
    args = inputs(2, 11, 3, 4)
    x, delta, decay, write, read, h = args
    outputs = []
    for t in range(11):
        h = torch.exp(delta[:, t, None] * decay) * h + (delta * x)[:, t, None] * write[:, t, :, None]
        outputs.append((h * read[:, t, :, None]).sum(1))
    want = torch.stack(outputs, 1)
    wanted = torch.autograd.grad(want.pow(2).sum() + h.pow(2).sum(), args)
    monkeypatch.setattr(selective, "_AT_ONCE", at_once)
    y, last = selective_scan(*args)
    torch.testing.assert_close(y, want, rtol=0, atol=1e-10)
    torch.testing.assert_close(last, h, rtol=0, atol=1e-10)
    for got, expected in zip(torch.autograd.grad(y.pow(2).sum() + last.pow(2).sum(), args), wanted, strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)


def test_training_keeps_less_than_the_states(monkeypatch):
    """What is kept for the backward pass is a fraction of all positions' states."""
    rows, time, features, size = 2, 256, 8, 16
    args = inputs(rows, time, features, size)
    monkeypatch.setattr(selective, "_AT_ONCE", rows * features * size * 32)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y, _ = selective_scan(*args)
    assert y.shape == (rows, time, features)
    assert sum(kept.values()) < 0.5 * rows * time * features * size * 8


def test_steps_start_between_a_thousandth_and_a_tenth():
    """For an input that says nothing, step sizes start log-uniform in [0.001, 0.1] and ``A`` at -1 to -N."""
    branch = MambaBranch(MambaConfig(hidden_size=64, state_size=4))
    steps = F.softplus(branch.steps.bias)
    assert 0.001 <= steps.min() < 0.0015
    assert 0.07 < steps.max() <= 0.1001
    torch.testing.assert_close(-torch.exp(branch.log_decay[:, 7]), torch.tensor([-1.0, -2.0, -3.0, -4.0]))
