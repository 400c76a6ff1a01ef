"""LRU against the paper's equations in complex numbers, and what its parametrization promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from seqdemo_modern.config_ssm import LRUConfig
from seqdemo_modern.lru import LRUBranch
from torch.nn import functional as F

from seqdemo.plugin import state as verbs


@pytest.fixture
def branch() -> LRUBranch:
    """A branch of width 6 that remembers 10 complex numbers."""
    torch.manual_seed(3)
    return LRUBranch(LRUConfig(hidden_size=6, state_size=10)).double()


def unit(branch: LRUBranch, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Orvieto et al. 2023: ``h_k = λ h_{k-1} + γ (B x_k)``, ``y_k = Re(C h_k) + D x_k``, for one row ``(T, H)``."""
    weights = {name: value.detach().numpy() for name, value in branch.named_parameters()}
    eigenvalues = np.exp(-np.exp(weights["log_decay"]) + 1j * np.exp(weights["log_phase"]))
    real, imaginary = np.split(weights["inputs.weight"], 2)
    b = real + 1j * imaginary
    c_real, c_imaginary = np.split(weights["outputs.weight"], 2, axis=1)
    c = c_real - 1j * c_imaginary  # Re((p - iq)(u + iv)) = pu + qv
    outputs = []
    for value in x:
        h = eigenvalues * h + np.exp(weights["log_scale"]) * (b @ value)
        outputs.append((c @ h).real + weights["skip"] * value)
    return np.stack(outputs)


def test_follows_the_equations(branch):
    """From any state the whole-sequence form gives what the equations give, then GeLU and the gated linear unit."""
    x = torch.randn(2, 13, 6, dtype=torch.float64)
    state = {name: torch.randn(2, 10, dtype=torch.float64) for name in ("re", "im")}
    y, _ = branch(x, state)
    for b in range(2):
        start = state["re"][b].numpy() + 1j * state["im"][b].numpy()
        mixed = branch.mix(F.gelu(torch.from_numpy(unit(branch, x[b].numpy(), start))))
        torch.testing.assert_close(y[b], F.glu(mixed), rtol=0, atol=1e-10)


def test_starts_on_the_ring_with_normalized_inputs():
    """Eigenvalues start between the two radii and under the largest phase; ``γ² = 1 - |λ|²`` (equation 7)."""
    branch = LRUBranch(LRUConfig(hidden_size=400, min_radius=0.5, max_radius=0.9, max_phase=1.0))
    eigenvalues = branch._eigenvalues().detach()
    radius = eigenvalues.abs()
    assert 0.5 <= radius.min() < 0.52
    assert 0.88 < radius.max() <= 0.9
    assert eigenvalues.angle().min() > 0.0
    assert eigenvalues.angle().max() <= 1.0
    torch.testing.assert_close(torch.exp(branch.log_scale) ** 2, 1 - radius**2, rtol=1e-4, atol=1e-5)


def test_stays_stable_whatever_is_learned(branch):
    """No value of the decay's parameter lets the state grow by itself."""
    with torch.no_grad():
        branch.log_decay.copy_(torch.linspace(-8.0, 8.0, 10))
    state = {"re": torch.ones(1, 10, dtype=torch.float64), "im": torch.zeros(1, 10, dtype=torch.float64)}
    _, after = branch(torch.zeros(1, 1000, 6, dtype=torch.float64), state)
    assert (after["re"] ** 2 + after["im"] ** 2 <= 1).all()


def test_half_precision_computes_in_single():
    """A bfloat16 unit keeps a bfloat16 state and lies near the float64 one."""
    torch.manual_seed(0)
    branch = LRUBranch(LRUConfig(hidden_size=8)).double()
    x = torch.randn(2, 20, 8, dtype=torch.float64)
    want, _ = branch(x)
    half = branch.to(torch.bfloat16)
    y, after = half(x.to(torch.bfloat16))
    assert verbs.layout(after) == verbs.layout(half.initial_state(2))
    torch.testing.assert_close(y.double(), want, rtol=0, atol=0.1)


def test_a_ring_needs_two_radii():
    """The smallest radius must be below the largest."""
    with pytest.raises(ValidationError, match="min_radius must be below max_radius"):
        LRUConfig(min_radius=0.9, max_radius=0.9)
