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


def test_rows_with_contexts_of_different_lengths_share_no_batch(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is read with its own context."""
    seen: list[tuple[int, int]] = []
    plain = head.next

    def spy(ids: Any, state: Any, context: Any, **more: Any) -> Any:
        seen.append((len(ids), context["memory"].shape[1]))
        return plain(ids, state, context, **more)

    monkeypatch.setattr(head, "next", spy)
    stepper = GenericStepper(head, 2, torch.device("cpu"))
    for length in (3, 5):
        stepper.put(stepper.claim(), head.initial_state(1), {"memory": torch.zeros(1, length)})
    assert stepper.step([65, 66], [0, 1]).shape[0] == 2
    assert seen == [(1, 3), (1, 5)]
