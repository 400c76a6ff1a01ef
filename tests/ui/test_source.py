"""What the installed seqdemo offers the page."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from seqdemo import manager
from seqdemo.ui.source import Sdk


def test_every_task_that_generates_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's task that takes sampling options can be talked to; another one, or one that is missing, cannot."""
    (tmp_path / "tasks.py").write_text(
        textwrap.dedent(
            """
            from seqdemo.plugin import Options, SamplingOptions, TaskConfig, TaskRecord, hookimpl

            class Talks(TaskConfig):
                options = SamplingOptions

            class Tells(TaskConfig):
                options = Options

            @hookimpl
            def seqdemo_tasks():
                return [TaskRecord(name, "tasks:None", f"tasks:{name.title()}") for name in ("talks", "tells")]
            """
        ),
        "utf-8",
    )
    for task in ("generation", "talks", "tells", "missing"):
        folder = tmp_path / "runs" / f"my-{task}"
        folder.mkdir(parents=True)
        said = {"task": {"name": task}, "models": {}, "files": {"model.safetensors": {"bytes": 1}}}
        (folder / "seqdemo.json").write_text(json.dumps(said), "utf-8")
    monkeypatch.setenv("SEQDEMO_CHECKPOINTS", str(tmp_path / "runs"))
    manager.configure([tmp_path / "tasks.py"])
    try:
        offered = {record.name for record in Sdk().checkpoints() if record.name.startswith("my-")}
    finally:
        manager.configure([])
    assert offered == {"my-generation", "my-talks"}
