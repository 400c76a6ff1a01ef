"""Each mistake a tokenizer or a task head can make is caught by the check that is meant for it, and by no other."""

from __future__ import annotations

from typing import Any

import pytest

from seqdemo.testing import CheckFailure, check_task, check_tokenizer, describe

from .conftest import beside

tokenizers, heads = beside("broken_tokenizers"), beside("broken_heads")


def only_failure(caught: pytest.ExceptionInfo[CheckFailure]) -> str:
    """The one check that failed, whose message has all four parts."""
    (outcome,) = caught.value.outcomes
    for part in ("seen: ", "expected: ", "usual cause: ", "mend: "):
        assert f"\n{part}" in outcome.message
    return outcome.check


def test_the_sound_ones_pass() -> None:
    """The parts that the broken ones are made from pass, and skip only what is not of their sort."""
    report = check_tokenizer(tokenizers.Sound)
    assert [o.check for o in report.outcomes if o.status == "skipped"] == ["imports_without_torch"]
    report = check_task(heads.Streams)
    assert {o.check for o in report.outcomes if o.status == "skipped"} == {"imports_without_torch", "predicts_each_row"}
    report = check_task(heads.Examples)
    ran = {o.check for o in report.outcomes if o.status == "passed"}
    assert {"loss_adds_up", "padding_does_not_count", "metrics_merge", "predicts_each_row"} <= ran


@pytest.mark.parametrize(
    ("check", "broken"), tokenizers.BROKEN, ids=[f"{c}-{b.__name__}" for c, b in tokenizers.BROKEN]
)
def test_each_mistake_of_a_tokenizer(check: str, broken: Any) -> None:
    """The set of failed checks is exactly the one."""
    with pytest.raises(CheckFailure) as caught:
        check_tokenizer(broken)
    assert only_failure(caught) == check


@pytest.mark.parametrize(("check", "broken"), heads.BROKEN, ids=[f"{c}-{b.__name__}" for c, b in heads.BROKEN])
def test_each_mistake_of_a_head(check: str, broken: Any) -> None:
    """The set of failed checks is exactly the one."""
    with pytest.raises(CheckFailure) as caught:
        check_task(broken)
    assert only_failure(caught) == check


def test_every_check_has_its_mistake() -> None:
    """No check goes untried; the one on imports is tried with a whole plugin."""
    for kind, broken in (("tokenizer", tokenizers.BROKEN), ("task", heads.BROKEN)):
        names = {name for of, name, *_ in describe() if of == kind}
        assert names - {check for check, _ in broken} == {"imports_without_torch"}


def test_a_promise_is_held_to() -> None:
    """LOSSLESS = True is tried on unseen text too; LOSSLESS = False leaves the check out."""
    promising = type("Promising", (tokenizers.Drops,), {"LOSSLESS": True})
    with pytest.raises(CheckFailure) as caught:
        check_tokenizer(promising, expected_failures={"unseen_text_accounted_for": "it is meant to drop"})
    assert only_failure(caught) == "lossless"
    lossy = type("Lossy", (tokenizers.Lowers,), {"LOSSLESS": False})
    outcomes = {outcome.check: outcome.status for outcome in check_tokenizer(lossy).outcomes}
    assert outcomes["lossless"] == "skipped"
