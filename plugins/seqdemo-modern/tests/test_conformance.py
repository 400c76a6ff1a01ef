"""Every model of the distribution against the kit."""

from __future__ import annotations

from collections.abc import Callable

from seqdemo_modern import seqdemo_models

from seqdemo.testing import ModelSubject, parametrize_with_checks


@parametrize_with_checks([ModelSubject(record.name, {"hidden_size": 8}) for record in seqdemo_models()])
def test_conformance(check: Callable[[], None]) -> None:
    """Whatever the kit checks of a recurrent model holds."""
    check()
