"""The scan against a plain loop in double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqdemo_modern import scan
from seqdemo_modern.scan import gated_scan, linear_scan
from torch import Tensor


def loop(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """The definition, with torch's own gradients."""
    h, hs = initial, [b[:, :0]]
    a = a.expand_as(b)
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        hs.append(h.unsqueeze(1))
    return torch.cat(hs, 1)


def case(rows: int, time: int, features: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, ...]:
    """Factors, terms and an initial state, all of which want gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(rows, time, *features), (rows, time, *features), (rows, *features)]
    return tuple(torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 3),
    time=st.integers(0, 40),
    features=st.sampled_from([(), (1,), (3,), (2, 2), (0,)]),
    dtype=st.sampled_from([torch.float64, torch.complex128]),
    wide=st.sampled_from([1, 8, 16_384]),
)
def test_equals_the_loop_with_its_gradients(rows, time, features, dtype, wide):
    """Values and all three gradients are those of the definition, whatever the shape and however time is cut."""
    inputs = case(rows, time, features, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_WIDE", wide)
        got, want = linear_scan(*inputs), loop(*inputs)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
        above = torch.randn(got.shape, dtype=dtype)
        expected = torch.autograd.grad(want, inputs, above, materialize_grads=True)
        for mine, theirs in zip(torch.autograd.grad(got, inputs, above), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_match_finite_differences(dtype):
    """The backward written by hand is the derivative, also with one factor for several features."""
    a, b, initial = case(2, 7, (3,), dtype)
    assert torch.autograd.gradcheck(linear_scan, (a, b, initial))
    assert torch.autograd.gradcheck(linear_scan, (a[:, :, :1], b, initial))


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(0, 3), time=st.integers(0, 30), wide=st.sampled_from([1, 8, 16_384]))
def test_gated_equals_the_loop_with_its_gradients(rows, time, wide):
    """Where what is not kept is new, values and gradients are those of the definition with ``b = (1 - a) ⊙ v``."""
    inputs = keep, value, initial = case(rows, time, (3,), torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_WIDE", wide)
        got, want = gated_scan(*inputs), loop(keep, (1 - keep) * value, initial)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
        above = torch.randn(got.shape, dtype=torch.float64)
        expected = torch.autograd.grad(want, inputs, above, materialize_grads=True)
        for mine, theirs in zip(torch.autograd.grad(got, inputs, above), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_small_case_by_hand():
    """Two positions worked out on paper: 0.5 * 2 + 1 = 2, then 0 * 2 - 3 = -3."""
    h = linear_scan(torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, -3.0]]), torch.tensor([2.0]))
    assert h.tolist() == [[2.0, -3.0]]


@pytest.mark.parametrize("factor", [0.0, 1e-30, 0.5, 1.0])
def test_single_precision_keeps_up_over_a_long_sequence(factor):
    """Factors anywhere in [0, 1], zero included, stay finite and near the double-precision loop over 4,096 steps."""
    a = torch.rand(1, 4096, 8, generator=torch.Generator().manual_seed(1)) ** 0.1
    a[:, ::7] = factor
    b = 0.01 * torch.randn(1, 4096, 8, generator=torch.Generator().manual_seed(2))
    want = loop(a.double(), b.double(), torch.ones(1, 8, dtype=torch.float64))
    torch.testing.assert_close(linear_scan(a, b, torch.ones(1, 8)).double(), want, rtol=1e-5, atol=1e-5)


def test_no_gradient_where_none_is_wanted():
    """Constant factors, as in a diagonal recurrence that is not learned, get no gradient and cost none."""
    a, b, initial = case(2, 5, (3,), torch.float64)
    linear_scan(a.detach(), b, initial).sum().backward()
    assert a.grad is None
    assert b.grad.isfinite().all()


def test_inputs_are_not_modified():
    """Nothing handed in changes."""
    inputs = case(2, 30, (3,), torch.float64)
    before = [tensor.detach().clone() for tensor in inputs]
    linear_scan(*inputs).sum().backward()
    assert all(torch.equal(tensor, old) for tensor, old in zip(inputs, before, strict=True))
