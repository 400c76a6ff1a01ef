"""The prefill benchmark runs on a tiny network, and its sides compute the same thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import script


def test_every_side_reads_the_same_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In full precision to 1e-4; the table has a row for each side and length."""
    place = tmp_path / "figures.json"
    prefill = script("prefill")
    given = ["--sizes", "tiny", "--lengths", "3", "600", "--repeats", "2", "--json", str(place)]
    found = prefill.main(given)["results"]["tiny"]
    shown = capsys.readouterr().out
    assert list(found) == ["3", "600"]
    for length, measured in found.items():
        assert len(measured["rates"]) == 4
        for name, rates in measured["rates"].items():
            assert len(rates) == 2
            assert min(rates) > 0
            assert measured["off"][name] < (1e-4 if "fp32" in name or name == prefill.WHOLE else 0.1)
            assert f"| tiny | {length} | {name} |" in shown
    assert json.loads(place.read_text())["results"]["tiny"] == found
