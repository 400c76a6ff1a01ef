"""What is generated into the documentation is what the code says now."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import seqdemo.plugin

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def generate() -> ModuleType:
    """The generator, imported from its file."""
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_stale(tmp_path: Path) -> None:
    """Generating again changes nothing, whatever the terminal's width, the hash seed and the plugins around."""
    (tmp_path / "extra.py").write_text(
        "from seqdemo.plugin import ModelRecord, hookimpl\n"
        "@hookimpl\n"
        "def seqdemo_models():\n"
        "    return [ModelRecord('extra', 'extra:Extra', 'seqdemo.plugin.config:ModelConfig')]\n"
    )
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        env={**os.environ, "COLUMNS": "40", "PYTHONHASHSEED": "3", "SEQDEMO_PLUGINS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_there() -> None:
    """Every name of the contract is on the reference page."""
    text = (DOCS / "hooks.md").read_text("utf-8")
    lacking = [
        name
        for name in set(seqdemo.plugin.__all__) - {"CONTRACT", "hookimpl", "sequence", "state"}
        if f"### `{name}`" not in text and f"| `{name}` |" not in text
    ]
    assert lacking == []


def test_stale_pages_are_named(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check names a stale page and leaves it; without it the page is written, once, and the rest of it kept."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: sampling-options -->\nold\n<!-- end -->\nafter\n", "utf-8")
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "docs/page.md: stale" in capsys.readouterr().out
    assert "old" in page.read_text("utf-8")
    assert generate.main([]) == 0
    text = page.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "| `temperature` | number | `0.8` | ≥ 0.0, ≤ 100.0 |" in text
    assert "old" not in text
    assert generate.main(["--check"]) == 0


def test_unknown_region(generate: ModuleType) -> None:
    """A region that nothing fills is an error, not a hole."""
    with pytest.raises(SystemExit, match="Nothing generates 'weather'"):
        generate.filled("<!-- generated: weather -->\n<!-- end -->")
