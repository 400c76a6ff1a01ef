"""Every block of the documentation runs, from top to bottom, as a reader would run it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqdemo import manager as registry

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>not run|file): (?P<said>[^\n]+) -->\n)?```(?P<language>python|sh)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that has the data the pages speak of, and is the current one; no plugin, and none left over."""
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "examples" / "data")
    shutil.copy(ROOT / "examples" / "data" / "time_machine.txt", tmp_path / "book.txt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQDEMO_PLUGINS", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", ())
    return tmp_path


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Line number and content of every block in a language that is to be run."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start("code")) + 1, found["code"])
        for found in BLOCK.finditer(text)
        if found["language"] == language and not found["mark"]
    ]


def run_command(command: str) -> None:
    """Run a line of a shell block; it must succeed and print something."""
    from seqdemo.cli import main

    name, *arguments = shlex.split(command)
    assert name == "seqdemo"
    done = CliRunner().invoke(main, arguments, prog_name="seqdemo")
    assert done.exit_code == 0, f"{command}\n{done.output}"
    assert done.stdout.strip(), command


def run_page(page: str) -> int:
    """Run a page from top to bottom in the current folder: files are written, the rest runs. How many blocks did."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    namespace: dict[str, object] = {}
    done = 0
    for found in BLOCK.finditer(text):
        if found["mark"] == "not run":
            continue
        done += 1
        if found["mark"] == "file":
            path = Path(found["said"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found["code"], encoding="utf-8")
        elif found["language"] == "python":
            padded = "\n" * text.count("\n", 0, found.start("code")) + found["code"]
            exec(compile(padded, str(ROOT / "docs" / page), "exec"), namespace)
        else:
            for command in found["code"].splitlines():
                run_command(command)
    return done


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
    commands = [line for _, block in blocks("cli.md", "sh") for line in block.splitlines()]
    assert len(commands) >= 10
    for command in commands:
        run_command(command)


def test_tutorial_runs(checkout: Path) -> None:
    """The cell of docs/write-a-model.md passes the kit, trains, generates and becomes a package, as the page says."""
    assert run_page("write-a-model.md") >= 12
    # What the page says in words: the cell goes into the package, and the package's tests run with it.
    shutil.copy("my-plugins/mgu.py", "seqdemo-mgu/seqdemo_mgu/model.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "step_equals_forward or ragged"],
        cwd="seqdemo-mgu",
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_plugins_page_runs(checkout: Path) -> None:
    """The commands of docs/plugins.md succeed."""
    assert run_page("plugins.md") >= 4


def test_translation_page_runs(checkout: Path) -> None:
    """A translator is trained, called and measured as docs/translate.md says."""
    assert run_page("translate.md") >= 5


def test_classification_page_runs(checkout: Path) -> None:
    """A classifier is trained, asked, explained and measured as docs/classify.md says."""
    assert run_page("classify.md") >= 2


def test_conversation_page_runs(checkout: Path) -> None:
    """A model that answers in turns is trained and talked to as docs/converse.md says."""
    assert run_page("converse.md") == 1


@pytest.mark.parametrize("page", ["python.md", "cli.md", "compare.md", "translate.md", "classify.md"])
def test_links_lead_somewhere(page: str) -> None:
    """A page links to files that exist."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (ROOT / "docs" / target).exists(), target
