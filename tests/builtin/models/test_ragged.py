"""Padded rows against torch's packed sequences in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqdemo.builtin.models import ragged
from seqdemo.builtin.models.config import LSTMConfig
from seqdemo.builtin.models.fused import LSTM
from seqdemo.builtin.models.ragged import ragged_lstm
from seqdemo.plugin import sequence


@settings(deadline=None, max_examples=60)
@given(
    layers=st.integers(1, 3),
    both=st.booleans(),
    bias=st.booleans(),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_outputs_states_and_gradients_are_torchs(
    layers: int, both: bool, bias: bool, lengths: list[int], seed: int
) -> None:
    """For any depth, direction, bias and lengths, each number and each gradient is that of torch's packed layer."""
    torch.manual_seed(seed)
    theirs = nn.LSTM(3, 4, num_layers=layers, bidirectional=both, bias=bias, batch_first=True).double()
    directions, counts = 2 if both else 1, torch.tensor(lengths)
    x = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64, requires_grad=True)
    hidden = [torch.randn(layers * directions, len(lengths), 4, dtype=torch.float64, requires_grad=True) for _ in "hc"]
    packed, (h, c) = theirs(pack_padded_sequence(x, counts, True, enforce_sorted=False), tuple(hidden))
    wanted = [pad_packed_sequence(packed, batch_first=True)[0], h, c]
    y, last = ragged_lstm(x, counts, hidden, [list(one) for one in theirs.all_weights], directions, 0.0)
    found = [sequence.blank_padding(y, counts), *last]
    shares = [torch.randn_like(part) for part in wanted]
    of = [x, *hidden, *theirs.parameters()]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for one, other in zip(torch.autograd.grad(found, of, shares), torch.autograd.grad(wanted, of, shares), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_cell_of_a_short_row_stays_as_it_was(precision: torch.dtype) -> None:
    """By oneDNN too, a row of 3 beside one of 200 ends in the state it has alone."""
    torch.manual_seed(0)
    model = LSTM(LSTMConfig(hidden_size=16, num_layers=2), 8)
    x = torch.randn(2, 200, 8)
    x[0, 3:] = torch.nan
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        _, together = model(x, None, torch.tensor([3, 200]))
        _, alone = model(x[:1, :3], None, torch.tensor([3]))
    exact = 1e-6 if precision == torch.float32 else 2e-2
    for name, entry in alone.items():
        torch.testing.assert_close(together[name][:1], entry, rtol=0, atol=exact)


def test_the_model_trains_by_it_and_only_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over rows of different lengths that is differentiated is made padded; any other is torch's own."""
    model = LSTM(LSTMConfig(hidden_size=4, bidirectional=True), 3)
    used: list[bool] = []

    def watched(*given: Any) -> Any:
        used.append(True)
        return ragged_lstm(*given)

    monkeypatch.setattr(ragged, "ragged_lstm", watched)
    x = torch.randn(3, 5, 3)
    y, _ = model(x, None, torch.tensor([5, 0, 2]))
    assert used == [True]
    assert not y[1].any()
    model(x, None, torch.tensor([5, 5, 5]))
    with torch.no_grad():
        again, _ = model(x, None, torch.tensor([5, 0, 2]))
    assert used == [True]
    torch.testing.assert_close(again, y)
