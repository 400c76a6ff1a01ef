"""The benchmark of going on measures what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_small_run_prints_both_sides() -> None:
    """Both conversations stand in the table, in memory and after a restart, with their lengths and bytes."""
    script = Path(__file__).with_name("continue_reply.py")
    done = subprocess.run(
        [sys.executable, str(script), "--tokens", "300", "--rounds", "2"], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["in", "memory"]] * 2 + [["after", "a"]] * 2
    lengths = [int(row[-6].replace(",", "")) for row in rows]
    assert lengths[0] == lengths[2] < 30
    assert lengths[1] == lengths[3] >= 300
    assert all(int(row[-1].replace(",", "")) > 0 for row in rows)
