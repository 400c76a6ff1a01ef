"""Checkpoints of others are looked at, then copied whole, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import seqdemo
from seqdemo import adding
from seqdemo.errors import CheckpointError, PluginError, UnknownNameError
from seqdemo.pretrained import checkpoints


@pytest.fixture
def folder(tmp_path: Path, make_pipeline: Callable[..., Any]) -> Path:
    """A checkpoint on the disk, with files beside it that do not belong to it."""
    place = Path(make_pipeline().save(tmp_path / "mine", card="# mine\n", summary="A small one."))
    (place / "pytorch_model.bin").write_bytes(b"never read")
    (place / "training").mkdir()
    (place / "training" / "state.json").write_text("{}", "utf-8")
    return place


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub that has the folder as ``someone/mine``, and what it was asked for."""
    asked: dict[str, Any] = {"patterns": []}

    def info(self: Any, name: str, files_metadata: bool) -> Any:
        if name != "someone/mine":
            raise OSError("404: there is no such repository.\nMore lines.")
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        found = [
            SimpleNamespace(rfilename=path.relative_to(folder).as_posix(), size=path.stat().st_size) for path in files
        ]
        return SimpleNamespace(siblings=found, sha="abc123")

    def download(name: str, revision: str, allow_patterns: list[str], local_dir: Path | None = None) -> str:
        assert (name, revision) == ("someone/mine", "abc123")
        asked["patterns"].append(sorted(allow_patterns))
        target = local_dir or folder.with_name("cache")
        for one in allow_patterns:
            (target / one).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / one, target / one)
        if local_dir is not None:
            (local_dir / ".cache" / "huggingface").mkdir(parents=True)
            (local_dir / ".cache" / "huggingface" / "x.lock").touch()
        return str(target)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def test_a_folder_is_copied(folder: Path, own_home: Path) -> None:
    """What belongs to it comes, nothing else; it loads by its name, gives the same text, and says where it is from."""
    found = adding.offer(str(folder))
    names = [name for name, _ in found.files]
    assert names == ["README.md", "model.safetensors", "seqdemo.json", "tokenizer/vocabulary.json"]
    assert found.nbytes == sum((folder / name).stat().st_size for name in names)
    record = adding.add(found, "theirs")
    assert record.folder == own_home / "checkpoints" / "theirs"
    assert sorted(path.name for path in record.folder.iterdir()) == sorted(
        ["README.md", "model.safetensors", "origin.json", "seqdemo.json", "tokenizer"]
    )
    assert adding.origin(record.folder) == str(folder)
    assert adding.origin(folder) == ""
    shutil.rmtree(folder)
    assert "theirs" in {one.name for one in checkpoints()}
    assert len(seqdemo.load("theirs", device="cpu").generate("The", max_tokens=3, seed=1).text) > 0


def test_the_hub_is_asked_for_small_files_first(hub: dict[str, Any], own_home: Path) -> None:
    """The size is known before anything large comes; then one commit's files come, and never a pickled one."""
    found = adding.offer("someone/mine")
    assert hub["patterns"] == [["README.md", "seqdemo.json"]]
    assert (found.name, found.record.summary, found.revision) == ("mine", "A small one.", "abc123")
    assert found.nbytes > 1000
    record = adding.add(found)
    assert hub["patterns"][1] == ["README.md", "model.safetensors", "seqdemo.json", "tokenizer/vocabulary.json"]
    assert adding.origin(record.folder) == "someone/mine"
    assert not (record.folder / ".cache").exists()
    assert seqdemo.load("mine", device="cpu").parameters > 0
    with pytest.raises(CheckpointError, match=r"'someone/none' cannot be looked up on the hub: 404: there is no such"):
        adding.offer("someone/none")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda folder: damage(folder / "model.safetensors"), "altered"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "truncated"),
        (lambda folder: (folder / "tokenizer" / "more.json").write_text("{}", "utf-8"), "does not list"),
        (
            lambda folder: (folder / "seqdemo.json").write_text(
                json.dumps(json.loads((folder / "seqdemo.json").read_text("utf-8")) | {"format": 99}), "utf-8"
            ),
            "format 99",
        ),
    ],
)
def test_what_does_not_load_is_not_added(
    folder: Path, own_home: Path, break_it: Callable[[Path], Any], why: str
) -> None:
    """Of a checkpoint that is altered, cut off or of another version nothing stays, and the reason is said."""
    break_it(folder)
    with pytest.raises(CheckpointError, match=why):
        adding.add(adding.offer(str(folder)))
    assert not (own_home / "checkpoints").exists() or list((own_home / "checkpoints").iterdir()) == []


def test_a_plugin_that_is_missing_is_said(folder: Path) -> None:
    """A checkpoint whose model nobody registers is refused by the name of that model."""
    manifest = json.loads((folder / "seqdemo.json").read_text("utf-8"))
    manifest["models"] = {role: {**part, "name": "elsewhere"} for role, part in manifest["models"].items()}
    (folder / "seqdemo.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(PluginError, match="'elsewhere'"):
        adding.add(adding.offer(str(folder)))


def test_places_and_names_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    """A place that is none, an empty folder, a taken name and a name that leaves the folder are refused."""
    with pytest.raises(UnknownNameError, match="hub id: owner/name"):
        adding.offer("no such place")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no seqdemo\.json"):
        adding.offer(str(tmp_path / "empty"))
    found = adding.offer(str(folder))
    for name in ("../x", "a/b", ".hidden", "x" * 65, "a b"):
        with pytest.raises(CheckpointError, match="is no name"):
            adding.add(found, name)
    with pytest.raises(CheckpointError, match="named 'shakespeare' already"):
        adding.add(found, "shakespeare")
