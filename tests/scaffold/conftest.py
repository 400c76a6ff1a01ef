"""Distributions written from the templates, and installed without a network."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqdemo import manager as registry
from seqdemo.scaffold import Written, write_plugin

Install = Callable[[Path], None]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plugin of the environment, and no module left over."""
    for name in ("SEQDEMO_PLUGINS", "SEQDEMO_LOAD_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", ())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("seqdemo_try_"):
            del sys.modules[name]


@pytest.fixture
def scaffold(tmp_path: Path) -> Callable[[str], Written]:
    """Writes a plugin of a kind."""

    def write(kind: str) -> Written:
        return write_plugin(f"try-{kind}", kind, tmp_path)

    return write


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Does what ``pip install -e`` does, from what the distribution's own pyproject.toml says."""

    def put(folder: Path) -> None:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        info = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
        )
        entries = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["seqdemo"].items())
        (info / "entry_points.txt").write_text(f"[seqdemo]\n{entries}", "utf-8")
        for place in (info.parent, folder):
            monkeypatch.syspath_prepend(str(place))
            monkeypatch.setenv("PYTHONPATH", str(place), prepend=":")

    return put
