"""The command line as a whole: lightness, errors in one line, exit statuses, the page's address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from seqdemo import cli as package
from seqdemo.errors import SeqdemoError

Run = Callable[..., Any]
Shell = Callable[..., subprocess.CompletedProcess[str]]

LOADED = """
import sys
sys.argv = ["seqdemo", *sys.argv[1:]]
from seqdemo.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("LOADED", [name for name in ("torch", "gradio", "pandas", "numpy", "pydantic") if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["models"], ["tokenizers", "--json"], ["--version"]])
def test_light(shell: Shell, arguments: list[str]) -> None:
    """Help and listings import neither torch nor gradio nor pandas, and do without pydantic too."""
    done = shell(*arguments, code=LOADED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_importing_the_sdk_is_light(shell: Shell) -> None:
    """``import seqdemo`` loads nothing but itself; its names appear when they are used."""
    code = """
import sys
before = set(sys.modules)
import seqdemo
print({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))
print(seqdemo.__version__, seqdemo.SeqdemoError.__name__)
print([record.name for record in seqdemo.available("models")][:2], seqdemo.available("checkpoints")[:0])
print(seqdemo.plugins()[0].name, "load" in dir(seqdemo))
print([name for name in ("torch", "gradio", "pandas", "pydantic") if name in sys.modules])
try:
    seqdemo.available("cells")
except seqdemo.SeqdemoError as error:
    print(error)
try:
    seqdemo.nothing
except AttributeError as error:
    print(error)
"""
    lines = shell(code=code).stdout.splitlines()
    assert lines[0] == "{'seqdemo'}"
    assert lines[1].endswith("SeqdemoError")
    assert lines[2] == "['gru', 'lstm'] []"
    assert lines[3] == "builtin True"
    assert lines[4] == "[]"
    assert lines[5].endswith("Available: checkpoints, loaders, models, steppers, tasks, tokenizers.")
    assert lines[6] == "module 'seqdemo' has no attribute 'nothing'"


def test_pipeline_stays_a_function(shell: Shell) -> None:
    """``seqdemo.pipeline`` is the function, whoever imports the module of that name, and in whatever order."""
    code = """
import sys, types
import seqdemo
module = types.ModuleType("seqdemo.pipeline")
module.pipeline = lambda: "made"
seqdemo.pipeline = module  # as Python does after importing it
print(seqdemo.pipeline())
"""
    assert shell(code=code).stdout.strip() == "made"


def test_every_command_is_listed(cli: Run) -> None:
    """The help names every command with what it does."""
    text = cli("--help").output
    for name in (
        "chat",
        "generate",
        "predict",
        "score",
        "train",
        "eval",
        "models",
        "tokenizers",
        "tasks",
        "checkpoints",
        "plugins",
    ):
        assert f"\n  {name} " in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["--nonsense"], "No such option"),
        (["models", "--nonsense"], "Try 'seqdemo models --help'"),
        (["generate"], "Missing argument 'CHECKPOINT'"),
        (["--port", "0"], "--port"),
        (["--port", "8000", "models"], "for the page"),
        (["--plugins", "no/such/folder", "models"], "does not exist"),
        (["generate", "no-such-checkpoint", "x"], "There is no checkpoint named 'no-such-checkpoint'"),
    ],
)
def test_mistakes_are_one_line(cli: Run, arguments: list[str], said: str) -> None:
    """Whatever the user got wrong is one line on stderr, and exit status 2."""
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def command(monkeypatch: pytest.MonkeyPatch, body: Callable[[], Any]) -> None:
    """Make ``seqdemo models`` do something else."""
    monkeypatch.setattr(package.LazyGroup, "get_command", lambda *_: click.Command("models", callback=body))


def test_errors_of_commands(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SeqdemoError is its one line, however many lines it has."""

    def fail() -> None:
        raise SeqdemoError("first\n  second")

    command(monkeypatch, fail)
    result = cli("models")
    assert (result.exit_code, result.stderr) == (2, "Error: first second\n")


def test_ctrl_c(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is exit status 130 and no traceback."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    command(monkeypatch, interrupt)
    result = cli("models")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_bugs_keep_their_traceback(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is no user's is not dressed up as one."""

    def bug() -> None:
        raise ZeroDivisionError

    command(monkeypatch, bug)
    assert isinstance(cli("models").exception, ZeroDivisionError)


def test_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """A reader that goes away, as ``head`` does, causes no noise."""
    environment = {**os.environ, "SEQDEMO_HOME": str(tmp_path), "SEQDEMO_LOAD_PLUGINS": ""}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "seqdemo", "plugins", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How the page was asked to open."""
    calls: list[Any] = []
    page = types.ModuleType("seqdemo.ui")
    page.launch = lambda *given, auth: calls.append((*given, auth))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "seqdemo.ui", page)
    return calls


@pytest.mark.parametrize(
    ("arguments", "variables", "asked"),
    [
        ([], {}, (None, None, True, None)),
        (["--no-browser", "--host", "0.0.0.0", "--port", "8000"], {}, ("0.0.0.0", 8000, False, None)),
        (["--auth", __file__], {}, (None, None, True, __file__)),
        ([], {"GRADIO_SERVER_PORT": "9000", "GRADIO_SERVER_NAME": "::"}, ("::", 9000, True, None)),
        (["--port", "8000"], {"GRADIO_SERVER_PORT": "9000"}, (None, 8000, True, None)),
        (["--port", "8000"], {"GRADIO_SERVER_PORT": "rubbish"}, (None, 8000, True, None)),
    ],
)
def test_page(
    cli: Run,
    launched: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    asked: tuple[Any, ...],
) -> None:
    """Without a command the page opens, where the flags or else gradio's own variables say."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cli(*arguments).exit_code == 0
    assert launched == [asked]


def test_page_with_a_wrong_variable(cli: Run, launched: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A port variable that is no port is said, and nothing opens; listings do not care."""
    monkeypatch.setenv("GRADIO_SERVER_PORT", "http")
    result = cli()
    assert result.exit_code == 2
    assert "GRADIO_SERVER_PORT is 'http'" in result.stderr
    assert not launched
    assert cli("models").exit_code == 0
