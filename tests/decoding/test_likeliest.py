"""The likeliest tokens of many rows, against a sorted softmax in float64."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqdemo.decoding import prepare
from seqdemo.decoding.likeliest import likeliest
from seqdemo.plugin import Precision, Prepared

from .toy import ToyHead

CPU = torch.device("cpu")


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 5), size=st.integers(2, 200), data=st.data(),
    spread=st.sampled_from([0.1, 1.0, 30.0]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_they_are_those_of_a_sorted_softmax(
    seed: int, rows: int, size: int, data: st.DataObject, spread: float
) -> None:
    """What is forbidden is left out and keeps its probability."""
    count = data.draw(st.integers(1, size))
    forbidden = sorted(data.draw(st.sets(st.integers(0, size - 1), max_size=size - 1)))
    logits = torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * spread
    before = logits.clone()
    logprobs, ids = likeliest(logits, count, forbidden)
    wanted = logits.double().log_softmax(1)
    wanted[:, forbidden] = -torch.inf
    values = wanted.sort(dim=1, descending=True).values[:, :count]
    torch.testing.assert_close(logprobs, values, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(wanted.gather(1, ids), values)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
@pytest.mark.parametrize("count", [1, 3])
def test_a_row_that_is_no_distribution_is_told_by_nan(damage: float, count: int) -> None:
    """The others are as they were."""
    logits = torch.randn(3, 9)
    logits[1, 4] = damage
    logits[2] = -torch.inf
    logprobs, _ = likeliest(logits, count, [])
    assert logprobs.isnan().any(1).tolist() == [False, True, True]


class Counting(Prepared):
    """Finds tokens itself, or leaves it to seqdemo."""

    precision: Precision = "fp32"
    description = "counts"

    def __init__(self, own: bool) -> None:
        self.own, self.asked = own, 0

    def likeliest(self, logits: Tensor, count: int, forbidden: Sequence[int]) -> tuple[Tensor, Tensor] | None:
        self.asked += 1
        return (torch.zeros(len(logits), count).double(), torch.full((len(logits), count), 7)) if self.own else None


@pytest.mark.parametrize("own", [True, False])
def test_what_was_prepared_is_asked_first(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And seqdemo looks where it gives nothing."""
    prepared, logits = Counting(own), torch.randn(2, 9)
    kept = prepare._Kept((), prepared, prepare.Stepping("counts", "fp32", ""))
    monkeypatch.setattr(prepare, "_prepare", lambda head, device: kept)
    found = prepare.finding(ToyHead.__new__(ToyHead), CPU)(logits, 2, [])
    wanted = (torch.zeros(2, 2).double(), torch.full((2, 2), 7)) if own else likeliest(logits, 2, [])
    assert prepared.asked == 1
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
