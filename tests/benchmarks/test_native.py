"""The native benchmark runs on a tiny network. Skipped where seqdemo-native is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import script


def test_every_side_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has as many figures as repetitions; the table names it, the level, and the floors."""
    pytest.importorskip("seqdemo_native", reason="seqdemo-native is not installed")
    found = script("native").main(["--sizes", "tiny", "--repeats", "2", "--seconds", "0.01", "--threads", "1"])
    speeds = found["results"]["tiny"]["speeds"]
    shown = capsys.readouterr().out
    assert {"native int8, run", "native fp32, engine", "seqdemo int8", "floor int8"} <= set(speeds)
    for name, each in speeds.items():
        assert len(each) == 2
        assert min(each) > 0
        assert name in shown
    assert found["versions"]["level"] in shown
