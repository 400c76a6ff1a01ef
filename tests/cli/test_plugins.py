"""``seqdemo plugins`` and its commands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqdemo.testing
from seqdemo.errors import UnknownNameError
from seqdemo.testing import Outcome, Report

Run = Callable[..., Any]

MESSAGE = "failed\nseen: 2\nexpected: 1\nusual cause: haste\nmend: count again"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the kit report given outcomes."""

    def give(*outcomes: Outcome) -> None:
        def check_plugin(name: str, heard: Callable[[Outcome], None]) -> Report:
            if name != "mine":
                raise UnknownNameError("plugin", name, ["mine"])
            for outcome in outcomes:
                heard(outcome)
            return Report(outcomes)

        monkeypatch.setattr(seqdemo.testing, "check_plugin", check_plugin)

    return give


def test_new(cli: Run, tmp_path: Path) -> None:
    """It says what it wrote and what to do next, one command a line."""
    result = cli("plugins", "new", "my-cell", "--kind", "model", "--into", str(tmp_path))
    assert result.exit_code == 0
    folder = tmp_path / "seqdemo-my-cell"
    assert folder.is_dir()
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"Wrote {folder}: ")
    assert lines[2] == f"  cd {folder}"
    assert "  seqdemo plugins check my-cell" in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "My Cell", "--kind", "model"], "Try 'my-cell'"),
        (["new", "my-cell"], "Missing option '--kind'"),
        (["new", "my-cell", "--kind", "head"], "'model', 'tokenizer', 'task'"),
        (["nothing"], "No such command 'nothing'"),
        (["--strict", "new", "my-cell", "--kind", "model"], "Options of 'new' come after it"),
    ],
)
def test_refused(cli: Run, arguments: list[str], said: str) -> None:
    """What cannot be done is one line and status 2."""
    result = cli("plugins", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_check_passes(cli: Run, checked: Callable[..., None]) -> None:
    """All checks in a table, the counts below, status 0."""
    checked(Outcome("builds", "mine:cell", "passed"), Outcome("trace_ranges", "mine:cell", "skipped", "none declared"))
    result = cli("plugins", "check", "mine")
    assert result.exit_code == 0
    assert result.stdout.count("mine:cell") == 1
    assert "none declared" in result.stdout
    assert result.stdout.endswith("1 passed, 1 skipped.\n")


def test_check_fails(cli: Run, checked: Callable[..., None]) -> None:
    """A failure is shown with its four parts, and the status is 1, in both forms."""
    checked(Outcome("builds", "mine:cell", "failed", MESSAGE), Outcome("any", "mine:cell", "unexpected_pass", "odd"))
    result = cli("plugins", "check", "mine")
    assert result.exit_code == 1
    for line in MESSAGE.splitlines():
        assert line in result.stdout
    assert "unexpected pass" in result.stdout
    result = cli("plugins", "check", "mine", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["outcomes"][0]["message"] == MESSAGE


def test_check_of_an_unknown_plugin(cli: Run, checked: Callable[..., None]) -> None:
    """Status 2 and the names there are."""
    checked()
    result = cli("plugins", "check", "yours")
    assert result.exit_code == 2
    assert "Available: mine." in result.stderr


def test_check_runs_the_kit(cli: Run, tmp_path: Path) -> None:
    """A plugin of a folder goes through the real checks, and what it does wrong is found."""
    (tmp_path / "shorty.py").write_text(
        "from seqdemo.plugin import Tokenizer, TokenizerConfig, TokenizerRecord, hookimpl\n"
        "class Broken(TokenizerConfig):\n"
        "    size: int = 3\n"
        "@hookimpl\n"
        "def seqdemo_tokenizers():\n"
        "    return [TokenizerRecord('shorty', 'seqdemo.builtin.tokenizers.byte_level:Bytes', 'shorty:Broken')]\n"
    )
    result = cli("--plugins", str(tmp_path), "plugins", "check", "shorty", "--json")
    assert result.exit_code == 1
    outcomes = {outcome["check"]: outcome for outcome in json.loads(result.stdout)["outcomes"]}
    assert outcomes["config_described"]["status"] == "failed"
    assert "Broken.size has no description" in outcomes["config_described"]["message"]


def test_light(shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Listing, help and a new plugin import nothing heavy."""
    code = (
        "import sys\nfrom seqdemo.cli import main\n"
        "for arguments in (['plugins'], ['plugins', '--help'], ['plugins', 'check', '--help'],\n"
        "                  ['plugins', 'new', 'mine', '--kind', 'task', '--into', sys.argv[1]]):\n"
        "    try:\n        main(arguments)\n"
        "    except SystemExit as stopped:\n        assert not stopped.code, arguments\n"
        "print('heavy:', *{'torch', 'gradio', 'pandas', 'numpy'} & set(sys.modules))\n"
    )
    done = shell(str(tmp_path / "new"), code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("heavy:\n")
