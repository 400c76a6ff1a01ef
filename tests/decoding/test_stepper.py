from __future__ import annotations

from typing import Any

import pytest
import torch

from seqdemo.decoding import GenericStepper
from seqdemo.errors import BusyError
from seqdemo.plugin import state as verbs


def test_rows_that_share_a_step_agree_with_rows_alone(head: Any) -> None:
    """Logits and states of three rows in one call are those of three calls."""
    together, alone = (GenericStepper(head, 4, torch.device("cpu")) for _ in range(2))
    states = [head.next(torch.tensor([[k, 65]]), head.initial_state(1), {}).state for k in range(3)]
    slots = [together.claim() for _ in states]
    for slot, state in zip(slots, states, strict=True):
        together.put(slot, state, {})
        alone.put(slot, state, {})
    logits = together.step([70, 71, 72], slots)
    for row, slot in enumerate(slots):
        assert torch.allclose(logits[row], alone.step([70 + row], [slot])[0], atol=1e-5)
        assert verbs.max_difference(together.take(slot), alone.take(slot)) < 1e-6


def test_what_is_taken_is_a_copy_and_what_is_put_is_unchanged(head: Any) -> None:
    """The caller's states and the stepper's do not share memory that either changes."""
    stepper = GenericStepper(head, 1, torch.device("cpu"))
    slot, given = stepper.claim(), head.initial_state(1)
    before = verbs.clone(given)
    with torch.inference_mode():
        stepper.put(slot, given, {})
        stepper.step([65], [slot])
        taken = stepper.take(slot)
    for tensor in taken.values():
        assert not tensor.is_inference()
        tensor.zero_()
    assert verbs.equal(given, before)
    assert not verbs.equal(stepper.take(slot), taken)


def test_slots_are_given_out_once_and_come_back(head: Any) -> None:
    """A full stepper says so."""
    stepper = GenericStepper(head, 2, torch.device("cpu"))
    first, second = stepper.claim(), stepper.claim()
    assert first != second
    with pytest.raises(BusyError, match="All 2"):
        stepper.claim()
    stepper.free(first)
    assert stepper.claim() == first
    assert not stepper.idle


def test_contexts_of_different_lengths_are_padded_and_joined(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with contexts share a step, each entry padded with zeros; the join lasts for as long as the rows do."""
    seen: list[Any] = []
    plain = head.next

    def spy(ids: Any, state: Any, context: Any, **more: Any) -> Any:
        seen.append(context)
        return plain(ids, state, context, **more)

    monkeypatch.setattr(head, "next", spy)
    stepper = GenericStepper(head, 2, torch.device("cpu"))
    for length in (3, 5):
        context = {"memory": torch.full((1, length, 2), float(length)), "lengths": torch.tensor([length])}
        stepper.put(stepper.claim(), head.initial_state(1), context)
    assert stepper.step([65, 66], [0, 1]).shape[0] == 2
    stepper.step([65, 66], [0, 1])
    assert seen[0] is seen[1]
    assert seen[0]["lengths"].tolist() == [3, 5]
    assert seen[0]["memory"][:, :, 0].tolist() == [[3, 3, 3, 0, 0], [5] * 5]
    stepper.step([65], [0])
    assert seen[2]["memory"].shape == (1, 3, 2)
