"""Right padding against loops over rows."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.plugin import sequence

lengths_and_time = st.lists(st.integers(0, 6), min_size=1, max_size=5).flatmap(
    lambda lengths: st.tuples(st.just(lengths), st.integers(max(lengths), max(lengths) + 2))
)
few = settings(max_examples=60, deadline=None)


@few
@given(lengths_and_time)
def test_valid_is_true_inside_each_row(case):
    """Position t of a row is inside exactly when t is less than the row's length."""
    lengths, time = case
    want = [[t < length for t in range(time)] for length in lengths]
    assert sequence.valid(torch.tensor(lengths), time).tolist() == want


@few
@given(lengths_and_time, st.integers(2, 4))
def test_blank_padding_zeroes_even_nan(case, rank):
    """What is beyond a row's length becomes zero, NaN included, at any rank; what is inside stays; the input too."""
    lengths, time = case
    x = torch.randn(len(lengths), time, *[2] * (rank - 2))
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    before = x.clone()
    y = sequence.blank_padding(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        assert torch.equal(y[row, :length], x[row, :length])
        assert y[row, length:].eq(0).all()
    assert torch.equal(x.nan_to_num(9), before.nan_to_num(9))
    assert sequence.blank_padding(x, None) is x


@few
@given(lengths_and_time)
def test_reverse_turns_each_row_within_its_length(case):
    """Each row is reversed within its own length, its padding stays in place, and twice is once not at all."""
    lengths, time = case
    x = torch.randn(len(lengths), time, 3)
    y = sequence.reverse(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        assert torch.equal(y[row, :length], x[row, :length].flip(0))
        assert torch.equal(y[row, length:], x[row, length:])
    assert torch.equal(sequence.reverse(y, torch.tensor(lengths)), x)


def test_reverse_without_lengths_turns_all():
    """Without lengths the whole of every row is reversed."""
    x = torch.arange(6.0).view(1, 3, 2)
    assert torch.equal(sequence.reverse(x, None), x[:, [2, 1, 0]])


def test_gradients_of_padding_are_zero():
    """No gradient flows into the padding."""
    x = torch.full((2, 3, 1), torch.nan, requires_grad=True)
    sequence.blank_padding(x, torch.tensor([1, 0])).nan_to_num(0).sum().backward()
    assert torch.equal(x.grad.squeeze(2)[1], torch.zeros(3))
