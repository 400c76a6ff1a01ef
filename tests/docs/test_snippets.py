"""Every block of the documentation runs, from top to bottom, as a reader would run it."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has the data the pages speak of, and is the current one."""
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Line number and content of every block in a language that is to be run."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(3)) + 1, found[3])
        for found in BLOCK.finditer(text)
        if found[2] == language and not found[1]
    ]


def test_python_page_runs(checkout: Path) -> None:
    """The blocks of docs/python.md run one after the other in one namespace."""
    namespace: dict[str, object] = {}
    found = blocks("python.md", "python")
    assert len(found) >= 10
    for line, block in found:
        padded = "\n" * (line - 1) + block
        exec(compile(padded, str(ROOT / "docs" / "python.md"), "exec"), namespace)


def test_command_line_page_runs(checkout: Path) -> None:
    """Every command of docs/cli.md succeeds and prints something."""
    from seqdemo.cli import main

    commands = [line for _, block in blocks("cli.md", "sh") for line in block.splitlines()]
    assert len(commands) >= 10
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "seqdemo"
        done = CliRunner().invoke(main, arguments, prog_name="seqdemo")
        assert done.exit_code == 0, f"{command}\n{done.output}"
        assert done.stdout.strip(), command


@pytest.mark.parametrize("page", ["python.md", "cli.md", "compare.md"])
def test_links_lead_somewhere(page: str) -> None:
    """A page links to files that exist."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / "docs" / target).exists(), target
