"""Single precision: reading together, in pieces and one position at a time agree to 1e-4, near the float64 result."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from seqdemo_modern import seqdemo_models

from seqdemo.plugin import RecurrentModel, build_model
from seqdemo.plugin import state as verbs

RECORDS = {record.name: record for record in seqdemo_models()}
TIME = 200


def make(name: str) -> RecurrentModel:
    """The model in float64, two layers of width 24."""
    implementation, config = (
        getattr(import_module(path.split(":")[0]), path.split(":")[1])
        for path in (RECORDS[name].implementation, RECORDS[name].config)
    )
    torch.manual_seed(2)
    return build_model(implementation, config(hidden_size=24, num_layers=2), 6).double().eval()


@pytest.mark.parametrize("name", sorted(RECORDS))
@torch.no_grad()
def test_single_precision(name):
    """Outputs and states agree to 1e-4 whichever way a sequence is read."""
    model, x = make(name), torch.randn(2, TIME, 6, dtype=torch.float64)
    exact, exact_after = model(x)
    model, x = model.float(), x.float()
    whole, after = model(x)
    first, state = model(x[:, :77])
    rest, pieces_after = model(x[:, 77:], state)
    state, outputs = model.initial_state(2), []
    for t in range(TIME):
        y, state = model.step(x[:, t], state)
        outputs.append(y)
    for found, left in (
        (torch.cat([first, rest], 1), pieces_after),
        (torch.stack(outputs, 1), state),
        (exact.float(), {entry: tensor.float() for entry, tensor in exact_after.items()}),
    ):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)
        assert verbs.max_difference(left, after) < 1e-4
