"""The page on the kit does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seqdemo.testing import model_sequence

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"


def test_the_blocks_of_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block runs, one after the other in one namespace."""
    monkeypatch.setattr(model_sequence, "STEPS", 600)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
