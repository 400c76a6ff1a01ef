"""``train sentiment``, ``eval`` and ``predict`` on the command line."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that knows good from bad, trained by the command from a table with other column names."""
    from seqdemo.cli import main

    folder = tmp_path_factory.mktemp("classifier")
    rows = [f'"{"so " * (n % 5)}{("bad", "good")[n % 3 == 0]}, really",{(1, 5)[n % 3 == 0]}' for n in range(90)]
    (folder / "reviews.csv").write_text("review,stars\n" + "\n".join(rows) + "\n", "utf-8")
    flags = ["--hidden", "8", "--task.embedding-size", "8", "--steps", "60", "--learning-rate", "0.03"]
    flags += ["--column", "text=review", "--column", "label=stars", "--device", "cpu", "--threads", "1", "--quiet"]
    command = ["train", "sentiment", "--data", str(folder / "reviews.csv")]
    done = CliRunner().invoke(main, [*command, "--out", str(folder / "run"), *flags], prog_name="seqdemo")
    assert done.exit_code == 0, done.output
    assert "accuracy 1" in done.output
    return folder / "run"


def test_texts_one_by_one(checkpoint: Path, cli: Run) -> None:
    """Each text gets a line with its class; standard input is one; a long text is shown cut, and read whole."""
    done = cli("predict", str(checkpoint), "so good, really", "bad, really", "", "-", stdin="good")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["5", "1"]
    assert lines[0].endswith("%  so good, really")
    assert len(lines) == 4
    long = cli("predict", str(checkpoint), "bad, really " * 10_000).stdout
    assert long.startswith("1 ")
    assert len(long) < 300


def test_explained(checkpoint: Path, cli: Run) -> None:
    """``--explain`` shows each token with what it contributed and the prediction after it; JSON has all of it."""
    done = cli("predict", str(checkpoint), "so good, really", "--explain", "all")
    tokens = [line.split() for line in done.stdout.splitlines()[1:]]
    assert max(tokens, key=lambda cells: float(cells[-2]))[1] == "good'"
    (row,) = map(
        json.loads, cli("predict", str(checkpoint), "bad", "--explain", "running", "--json").stdout.splitlines()
    )
    assert row["label"] == "1"
    assert row["tokens"] == ["bad"]
    assert row["running"]["1"] == pytest.approx([row["scores"]["1"]])
    assert row["contributions"] is None


@pytest.mark.parametrize("packed", [False, True])
def test_inputs_from_files(checkpoint: Path, cli: Run, tmp_path: Path, packed: bool) -> None:
    """Tables need no label to be predicted; in a text file each line is an input, empty ones too."""
    files = {
        "in.csv": 'review,x\n"good, really",1\nbad,2\n',
        "in.txt": "good\n\nbad\n",
        "in.jsonl": '{"text": "bad"}\n',
    }
    for name, text in files.items():
        path = tmp_path / (f"{name}.xz" if packed else name)
        path.write_bytes(lzma.compress(text.encode()) if packed else text.encode())
        done = cli("predict", str(checkpoint), "--data", str(path), "--column", "text=review", "--json")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        wanted = {"in.csv": ["good, really", "bad"], "in.txt": ["good", "", "bad"], "in.jsonl": ["bad"]}[name]
        assert [row["text"] for row in found] == wanted


def test_eval_measures_classes(checkpoint: Path, cli: Run, tmp_path: Path) -> None:
    """``eval`` gives loss, accuracy, macro-F1 and calibration error; an unknown label is one line."""
    table = tmp_path / "table.jsonl"
    table.write_text('{"text": "good, really", "label": 5}\n{"text": "bad, really", "label": 1}\n', "utf-8")
    found = json.loads(cli("eval", str(checkpoint), "--data", str(table), "--json").stdout)
    assert found.keys() == {"loss", "accuracy", "macro_f1", "calibration_error"}
    assert found["accuracy"] == found["macro_f1"] == 1
    table.write_text('{"text": "good, really", "label": 3}\n', "utf-8")
    done = cli("eval", str(checkpoint), "--data", str(table))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "Row 1 of the data: The label '3' is not one that this head tells apart; they are: 1, 5." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give the texts, or name a file"),
        (["x", "--data", "y"], "Give the texts, or name a file"),
        (["--data", "nowhere.csv"], "There is no data file nowhere.csv"),
        (["x", "--explain", "why"], "'why' is not one of"),
        (["x", "--temperature", "1"], "No such option"),
    ],
)
def test_one_line_says_what_is_wrong(checkpoint: Path, cli: Run, arguments: list[str], said: str) -> None:
    """Wrong use ends with status 2 and one line; options of other tasks are no options here."""
    done = cli("predict", str(checkpoint), *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_translation_that_was_asked_for(cli: Run, tmp_path: Path) -> None:
    """``--n-best`` prints each text a search found with its score, the best first, apart from the next input's."""
    import seqdemo

    pipe = seqdemo.pipeline(
        "translation",
        model="gru",
        tokenizer="bytes",
        tokenizer_config={"end_token": True},
        model_config={"hidden_size": 6},
        task_config={"embedding_size": 6, "attention_size": 4, "encoder_layers": 1},
        device="cpu",
    )
    folder = str(pipe.save(tmp_path / "translator"))
    flags = ["--beam-size", "4", "--max-tokens", "3", "--device", "cpu"]
    expected = pipe(["ab", "c"], beam_size=4, n_best=3, max_tokens=3)
    found = cli("predict", folder, "ab", "c", *flags, "--n-best", "3")
    assert found.exit_code == 0, found.stderr
    shown = ["\n".join(f"{one.score:9.4f}  {one}" for one in result.alternatives) for result in expected]
    assert found.stdout == "\n\n".join(shown) + "\n\n"
    assert all(len(result.alternatives) > 1 for result in expected)
    assert cli("predict", folder, "ab", *flags).stdout == f"{expected[0]}\n"
