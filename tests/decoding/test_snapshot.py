from __future__ import annotations

import pytest
import torch

from seqdemo.decoding import Snapshot
from seqdemo.errors import StateError
from seqdemo.plugin import state as verbs


def make(**given: object) -> Snapshot:
    state = {"decoder.h": torch.randn(1, 4), "decoder.c": torch.randn(1, 4, dtype=torch.bfloat16)}
    return Snapshot(state, 7, b"\xe4\xbd", "EN", (1, 2, 300), **given)  # type: ignore[arg-type]


def test_bytes_bring_back_every_field_and_bit() -> None:
    """State, position, half a character, held text and recent ids survive."""
    snapshot = make()
    again = Snapshot.from_bytes(snapshot.to_bytes())
    assert verbs.equal(again.state, snapshot.state)
    assert again.fields() == snapshot.fields()
    assert again.nbytes == snapshot.nbytes == 4 * 4 + 4 * 2 + 2 + 2 + 3 * 8


def test_two_entries_may_be_one_tensor() -> None:
    """A model whose output is its state gives such states."""
    h = torch.randn(1, 3)
    again = Snapshot.from_bytes(Snapshot({"a": h, "b": h}, 0).to_bytes())
    assert torch.equal(again.state["a"], h)


def test_a_snapshot_has_one_row() -> None:
    """A batch is refused."""
    with pytest.raises(StateError, match="one row"):
        Snapshot({"h": torch.zeros(2, 3)}, 0)


@pytest.mark.parametrize("cut", [0, 7, 40, -1])
def test_cut_off_bytes_are_refused(cut: int) -> None:
    """A file that ends early gives one clear error."""
    with pytest.raises(StateError):
        Snapshot.from_bytes(make().to_bytes()[:cut])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"position": -1},
        {"position": 1.5},
        {"position": True},
        {"pending": "xx"},
        {"held": 3},
        {"recent": [-4]},
        {"recent": 5},
    ],
)
def test_fields_that_make_no_sense_are_refused(change: dict[str, object]) -> None:
    """Edited files are errors, not surprises."""
    snapshot = make()
    with pytest.raises(StateError):
        Snapshot.from_bytes(verbs.to_bytes(snapshot.state, snapshot.fields() | change))
    with pytest.raises(StateError):
        Snapshot.from_bytes(verbs.to_bytes(snapshot.state))
