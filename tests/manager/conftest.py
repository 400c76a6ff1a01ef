"""Plugin folders and fake distributions to scan, and what to ask of the result."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqdemo import manager as registry
from seqdemo.manager import Manager, PluginInfo

GOOD = """
    from seqdemo.plugin import ModelRecord, hookimpl

    @hookimpl
    def seqdemo_models():
        return [ModelRecord("{name}", "{module}:Model", "{module}:Config", "A model.")]
"""

Write = Callable[[str, str], Path]
Distribute = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plugin variables, no manager, and no module left over."""
    for name in ("SEQDEMO_PLUGINS", "SEQDEMO_LOAD_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", ())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("_seqdemo_", "fake_")):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty plugin folder."""
    place = tmp_path / "plugins"
    place.mkdir()
    return place


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes one file of the plugin folder."""

    def make(name: str, source: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), "utf-8")
        return path

    return make


@pytest.fixture
def distribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribute:
    """Installs a fake distribution: a module and a real ``.dist-info`` on ``sys.path``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, source: str, entries: str = "", version: str = "1.2") -> Path:
        module = "fake_" + name.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source).replace("{module}", module), "utf-8")
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[seqdemo]\n{entries or f'main = {module}'}\n", "utf-8")
        return site / f"{module}.py"

    return install


@pytest.fixture
def plugin() -> Callable[[Manager, str], PluginInfo]:
    """Finds the one plugin of that name or distribution."""

    def find(found: Manager, name: str) -> PluginInfo:
        (info,) = [info for info in found.plugins() if name in (info.name, info.distribution)]
        return info

    return find


@pytest.fixture
def messages() -> Callable[[PluginInfo, str], str]:
    """Gives a plugin's problems of one phase."""

    def join(info: PluginInfo, phase: str) -> str:
        return "\n".join(problem.message for problem in info.problems if problem.phase == phase)

    return join


@pytest.fixture
def good() -> Callable[..., str]:
    """Gives the source of a plugin that announces one model."""

    def source(name: str, module: str = "good") -> str:
        return GOOD.format(name=name, module=module)

    return source


@pytest.fixture
def run() -> Callable[..., str]:
    """Gives the output of a fresh interpreter."""

    def start(code: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.strip()

    return start
