"""Checkpoints come back as they were, or say clearly why they cannot."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import seqdemo
from seqdemo import checkpoint
from seqdemo.errors import CheckpointError, ConfigError, PluginError, SeqdemoError, UnknownNameError
from seqdemo.manifest import WEIGHTS, digest
from seqdemo.pipeline import Pipeline
from seqdemo.pretrained import MANIFEST, checkpoints

Make = Callable[..., Pipeline]


@pytest.fixture
def saved(make_pipeline: Make, tmp_path: Path) -> Path:
    return make_pipeline().save(tmp_path / "small", card="# Small\n", summary="A small one.")


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest and keep it consistent with the files."""
    found = json.loads((folder / MANIFEST).read_text())
    change(found)
    for name in found["files"]:
        if (folder / name).is_file():
            found["files"][name] = digest(folder / name).model_dump()
    (folder / MANIFEST).write_text(json.dumps(found))


@pytest.mark.parametrize("tokenizer", ["bytes", "char", "words"])
@pytest.mark.parametrize("model", ["lstm", "scratch-gru"])
@pytest.mark.parametrize("tied", [False, True])
def test_round_trip(make_pipeline: Make, tmp_path: Path, tokenizer: str, model: str, tied: bool) -> None:
    """Weights, tokenizer, configs, card and predictions survive."""
    task_config = {"embedding_size": 8, "tie_weights": tied}
    before = make_pipeline(tokenizer=tokenizer, model=model, task_config=task_config)
    before.save(tmp_path / "it", card="# Card", summary="One.", examples=("The time",), metrics={"loss": 4.0})
    after = seqdemo.load(tmp_path / "it", device="cpu")
    ours, theirs = before.head.state_dict(), after.head.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert after.card == "# Card"
    assert after.manifest is not None
    assert after.manifest.examples == ("The time",)
    assert after.parts.task.config == before.parts.task.config
    texts = {str(pipe.generate("The time", seed=3, max_tokens=20)) for pipe in (before, after)}
    assert len(texts) == 1


def test_half_precision_on_disk(make_pipeline: Make, tmp_path: Path) -> None:
    """Half precision halves the file, loads as float32, and changes values by at most its rounding."""
    before = make_pipeline(model_config={"hidden_size": 64})
    before.save(tmp_path / "full")
    before.save(tmp_path / "half", dtype="float16")
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    after = seqdemo.load(tmp_path / "half", device="cpu")
    assert after.dtype == torch.float32
    for ours, theirs in zip(before.head.parameters(), after.head.parameters(), strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=1e-3, atol=1e-4)


def test_loading_leaves_random_numbers_alone(saved: Path) -> None:
    """Loading a model does not change what a seeded program draws next."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    seqdemo.load(saved, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_manifest_names_things_not_paths(saved: Path, tmp_path: Path) -> None:
    """A checkpoint holds registered names and no machine path."""
    text = (saved / MANIFEST).read_text()
    assert str(tmp_path) not in text
    assert "seqdemo.builtin" not in text
    found = json.loads(text)
    assert found["models"]["decoder"]["name"] == "lstm"
    assert found["models"]["decoder"]["distribution"] == "seqdemo"
    assert found["files"].keys() == {p.relative_to(saved).as_posix() for p in saved.rglob("*") if p.is_file()} - {
        MANIFEST,
        "README.md",
    }


def truncate(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def flip(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def lengthen(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"x")


def newer(folder: Path) -> None:
    edit(folder, lambda found: found.update(format=99))


def no_format(folder: Path) -> None:
    edit(folder, lambda found: found.pop("format"))


def missing(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def foreign_shape(folder: Path) -> None:
    edit(folder, lambda found: found["models"]["decoder"]["config"].update(hidden_size=13))


def huge(folder: Path) -> None:
    edit(folder, lambda found: found["models"]["decoder"]["config"].update(hidden_size=65_536))


def lacks_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors.pop("output.bias")
    save_file(tensors, folder / WEIGHTS)
    edit(folder, lambda found: None)


def extra_tensor(folder: Path) -> None:
    save_file({**load_file(folder / WEIGHTS), "surprise": torch.zeros(1)}, folder / WEIGHTS)
    edit(folder, lambda found: None)


def no_safetensors(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"not tensors at all")
    edit(folder, lambda found: None)


def unknown_field(folder: Path) -> None:
    edit(folder, lambda found: found.update(import_path="os:system"))


def unknown_config(folder: Path) -> None:
    edit(folder, lambda found: found["models"]["decoder"]["config"].update(hiden_size=13))


def escaping(folder: Path) -> None:
    edit(folder, lambda found: found["files"].update({"../x": {"bytes": 0, "sha256": "0" * 64}}))


def rubbish(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\x80\x04K\x01.")


def wrong_roles(folder: Path) -> None:
    edit(folder, lambda found: found.update(models={"encoder": found["models"]["decoder"]}))


def no_tokenizer(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "truncated"),
        (lengthen, "altered"),
        (flip, "altered: its SHA-256"),
        (newer, "format 99.*Upgrade"),
        (no_format, "format None"),
        (missing, "lacks model.safetensors"),
        (foreign_shape, "expected"),
        (huge, "expected"),
        (lacks_tensor, "lacks 'output.bias'"),
        (extra_tensor, "holds 'surprise'"),
        (no_safetensors, "not a safetensors file"),
        (unknown_field, "import_path"),
        (unknown_config, "hiden_size"),
        (escaping, "outside itself"),
        (rubbish, "not JSON"),
        (wrong_roles, "has models for"),
        (no_tokenizer, "incomplete"),
    ],
)
def test_damage_is_named(saved: Path, damage: Callable[[Path], None], message: str) -> None:
    """Each kind of damage gives one clear line of its own, and the process loads a good checkpoint afterwards."""
    good = saved.with_name("good")
    shutil.copytree(saved, good)
    damage(saved)
    with pytest.raises(CheckpointError, match=message) as caught:
        seqdemo.load(saved, device="cpu")
    assert "\n" not in str(caught.value)
    assert str(seqdemo.load(good, device="cpu").generate("The", max_tokens=3, seed=1)) is not None


def test_missing_plugin_is_named(saved: Path) -> None:
    """A checkpoint of a plugin that is gone says which one to install."""

    def change(found: dict[str, Any]) -> None:
        found["models"]["decoder"].update(name="min-gru", distribution="seqdemo-modern", version="0.3")

    edit(saved, change)
    with pytest.raises(PluginError, match=r"needs the model 'min-gru'.*seqdemo-modern 0\.3"):
        seqdemo.load(saved, device="cpu")


def test_names(saved: Path, own_home: Path) -> None:
    """A user's own checkpoint is found by name; an unknown name lists what there is; a folder without one says so."""
    shutil.copytree(saved, own_home / "checkpoints" / "mine")
    assert "mine" in {record.name for record in checkpoints()}
    assert seqdemo.load("mine", device="cpu").name == "mine"
    with pytest.raises(UnknownNameError, match="mine"):
        seqdemo.load("mime", device="cpu")
    with pytest.raises(CheckpointError, match=r"holds no seqdemo\.json"):
        seqdemo.load(own_home, device="cpu")


def test_hub_id_without_network() -> None:
    """A hub id that is not cached says so in one line, with and without leave to download."""
    for only_local in (True, False):
        with pytest.raises(CheckpointError, match="someone/something"):
            seqdemo.load("someone/something", device="cpu", local_files_only=only_local)


def test_hub_id_from_the_cache(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub id that is in the local cache loads without the network."""
    cache = tmp_path / "cache"
    snapshot = cache / "models--someone--small" / "snapshots" / ("0" * 40)
    shutil.copytree(saved, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert seqdemo.load("someone/small", device="cpu", local_files_only=True).name == "someone/small"


def test_save_spares_other_folders(make_pipeline: Make, tmp_path: Path) -> None:
    """A folder that holds something else is never replaced; a checkpoint is."""
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter1.tex").write_text("x")
    with pytest.raises(CheckpointError, match="left alone"):
        make_pipeline().save(other)
    assert [p.name for p in other.iterdir()] == ["chapter1.tex"]
    make_pipeline().save(tmp_path / "ours")
    make_pipeline(seed=1).save(tmp_path / "ours")
    with pytest.raises(ConfigError, match="dtype"):
        make_pipeline().save(tmp_path / "ours", dtype="int3")


def test_full_disk_keeps_the_old_checkpoint(make_pipeline: Make, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while saving leaves the checkpoint that was there, still loadable."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    pipe = make_pipeline(seed=5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SeqdemoError, match="the disk is full"):
            pipe.save(saved)
    assert seqdemo.load(saved, device="cpu").card == "# Small\n"
    assert [p.name for p in saved.parent.iterdir()] == ["small"]


def test_write_card(saved: Path) -> None:
    """Card and metrics can be added afterwards without touching the weights."""
    before = (saved / WEIGHTS).stat().st_mtime_ns
    checkpoint.write_card(saved, "# New", {"metrics": {"loss": 1.5}})
    after = seqdemo.load(saved, device="cpu")
    assert after.card == "# New"
    assert after.manifest is not None
    assert after.manifest.metrics == {"loss": 1.5}
    assert (saved / WEIGHTS).stat().st_mtime_ns == before
