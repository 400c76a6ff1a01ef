"""Listings of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqdemo import pretrained
from seqdemo.cli.listing import size_text

Run = Callable[..., Any]


@pytest.mark.parametrize("kind", ["models", "tokenizers", "tasks"])
def test_kinds(cli: Run, kind: str) -> None:
    """Table and JSON list the same names, each with who announced it."""
    found = json.loads(cli(kind, "--json").stdout)
    table = cli(kind).stdout
    assert found
    for row in found:
        assert set(row) == {"name", "summary", "from"}
        assert row["name"] in table
        assert row["from"].startswith("seqdemo")


def test_plugin_folder(cli: Run, broken_folder: Path) -> None:
    """--plugins adds a folder; what fails in it is said on stderr beside the listing."""
    result = cli("--plugins", str(broken_folder), "models", "--json")
    assert result.exit_code == 0
    assert {"name": "wave", "summary": "Waves [bold].", "from": "fine"} in json.loads(result.stdout)
    assert result.stderr == "Failed plugins: sick. `seqdemo plugins` says why.\n"
    assert "Waves [bold]." in cli("--plugins", str(broken_folder), "models").stdout


def test_plugins(cli: Run, broken_folder: Path) -> None:
    """Every plugin is listed with its health; tracebacks are shown when asked for."""
    text = cli("--plugins", str(broken_folder), "plugins").stdout
    assert "sick: error (import): Cannot import 'sick': RuntimeError: out of order." in text
    assert "models: wave" in text
    assert "Traceback" not in text
    assert "--tracebacks" in text
    assert "sick.py" in cli("--plugins", str(broken_folder), "plugins", "--tracebacks").stdout.split("Traceback")[1]


def test_plugins_json(cli: Run, broken_folder: Path) -> None:
    """JSON has all that the table has, and the traceback."""
    found = {row["name"]: row for row in json.loads(cli("--plugins", str(broken_folder), "plugins", "--json").stdout)}
    assert found["builtin"]["health"] == "ok"
    assert found["fine"]["records"]["models"] == ["wave"]
    assert found["sick"]["problems"][0]["phase"] == "import"
    assert "out of order" in found["sick"]["problems"][0]["traceback"]


def test_strict(cli: Run, broken_folder: Path) -> None:
    """--strict fails when anything failed, configs included, and not otherwise."""
    assert cli("plugins", "--strict").exit_code == 0
    assert cli("--plugins", str(broken_folder), "plugins").exit_code == 0
    assert cli("--plugins", str(broken_folder), "plugins", "--strict").exit_code == 1
    assert cli("--plugins", str(broken_folder), "plugins", "--strict", "--json").exit_code == 1
    (broken_folder / "sick.py").unlink()
    assert cli("--plugins", str(broken_folder), "plugins").stdout.count("failed") == 0
    result = cli("--plugins", str(broken_folder), "plugins", "--strict")
    assert result.exit_code == 1
    assert "error (config): The config of model 'wave' cannot be loaded" in result.stdout


def test_checkpoints(cli: Run, own_home: Path) -> None:
    """Checkpoints of one's own are listed, one that cannot be read with the reason."""
    folder = own_home / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    manifest: dict[str, Any] = {
        "summary": "A tiny one.",
        "task": {"name": "generation"},
        "models": {"decoder": {"name": "lstm"}},
        "files": {"model.safetensors": {"bytes": 2_500_000}},
    }
    (folder / "seqdemo.json").write_text(json.dumps(manifest))
    (own_home / "checkpoints" / "torn").mkdir()
    (own_home / "checkpoints" / "torn" / "seqdemo.json").write_text("{")
    text = cli("checkpoints").stdout
    assert all(piece in text for piece in ("mine", "generation", "lstm", "2.5 MB", "A tiny one.", "user", "torn"))
    found = {row["name"]: row for row in json.loads(cli("checkpoints", "--json").stdout)}
    assert found["mine"]["folder"] == str(folder)
    assert "cannot be read" in found["torn"]["problem"]


def test_checkpoints_that_are_named(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of runs, or one run, is listed by name where the flag or the variable names it."""
    monkeypatch.setattr(pretrained, "_folders", ())
    for name in ("one", "two"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "seqdemo.json").write_text("{")

    def listed(*flags: str) -> set[str]:
        rows = json.loads(cli(*flags, "checkpoints", "--json").stdout)
        return {row["name"] for row in rows if row["folder"].startswith(str(tmp_path))}

    assert listed() == set()
    assert listed("--checkpoints", str(tmp_path / "runs")) == {"one", "two"}
    assert listed("--checkpoints", str(tmp_path / "runs" / "two")) == {"two"}
    monkeypatch.setattr(pretrained, "_folders", ())
    monkeypatch.setenv("SEQDEMO_CHECKPOINTS", str(tmp_path / "runs" / "one"))
    assert listed() == {"one"}


@pytest.mark.parametrize(
    ("nbytes", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (2_500_000, "2.5 MB"), (3 * 10**12, "3e+03 GB")]
)
def test_size(nbytes: int, text: str) -> None:
    """Sizes are short."""
    assert size_text(nbytes) == text
