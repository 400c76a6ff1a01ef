"""What the command-line tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqdemo import manager as registry

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment, and no plugin of another test."""
    for name in ("SEQDEMO_PLUGINS", "SEQDEMO_LOAD_PLUGINS", "GRADIO_SERVER_PORT", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", ())


@pytest.fixture
def cli() -> Run:
    """Runs the command line in this process."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        from seqdemo.cli import main

        return CliRunner().invoke(main, list(arguments), input=stdin, prog_name="seqdemo")

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line, or with ``code`` some Python, in a process of its own."""

    def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
        command = ["-c", code] if code else ["-m", "seqdemo"]
        return subprocess.run(
            [sys.executable, *command, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "SEQDEMO_HOME": str(tmp_path), "SEQDEMO_LOAD_PLUGINS": "", "OMP_NUM_THREADS": "1"},
        )

    return run


@pytest.fixture
def broken_folder(tmp_path: Path) -> Path:
    """A plugin folder with one plugin that works and one that does not."""
    place = tmp_path / "plugins"
    place.mkdir()
    (place / "fine.py").write_text(
        "from seqdemo.plugin import ModelRecord, hookimpl\n"
        "@hookimpl\n"
        "def seqdemo_models():\n"
        "    return [ModelRecord('wave', 'fine:Wave', 'fine:Config', 'Waves [bold].')]\n"
    )
    (place / "sick.py").write_text("raise RuntimeError('out of order')\n")
    return place
