"""Each mistake a recurrent model can make is caught by the check that is meant for it, and by no other."""

from __future__ import annotations

from typing import Any

import pytest

from seqdemo.testing import CheckFailure, ModelSubject, check_model, describe, draws, model_sequence

from .conftest import beside

models = beside("broken_models")


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Ten thousand steps are for the model that is caught by them, many splits for those that pass."""
    if "flat_over" not in request.node.name:
        monkeypatch.setattr(model_sequence, "STEPS", 600)
    monkeypatch.setattr(draws, "_CASES", 4)


def test_the_sound_one_passes() -> None:
    """The model that the broken ones are made from passes every check, and only the import check has no use here."""
    report = check_model(models.Sound, {"hidden_size": 6})
    assert report.ok
    assert [o.check for o in report.outcomes if o.status == "skipped"] == ["imports_without_torch"]


@pytest.mark.parametrize(("check", "broken"), models.BROKEN, ids=[f"{c}-{b.__name__}" for c, b in models.BROKEN])
def test_each_mistake_is_caught_by_its_own_check(check: str, broken: Any) -> None:
    """The set of failed checks is exactly the one, and its message has all four parts."""
    with pytest.raises(CheckFailure) as caught:
        check_model(broken, {"hidden_size": 6})
    assert {outcome.check for outcome in caught.value.outcomes} == {check}
    (outcome,) = caught.value.outcomes
    for part in ("seen: ", "expected: ", "usual cause: ", "mend: "):
        assert f"\n{part}" in outcome.message


def test_every_check_has_its_mistake() -> None:
    """No check of models goes untried; the one on imports is tried with a whole plugin."""
    names = {name for kind, name, *_ in describe() if kind == "model"}
    assert names - {check for check, _ in models.BROKEN} == {"imports_without_torch"}
    assert ModelSubject(models.Sound).label == "Sound"
