"""Distributions written from the templates, and installed without a network."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess, run

import pytest

from seqdemo import manager as registry
from seqdemo.scaffold import SUMMARIES, Written, write_plugin

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
        for place in (_installed(folder, tmp_path / "site"), folder):
            monkeypatch.syspath_prepend(str(place))
            monkeypatch.setenv("PYTHONPATH", str(place), prepend=":")

    return put


def _installed(folder: Path, site: Path) -> Path:
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    entries = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["seqdemo"].items())
    (info / "entry_points.txt").write_text(f"[seqdemo]\n{entries}", "utf-8")
    return site


@pytest.fixture(scope="module")
def own_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], CompletedProcess[str]]]:
    """What a fresh distribution of a kind says of itself. As many run their tests at once as there are processors."""

    def tested(folder: Path) -> CompletedProcess[str]:
        paths = (folder, _installed(folder, folder.parent / "site"))
        own = {"PYTHONPATH": ":".join(map(str, paths)), "SEQDEMO_LOAD_PLUGINS": folder.name.removeprefix("seqdemo-")}
        return run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=folder,
            env={**os.environ, **own, "SEQDEMO_HOME": str(folder.parent / "home")},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    folders = {kind: write_plugin(f"try-{kind}", kind, tmp_path_factory.mktemp(kind)).folder for kind in SUMMARIES}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = {kind: pool.submit(tested, folder) for kind, folder in folders.items()}
        yield lambda kind: begun[kind].result()
        pool.shutdown(cancel_futures=True)
