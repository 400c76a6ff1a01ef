"""Pooling against the plainest code that could be written."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqdemo.builtin.classification.pooling import Attention, Several, make_pooling, prefixes

NAMES = ("last", "max", "mean", "attention")


def naive(pooling: Several, row: Tensor) -> Tensor:
    """The vector of one row ``(T, O)`` without padding."""
    attention = pooling.parts["attention"]
    assert isinstance(attention, Attention)
    if len(row) == 0:
        return torch.zeros(pooling.output_size, dtype=row.dtype)
    scores = [attention.score(torch.tanh(attention.hidden(y))) for y in row]
    shares = torch.softmax(torch.cat(scores), 0)
    ends = [row[-1]] if pooling.parts["last"].output_size == row.shape[1] else [row[-1], row[0]]
    return torch.cat([*ends, row.max(0).values, row.mean(0), sum(a * y for a, y in zip(shares, row, strict=True))])


@pytest.fixture(params=[True, False], ids=["causal", "both ways"])
def pooling(request: pytest.FixtureRequest) -> Several:
    """All four of them over three features."""
    torch.manual_seed(0)
    return make_pooling(NAMES, 3, request.param).double()


def outputs(lengths: list[int], seed: int = 0) -> Tensor:
    """``(B, T, 3)``, zero beyond each length, as a recurrent model gives it."""
    draw = torch.Generator().manual_seed(seed)
    y = 4 * torch.randn(len(lengths), max(1, *lengths), 3, generator=draw, dtype=torch.float64)
    for row, length in enumerate(lengths):
        y[row, length:] = 0
    return y


def test_equals_each_row_alone(pooling: Several) -> None:
    """A ragged batch gives each row's vector as plain code computes it from the row alone; nothing pools to zero."""
    lengths = [5, 1, 0, 7]
    y = outputs(lengths)
    found = pooling.vector(pooling.of(y, torch.tensor(lengths)))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row], naive(pooling, y[row, :length]))


@settings(deadline=None, max_examples=40)
@given(parts=st.lists(st.integers(0, 4), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_any_split_merges_to_the_whole(parts: list[int], seed: int) -> None:
    """However a text is cut, empty pieces included, merged summaries are those of the whole."""
    for causal in (True, False):
        torch.manual_seed(1)
        pooling = make_pooling(NAMES, 3, causal).double()
        y = outputs([sum(parts)], seed)
        merged = pooling.of(y[:, :1], torch.tensor([0]))
        start = 0
        for length in parts:
            piece = y[:, start : max(start + length, start + 1)] if length else y[:, :1]
            merged = pooling.merge(merged, pooling.of(piece, torch.tensor([length])))
            start += length
        torch.testing.assert_close(pooling.vector(merged)[0], naive(pooling, y[0, :start]))


@pytest.mark.parametrize("time", [1, 2, 3, 8, 13])
def test_prefixes_are_those_of_each_prefix(pooling: Several, time: int) -> None:
    """The summaries of all prefixes, after something read before, are what each prefix gives by itself."""
    y, before = outputs([time], 1), outputs([4], 2)
    found = pooling.vector(prefixes(pooling, y[0], pooling.of(before, torch.tensor([4]))))
    for end in range(1, time + 1):
        torch.testing.assert_close(found[end - 1], naive(pooling, torch.cat([before[0], y[0, :end]])))


def test_large_scores_do_not_overflow() -> None:
    """Attention scores far beyond what an exponential holds give the vector of the largest, in pieces too."""
    pooling = make_pooling(["attention"], 2, True)
    attention = pooling.parts["attention"]
    assert isinstance(attention, Attention)
    with torch.no_grad():
        attention.hidden.weight.copy_(50 * torch.eye(2))
        attention.hidden.bias.zero_()
        attention.score.weight.copy_(torch.tensor([[500.0, 0.0]]))
    y = torch.tensor([[[-1.0, 3.0], [1.0, 7.0], [-1.0, 5.0]]])
    halves = [pooling.of(y[:, at : at + 1], torch.tensor([1])) for at in range(3)]
    for summary in (
        pooling.of(y, torch.tensor([3])),
        pooling.merge(pooling.merge(halves[0], halves[1]), halves[2]),
    ):
        torch.testing.assert_close(pooling.vector(summary), y[:, 1])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_beside_an_empty_row(name: str) -> None:
    """An empty row in the batch makes no gradient infinite or undefined."""
    pooling = make_pooling([name], 3, False).double()
    y = outputs([3, 0]).requires_grad_()
    torch.autograd.backward(pooling.vector(pooling.of(y, torch.tensor([3, 0]))).sum())
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()
    assert y.grad[0].abs().sum() > 0
    assert (y.grad[1] == 0).all()


def test_half_precision_is_summed_in_full() -> None:
    """The mean of many half-precision values is exact to float32."""
    pooling = make_pooling(["mean"], 1, True)
    y = torch.full((1, 4000, 1), 1.0, dtype=torch.bfloat16)
    assert pooling.vector(pooling.of(y, torch.tensor([4000]))).item() == 1.0
