"""What the machine is called."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from seqdemo import devices


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU: v2 @ 3 GHz\nmodel name\t: Other\n", "Some CPU: v2 @ 3 GHz"),
        ("processor\t: 0\n", "kind"),
        ("", "kind"),
        (None, "kind"),
    ],
)
def test_the_processor_has_the_name_that_the_system_tells(
    told: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one named; where none is, or nothing is told, what Python knows of it."""
    place = tmp_path / "cpuinfo"
    if told is not None:
        place.write_text(told, "utf-8")
    monkeypatch.setattr(devices, "_CPU_INFO", place)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "kind")
    assert devices.processor() == name
