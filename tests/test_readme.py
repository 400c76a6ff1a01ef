"""The README's code and commands are what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seqdemo
from seqdemo import manager

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
READMES = ["README.md", "README.zh-CN.md"]


def blocks(name: str, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall((ROOT / name).read_text("utf-8")) if found == language]


def plain(code: str) -> str:
    """Code without comments, which are in the language of the page."""
    return re.sub(r"\s*#.*", "", code)


def test_both_languages_show_the_same_code() -> None:
    """The Chinese page has the English page's commands and programs."""
    for language in ("sh", "python"):
        english, chinese = (blocks(name, language) for name in READMES)
        assert [plain(code) for code in english] == [plain(code) for code in chinese]


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    folder = tmp_path / "my-plugins"
    folder.mkdir()
    (code,) = [code for code in blocks("README.md", "python") if "class Leaky" in code]
    (folder / "leaky.py").write_text(code)
    return folder


def test_the_plugin_trains_from_the_shell(leaky: Path, tmp_path: Path) -> None:
    """The README's plugin, saved as it is, trains with the README's command."""
    (command,) = [code for code in blocks("README.md", "sh") if "--plugins" in code]
    words = command.split()
    assert words[0] == "seqdemo"
    (tmp_path / "book.txt").write_text("the cat sat on the mat. " * 200)
    extra = ["--hidden", "8", "--steps", "3", "--batch-size", "4", "--window", "16", "--quiet", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", *words, *extra], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "seqdemo", "--plugins", "my-plugins", "generate", "runs/leaky", "the", "--seed", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_plugin_keeps_the_contract(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's cell: repeated steps equal forward, and its equation is the one in its docstring."""
    monkeypatch.setenv("SEQDEMO_PLUGINS", str(leaky))
    try:
        manager.reload()
        pipe = seqdemo.pipeline(model="leaky", model_config={"hidden_size": 5, "num_layers": 2}, device="cpu")
        model = pipe.head.decoder.double()  # type: ignore[union-attr]
        x = torch.randn(2, 7, 128, dtype=torch.float64)
        whole, _ = model(x)
        state = model.initial_state(2)
        for t in range(7):
            y, state = model.step(x[:, t], state)
            torch.testing.assert_close(y, whole[:, t])
    finally:
        monkeypatch.undo()
        manager.reload()


def test_the_python_of_the_first_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first program runs as printed on the shipped checkpoints."""
    (code,) = [code for code in blocks("README.md", "python") if "seqdemo.load" in code]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
    assert (tmp_path / "talk.safetensors").is_file()


def test_commands_of_the_first_page() -> None:
    """The shell examples run on the shipped checkpoints."""
    (code,) = [code for code in blocks("README.md", "sh") if "seqdemo chat" in code]
    for line in code.strip().splitlines():
        if " chat " in line:
            continue
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(line)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.parametrize("name", READMES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link and picture is a file."""
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text("utf-8")):
        assert (ROOT / target).exists(), target
