"""``bench``: the figures are of what they say, and wrong wishes are named. Nothing here compares speeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import seqdemo
from seqdemo.bench import _weight_bytes, bench
from seqdemo.cli import main
from seqdemo.errors import ConfigError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that takes no time."""
    made = seqdemo.pipeline(
        model="gru",
        tokenizer="char",
        texts=["abcdefg \n"],
        model_config={"hidden_size": 8},
        task_config={"embedding_size": 4},
        device="cpu",
    )
    return made.save(tmp_path_factory.mktemp("bench") / "small")


def test_a_row_for_each(small: Path) -> None:
    """Every precision with every number of streams, and shares of a floor that grows with the streams."""
    found = bench(small, streams=(1, 3), seconds=0.01, repeats=2, device="cpu")
    assert [(row.precision, row.streams) for row in found.rows] == [
        (precision, streams) for precision in ("fp32", "bf16", "int8") for streams in (1, 3)
    ]
    for one, three in zip(found.rows[::2], found.rows[1::2], strict=True):
        assert three.floor == pytest.approx(3 * one.floor)
    for row in found.rows:
        assert row.lowest <= row.tokens_per_second <= row.highest
        assert row.share == pytest.approx(row.tokens_per_second / row.floor)
    assert found.parameters == sum(p.numel() for p in seqdemo.load(small, device="cpu").head.parameters())
    assert json.loads(json.dumps(found.as_json()))["rows"][0]["streams"] == 1


def test_more_streams_than_rows(small: Path) -> None:
    """Streams beyond the engine's capacity take their turn."""
    assert (
        bench(small, streams=(200,), precisions=["fp32"], seconds=0.01, repeats=1, device="cpu").rows[0].streams == 200
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("prepared", [True, False])
def test_weights_that_are_read(tied: bool, prepared: bool) -> None:
    """Matrices of the layers and the output count; an embedding counts only where it is the output too. Where it is
    folded into a table, the first layer's input weights are looked up with it."""
    pipe = seqdemo.pipeline(
        model="rnn" if prepared else "scratch-rnn",
        tokenizer="char",
        texts=["abcdefgh"],
        model_config={"hidden_size": 4},
        task_config={"embedding_size": 4, "tie_weights": tied},
        device="cpu",
    )
    vocabulary = pipe.tokenizers["text"].vocab_size
    assert (pipe.stepper.reads is not None) == prepared
    recurrent = 4 * 4 if prepared else 4 * 4 + 4 * 4
    assert _weight_bytes(pipe, "int8") == recurrent + vocabulary * 4
    assert _weight_bytes(pipe, "fp32") == 4 * _weight_bytes(pipe, "int8")


def test_the_command(small: Path, tmp_path: Path) -> None:
    """A table, JSON, and a picture beside either."""
    asked = ["bench", str(small), "--streams", "1,2", "--seconds", "0.01", "--repeats", "1", "--precision", "fp32"]
    table = CliRunner().invoke(main, asked, prog_name="seqdemo")
    assert table.exit_code == 0, table.output
    assert "tokens/s" in table.stdout
    assert "state" in table.stdout
    picture = tmp_path / "speed.png"
    done = CliRunner().invoke(main, [*asked, "--json", "--plot", str(picture)], prog_name="seqdemo")
    assert done.exit_code == 0, done.output
    assert [row["streams"] for row in json.loads(done.stdout)["rows"]] == [1, 2]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--streams", "0"], "from 1 to 1024"),
        (["--streams", "many"], "from 1 to 1024"),
        (["--precision", "fp8"], "fp32, bf16, int8"),
        (["--plot", "speed.jpg"], ".png nor a .svg"),
        (["--plot", "nowhere/speed.png"], "no folder"),
    ],
)
def test_wrong_wishes(small: Path, wrong: list[str], said: str) -> None:
    """Each is one line that says what is accepted."""
    done = CliRunner().invoke(main, ["bench", str(small), *wrong], prog_name="seqdemo")
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_seconds_have_bounds(small: Path) -> None:
    """From Python too."""
    with pytest.raises(ConfigError, match="seconds"):
        bench(small, seconds=0.0)
