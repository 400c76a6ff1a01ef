"""Folders of other programs load through the loader that recognises them, and say clearly why not without one."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import seqdemo
from seqdemo import manager as registry
from seqdemo.errors import CheckpointError
from seqdemo.pipeline import Pipeline
from seqdemo.pretrained import checkpoints

PLUGIN = """
    from pathlib import Path
    from seqdemo.plugin import FolderInfo, Foreign, Loader, LoaderConfig, LoaderRecord, hookimpl

    seqdemo_contract = "1.1"

    @hookimpl
    def seqdemo_checkpoints():
        return [LoaderRecord("boxes", "boxes:Boxes", "boxes:BoxConfig", "Checkpoints in a box.")]

    class BoxConfig(LoaderConfig):
        probe = ("box.txt",)
        files = ("box.txt", "inside/*")

        def matches(self, folder: Path) -> bool:
            if (folder / "bomb").exists():
                raise RuntimeError("it went off")
            return (folder / "box.txt").is_file()

        def describe(self, folder: Path) -> FolderInfo:
            return FolderInfo("A boxed generator.", "cardboard", nbytes=7, options={"temperature": 0.25})

    class Boxes(Loader):
        def load(self, folder, dtype):
            import seqdemo
            inner = seqdemo.load(folder / "inside", device="cpu", dtype=dtype)
            return Foreign(inner.head, "ab" * 32, "# Box")
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of this test's own."""
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", ())


@pytest.fixture
def box(make_pipeline: Callable[..., Pipeline], tmp_path: Path) -> Path:
    """A folder only the plugin reads."""
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "box.txt").write_text("x")
    make_pipeline().save(folder / "inside")
    return folder


@pytest.fixture
def _plugin(tmp_path: Path) -> None:
    """The loader, in a plugin folder."""
    path = tmp_path / "plugins" / "boxes.py"
    path.parent.mkdir()
    path.write_text(textwrap.dedent(PLUGIN))
    registry.configure([path])


@pytest.mark.usefixtures("_plugin")
def test_foreign_folder(box: Path, own_home: Path, tmp_path: Path) -> None:
    """It loads by folder and by name, is listed, keeps its preferences and its fingerprint, and refuses to be saved."""
    inner = seqdemo.load(box / "inside", device="cpu")
    pipe = seqdemo.load(box, device="cpu")
    assert (pipe.task, pipe.name, pipe.card, pipe.fingerprint) == ("generation", "box", "# Box", "ab" * 32)
    assert pipe.options({}).temperature == 0.25
    assert str(pipe.generate("The", seed=1, max_tokens=9, temperature=1.0)) == str(
        inner.generate("The", seed=1, max_tokens=9, temperature=1.0)
    )
    assert "cardboard" in repr(pipe)
    with pytest.raises(CheckpointError, match="loader 'boxes'"):
        pipe.save(tmp_path / "copy")
    shutil.copytree(box, own_home / "checkpoints" / "mine")
    (record,) = [record for record in checkpoints() if record.name == "mine"]
    assert (record.task, record.models, record.nbytes, record.loader) == ("generation", ("cardboard",), 7, "boxes")
    assert seqdemo.load("mine", device="cpu").name == "mine"


def test_without_its_plugin(box: Path) -> None:
    """The error names the loaders there are and what to do; a listing leaves the folder out."""
    with pytest.raises(CheckpointError, match=r"holds no seqdemo\.json, and no installed loader .*plugin"):
        seqdemo.load(box, device="cpu")


@pytest.mark.usefixtures("_plugin")
def test_unknown_folder_lists_loaders(tmp_path: Path) -> None:
    """A folder nobody recognises is refused with the loaders that were asked."""
    with pytest.raises(CheckpointError, match=r"Loaders: .*boxes \(Checkpoints in a box\)"):
        seqdemo.load(tmp_path, device="cpu")


@pytest.mark.usefixtures("_plugin")
def test_loader_that_raises(box: Path) -> None:
    """A loader that fails on a folder is a problem of its plugin, and takes nothing else down."""
    (box / "bomb").touch()
    with pytest.raises(CheckpointError, match="no installed loader"):
        seqdemo.load(box, device="cpu")
    (info,) = [info for info in seqdemo.plugins() if info.name == "boxes"]
    assert any("it went off" in problem.message for problem in info.problems)


@pytest.mark.usefixtures("_plugin")
def test_hub_fetches_only_what_the_loader_reads(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the hub the probe comes first, then the loader's own files, and never anything else."""
    asked: list[list[str]] = []

    def fetch(name: str, allow_patterns: list[str], local_files_only: bool) -> str:
        asked.append(allow_patterns)
        return str(box)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert seqdemo.load("someone/boxed", device="cpu").name == "someone/boxed"
    first, second = asked
    assert "box.txt" in first
    assert not any("safetensors" in pattern or "inside" in pattern for pattern in first)
    assert "inside/*" in second
    assert not any(".bin" in pattern for pattern in second)
