"""The sides of the single-reader benchmark compute the same thing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import script


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return script("decode")


def test_every_side_gives_the_same_distribution(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In full precision to 1e-4, rounded to a few hundredths; the table has a row for each, and what is absent."""
    place = tmp_path / "figures.json"
    found = bench.main(["--sizes", "tiny", "--repeats", "2", "--seconds", "0.01", "--json", str(place)])
    result = found["results"]["tiny"]
    for name, off in result["off"].items():
        assert off < (0.1 if "int8" in name or "bf16" in name else 1e-4), name
        assert len(result["speeds"][name]) == 2
    shown = capsys.readouterr().out
    for name in [*result["speeds"], *found["absent"]]:
        assert name in shown
    assert {"seqdemo auto", "plain nn.LSTM", "plain nn.LSTM, oneDNN off"} <= set(result["speeds"])
    assert json.loads(place.read_text())["versions"]["torch"] in shown


def test_a_missing_peer_is_named(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without onnxruntime the other sides run, and the table says what was lacking."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    absent: dict[str, str] = {}
    sides = bench.sides_of(bench.Network(*bench.SIZES["tiny"]).eval(), 1, absent)
    assert {"ONNX Runtime fp32", "ONNX Runtime int8"} <= set(absent)
    assert absent["ONNX Runtime int8"] == "not installed: onnxruntime"
    assert "plain nn.LSTM" in sides
    assert set(sides) | set(absent) > {peer.name for peer in bench.peers.PEERS}
