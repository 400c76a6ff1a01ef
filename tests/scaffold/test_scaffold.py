"""What ``write_plugin`` writes, and what it refuses."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqdemo import scaffold as room
from seqdemo.errors import ConfigError, SeqdemoError, UnknownNameError
from seqdemo.manager import manager, reload
from seqdemo.scaffold import SUMMARIES, Written, write_plugin

KINDS = list(SUMMARIES)
Scaffold = Callable[[str], Written]
Install = Callable[[Path], None]


@pytest.mark.parametrize("kind", KINDS)
def test_own_tests_pass(kind: str, own_tests: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    """A fresh distribution passes its own tests as it is, the conformance checks and a training run among them."""
    done = own_tests(kind)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("kind", KINDS)
def test_commands_work_when_pasted(
    kind: str, scaffold: Scaffold, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed without a problem, and the commands that are printed train (here: three steps) and talk."""
    from seqdemo.cli import main

    written = scaffold(kind)
    install(written.folder)
    (info,) = [info for info in reload().plugins() if info.name == f"try-{kind}"]
    assert info.health == "ok"
    assert info.records[f"{kind}s"] == (f"try-{kind}",)
    monkeypatch.chdir(written.folder.parent)
    enter, *_, train, chat = [shlex.split(command) for command in written.next]
    assert enter == ["cd", str(written.folder)]
    monkeypatch.chdir(enter[1])
    train[train.index("--steps") + 1] = "3"
    short = ["--hidden", "8", "--sample-tokens", "0", "--device", "cpu", "--quiet"]
    done = CliRunner().invoke(main, [*train[1:], *short], prog_name="seqdemo")
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, [*chat[1:], "--max-tokens", "3"], input="The time\nand then\n/quit\n")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_from_a_folder(kind: str, scaffold: Scaffold, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--plugins`` takes the distribution's folder as it is, without installing."""
    monkeypatch.setenv("SEQDEMO_PLUGINS", str(scaffold(kind).folder))
    (info,) = [info for info in reload().plugins() if info.name == f"seqdemo_try_{kind}"]
    assert info.health == "ok"
    assert manager().implementation(f"{kind}s", f"try-{kind}")
    assert manager().config_class(f"{kind}s", f"try-{kind}")


def test_lint_and_format(scaffold: Scaffold) -> None:
    """What is written is as tidy as what is around it."""
    for kind in KINDS:
        folder = scaffold(kind).folder
        for command in (["check", "--select", "E,F,W,I,B,UP,SIM,PT"], ["format", "--check"]):
            done = subprocess.run(
                ["ruff", *command, "--isolated", "--line-length", "120", "."],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_to_fill_in(kind: str, scaffold: Scaffold) -> None:
    """No placeholder survives, in a path or in a text."""
    written = scaffold(kind)
    found = sorted(path.relative_to(written.folder).as_posix() for path in written.folder.rglob("*") if path.is_file())
    assert found == list(written.files)
    assert {"README.md", "pyproject.toml", f"seqdemo_try_{kind}/config.py"} <= set(found)
    for path in found:
        text = (written.folder / path).read_text("utf-8")
        assert "$" not in text + path
        assert "PACKAGE" not in text + path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My_Cell", "Try 'my-cell'"),
        ("2rnn", "Try 'rnn'"),
        ("", "a letter first"),
        ("a--b", "Try 'a-b'"),
        ("x" * 41, "at most 40"),
        ("../evil", "Try 'evil'"),
        ("cell\n", "Try 'cell'"),
        ("seqdemo-mgu", "Leave the prefix out"),
        ("lstm", "from seqdemo"),
    ],
)
def test_refused_names(name: str, said: str, tmp_path: Path) -> None:
    """A name that cannot be used is refused in one line that offers a way on, and nothing is written."""
    with pytest.raises(ConfigError, match=said) as raised:
        write_plugin(name, "model", tmp_path)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_taken_within_its_kind_only(tmp_path: Path) -> None:
    """``lstm`` may be a tokenizer."""
    assert write_plugin("lstm", "tokenizer", tmp_path).folder.is_dir()


def test_a_one_file_plugin_may_become_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that a plugin in a folder has is not taken; one of an installed distribution is."""
    hook = (
        "from seqdemo.plugin import ModelRecord, hookimpl\n\n@hookimpl\ndef seqdemo_models():\n"
        "    return [ModelRecord('{0}', 'some.module:Cell', 'seqdemo.plugin.config:ModelConfig')]\n"
    )
    (tmp_path / "try_folder.py").write_text(hook.format("try-folder"))
    monkeypatch.setenv("SEQDEMO_PLUGINS", str(tmp_path / "try_folder.py"))
    info = tmp_path / "site" / "other-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqdemo]\nmain = seqdemo_try_installed\n")
    (tmp_path / "site" / "seqdemo_try_installed.py").write_text(hook.format("try-installed"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert {"try-folder", "try-installed"} <= set(manager().records("models"))
    assert write_plugin("try-folder", "model", tmp_path).folder.is_dir()
    with pytest.raises(ConfigError, match="from other"):
        write_plugin("try-installed", "model", tmp_path)


def test_unknown_kind(tmp_path: Path) -> None:
    """The kinds there are, are named."""
    with pytest.raises(UnknownNameError, match="model, task, tokenizer"):
        write_plugin("mine", "head", tmp_path)


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """Nothing is overwritten, not even an empty folder or a link that leads nowhere."""
    (tmp_path / "seqdemo-mine").mkdir()
    (tmp_path / "seqdemo-other").symlink_to(tmp_path / "nowhere")
    for name in ("mine", "other"):
        with pytest.raises(ConfigError, match="exists and is left alone"):
            write_plugin(name, "model", tmp_path)
    assert list((tmp_path / "seqdemo-mine").iterdir()) == []


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up half-way leaves nothing behind."""
    real = Path.write_text

    def full(self: Path, *given: object, **more: object) -> int:
        if self.name == "model.py":
            raise OSError(28, "No space left on device")
        return real(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SeqdemoError, match="the disk is full"):
        write_plugin("mine", "model", tmp_path / "deep")
    assert list((tmp_path / "deep").iterdir()) == []


def test_requirement_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seqdemo that is not installed has no version to ask for."""
    monkeypatch.setattr(room, "installed_version", lambda: "0+unknown")
    text = (write_plugin("mine", "model", tmp_path).folder / "pyproject.toml").read_text("utf-8")
    assert 'dependencies = ["seqdemo"]' in text
