"""The benchmark of a batch job beside a stream measures what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_small_run_prints_both_ways() -> None:
    """The job alone and beside the stream; alone is all of itself."""
    script = Path(__file__).with_name("beside.py")
    small = ["--jobs", "sentiment-en", "--rows", "64", "--rounds", "1", "--seconds", "0.2"]
    done = subprocess.run([sys.executable, str(script), *small], capture_output=True, text=True, check=True)
    alone, together = (line.split() for line in done.stdout.splitlines()[2:])
    assert alone[:2] == ["sentiment-en", "alone"]
    assert together[:2] == ["sentiment-en", "together"]
    assert alone[3] == alone[5] == "1.00"
    assert all(float(row[at].replace(",", "")) > 0.0 for row in (alone, together) for at in (2, 4, 8))
