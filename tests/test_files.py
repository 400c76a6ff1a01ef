"""Nothing is ever half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from seqdemo.errors import SeqdemoError
from seqdemo.files import home, write_atomic, write_folder


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SEQDEMO_HOME decides; without it the platform does."""
    monkeypatch.setenv("SEQDEMO_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("SEQDEMO_HOME")
    assert home().name == "seqdemo"


def test_write_atomic_replaces_whole_files(tmp_path: Path) -> None:
    """A second write replaces the first; missing folders are made; no temporary file stays."""
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]
    plain = tmp_path / "plain.txt"
    plain.write_text("as anyone would write it")
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int) -> None:
    """When the disk is full, the old content stays and the message says so."""
    path = tmp_path / "kept.txt"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SeqdemoError, match="the disk is full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_write_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error inside leaves the old folder; success replaces it, files of the old one included."""
    target = tmp_path / "out"
    with write_folder(target) as work:
        (work / "old").write_text("1")

    def fail() -> None:
        with write_folder(target) as work:
            (work / "new").write_text("2")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail()
    assert [p.name for p in target.iterdir()] == ["old"]
    with write_folder(target) as work:
        (work / "new").write_text("2")
    assert [p.name for p in target.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_write_folder_on_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A full disk is named, and nothing is left behind."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write() -> None:
        with write_folder(tmp_path / "out") as work:
            (work / "a").write_text("1")
            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SeqdemoError, match="the disk is full"):
        write()
    assert list(tmp_path.iterdir()) == []
