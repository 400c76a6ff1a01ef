"""``train`` and ``eval`` on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqdemo.cli import main
from seqdemo.cli.training import _files
from seqdemo.training.presets import PRESETS

SMALL = [
    "--hidden",
    "12",
    "--task.embedding-size",
    "6",
    "--batch-size",
    "4",
    "--window",
    "8",
    "--steps",
    "20",
    "--validate-every",
    "10",
    "--precision",
    "fp32",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--sample-tokens",
    "4",
    "--quiet",
]


def seqdemo(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], prog_name="seqdemo")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text of a few thousand characters."""
    path = tmp_path / "a text.txt"
    path.write_text("The time traveller smiled at us. " * 60)
    return path


def test_train_then_eval(text: Path, tmp_path: Path) -> None:
    """A checkpoint is written; eval prints its metrics as a table and as JSON; the card holds the exact command."""
    out = tmp_path / "out"
    flags = ["--data", text, text, "--out", out, "--license", "MIT", "--summary", "Tiny."]
    trained = seqdemo("train", "generation", "--model", "gru", "--tokenizer", "bytes", *flags, *SMALL)
    assert trained.exit_code == 0, trained.output
    assert "step 20 of 20" in trained.output
    manifest = json.loads((out / "seqdemo.json").read_text())
    assert manifest["models"]["decoder"]["name"] == "gru"
    assert manifest["models"]["decoder"]["config"]["hidden_size"] == 12
    assert manifest["task"]["config"]["embedding_size"] == 6
    card = (out / "README.md").read_text()
    assert f"seqdemo train generation --model gru --tokenizer bytes --data '{text}' '{text}' --out" in card
    as_json = seqdemo("eval", out, "--data", text, "--part", "validation", "--json", "--device", "cpu")
    metrics = json.loads(as_json.output)
    assert metrics["loss"] == pytest.approx(manifest["metrics"]["loss"], rel=0.05)
    table = seqdemo("eval", out, "--data", text, "--device", "cpu")
    assert table.exit_code == 0
    for name in ("loss", "perplexity", "bits per character", "bits per byte"):
        assert name in table.output


def test_help_shows_the_flags_of_the_chosen_names() -> None:
    """Each model's, tokenizer's and task's own flags appear with their prefixes, and the short ones."""
    rnn = seqdemo("train", "generation", "--model", "rnn", "--help").output
    assert "--model.nonlinearity" in rnn
    gru = seqdemo("train", "generation", "--model", "gru", "--tokenizer", "sentencepiece", "--help").output
    assert "--model.nonlinearity" not in gru
    for flag in ("--hidden, --model.hidden-size", "--tokenizer.vocab-size", "--task.tie-weights", "--batch-size"):
        assert flag in gru


def test_a_preset_gives_way_to_flags(text: Path, tmp_path: Path) -> None:
    """A preset's values hold unless a flag says otherwise."""
    out = tmp_path / "out"
    result = seqdemo("train", "--preset", "shakespeare-3min", "--data", text, "--out", out, *SMALL)
    assert result.exit_code == 0, result.output
    choices = json.loads((out / "training" / "run.json").read_text())["choices"]
    assert choices["training"]["max_seconds"] == PRESETS["shakespeare-3min"].training["max_seconds"]
    assert choices["training"]["batch_size"] == 4
    assert choices["models"]["decoder"]["config"]["hidden_size"] == 12


def test_a_run_begins_from_a_checkpoint(text: Path, tmp_path: Path) -> None:
    """--init-from takes a checkpoint's vocabulary and weights; flags of a tokenizer beside it are refused."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert seqdemo("train", "--data", text, "--out", first, *SMALL).exit_code == 0
    begun = seqdemo("train", "--init-from", first, "--data", text, "--out", second, *SMALL)
    assert begun.exit_code == 0, begun.output
    assert f"Begun from {first}" in (second / "README.md").read_text()
    refused = seqdemo("train", "--init-from", first, "--tokenizer", "bytes", "--data", text, "--out", second, *SMALL)
    assert refused.exit_code == 2
    assert "takes its tokenizers" in refused.output


def test_columns_and_joined_lists(tmp_path: Path) -> None:
    """--column names what to read, --join what comes between the texts of a list."""
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"story": ["One fine day.", "It rained."]}) + "\n" for _ in range(30)))
    out = tmp_path / "out"
    result = seqdemo("train", "--data", data, "--column", "text=story", "--join", r"\n\n", "--out", out, *SMALL)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "training" / "run.json").read_text())["choices"]["data"]["join"] == "\n\n"


WRONG = {
    "no data": (["--out", "{out}"], "--data"),
    "no out": (["--data", "{text}"], "--out"),
    "missing file": (["--data", "nowhere.txt", "--out", "{out}"], "nowhere.txt"),
    "model": (["--model", "lstn", "--data", "{text}", "--out", "{out}"], "Did you mean 'lstm'?"),
    "tokenizer": (["--tokenizer", "chars", "--data", "{text}", "--out", "{out}"], "Did you mean 'char'?"),
    "task": (["generatoin", "--data", "{text}", "--out", "{out}"], "Did you mean 'generation'?"),
    "preset": (["--preset", "x", "--data", "{text}", "--out", "{out}"], "shakespeare-3min"),
    "option": (["--data", "{text}", "--out", "{out}", "--hiden", "3"], "--hiden"),
    "hidden": (["--data", "{text}", "--out", "{out}", "--hidden", "0"], "hidden_size = 0"),
    "rate": (["--data", "{text}", "--out", "{out}", "--learning-rate", "nan"], "learning_rate = nan"),
    "number": (["--data", "{text}", "--out", "{out}", "--steps", "many"], "many"),
    "one character": (["--data", "{one}", "--out", "{out}"], "too little data"),
    "rubbish": (["--data", "{rubbish}", "--out", "{out}"], "NUL"),
    "vocabulary": (
        ["--tokenizer", "sentencepiece", "--tokenizer.vocab-size", "9000", "--data", "{text}", "--out", "{out}"],
        "9000",
    ),
    "cuda": (["--data", "{text}", "--out", "{out}", "--device", "cuda:9"], "cuda:9"),
    "column": (["--data", "{text}", "--out", "{out}", "--column", "story"], "NAME=COLUMN"),
    "prompt": (["--data", "{text}", "--out", "{out}", "--sample-prompt", "日本"], "日"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(case: str, text: Path, tmp_path: Path) -> None:
    """Exit status 2, one line that names what was wrong, and no folder."""
    (tmp_path / "one.txt").write_text("a")
    (tmp_path / "rubbish.txt").write_bytes(bytes(range(256)))
    places = {
        "out": tmp_path / "out",
        "text": text,
        "one": tmp_path / "one.txt",
        "rubbish": tmp_path / "rubbish.txt",
    }
    args, said = WRONG[case]
    result = seqdemo("train", *[arg.format(**places) for arg in args])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert result.output.count("\n") == 1
    assert result.output.startswith("Error: ")
    assert not (tmp_path / "out").exists()


def test_eval_of_nothing(text: Path, tmp_path: Path) -> None:
    """A checkpoint or a file that is not there is one line too."""
    for args in (["nope", "--data", text], [tmp_path, "--data", text], ["nope"]):
        result = seqdemo("eval", *args)
        assert result.exit_code == 2
        assert result.output.count("\n") == 1


def test_ctrl_c_saves_and_says_how_to_go_on(text: Path, tmp_path: Path) -> None:
    """A real process that gets Ctrl-C ends with 130 and a line; the same command finishes the run."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "seqdemo", "train", "--data", str(text), "--out", str(out), *SMALL]
    command += ["--steps", "1000000", "--log-every", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        lines = out / "training" / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (lines.exists() and lines.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on" in said
    assert "Traceback" not in said
    assert list((out / "training").glob("state-*"))


def test_files_after_a_flag() -> None:
    """Words after --data are its files, up to the next flag."""
    flags = frozenset({"--data"})
    assert _files(["x", "--data", "a", "b", "--out", "c"], flags) == ["x", "--data", "a", "--data", "b", "--out", "c"]
    assert _files(["--data=a", "b"], flags) == ["--data=a", "b"]
    assert _files(["--data", "--", "a"], flags) == ["--", "a"]
