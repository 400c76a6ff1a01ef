"""The benchmark of translation measures what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_small_run_prints_both_sides_with_the_same_texts() -> None:
    """Greedy and a beam, sentences a second of both sides, and every text alike."""
    script = Path(__file__).with_name("translation.py")
    arguments = ["--sentences", "5", "--rounds", "1", "--beams", "1", "3", "--max-tokens", "8"]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "3"]
    assert all(float(value) > 0 for row in rows for value in row[1:4])
    assert [row[4:] for row in rows] == [["5", "of", "5"]] * 2
