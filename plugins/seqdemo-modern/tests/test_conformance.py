"""Every model of the distribution against the kit."""

from __future__ import annotations

from collections.abc import Callable

from seqdemo_modern import seqdemo_models

from seqdemo.testing import ModelSubject, parametrize_with_checks

ALL = [ModelSubject(record.name, {"hidden_size": 8}) for record in seqdemo_models()]
OTHERWISE = [
    ModelSubject("mingru", {"hidden_size": 6, "num_layers": 2, "expansion": 0.5, "conv_kernel": 2}),
    ModelSubject("sru", {"hidden_size": 6, "num_layers": 2, "bidirectional": True}),
    ModelSubject("qrnn", {"hidden_size": 6, "kernel_size": 4, "bidirectional": True}),
]


@parametrize_with_checks(ALL + OTHERWISE)
def test_conformance(check: Callable[[], None]) -> None:
    """Whatever the kit checks of a recurrent model holds."""
    check()
