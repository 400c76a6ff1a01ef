"""The native benchmark runs on a tiny network. Skipped where seqdemo-native is not installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def test_every_side_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has as many figures as repetitions; the table names it, the level, and the floors."""
    pytest.importorskip("seqdemo_native", reason="seqdemo-native is not installed")
    spec = importlib.util.spec_from_file_location("seqdemo_bench_native", Path(__file__).with_name("native.py"))
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench
    spec.loader.exec_module(bench)
    found = bench.main(["--sizes", "tiny", "--repeats", "2", "--seconds", "0.01", "--threads", "1"])
    speeds = found["results"]["tiny"]["speeds"]
    shown = capsys.readouterr().out
    assert {"native int8, run", "native fp32, engine", "seqdemo int8", "floor int8"} <= set(speeds)
    for name, each in speeds.items():
        assert len(each) == 2
        assert min(each) > 0
        assert name in shown
    assert found["versions"]["level"] in shown
