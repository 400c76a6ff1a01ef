"""A translator from two text files to sentences: trained, measured, loaded and called."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seqdemo import evaluate, load, train
from seqdemo.cli import main
from seqdemo.errors import ConfigError, DataError
from seqdemo.plugin import Token, Translation
from seqdemo.training.presets import PRESETS

WORDS = [("ein", "a"), ("alter", "old"), ("roter", "red"), ("Hund", "dog"), ("Vogel", "bird"), ("rennt", "runs")]
WORDS += [("singt", "sings"), ("heute", "today"), ("immer", "always")]
PAIRS = [
    (" ".join(WORDS[k][0] for k in chosen), " ".join(WORDS[k][1] for k in (*chosen[-1:], *chosen[:-1])))
    for chosen in itertools.product((0,), (1, 2), (3, 4), (5, 6), (7, 8))
]
"""The last word of the source comes first in the target."""

SMALL: dict[str, Any] = {
    "tokenizer": "words",
    "tokenizer_config": {"end_token": True},
    "model_config": {"hidden_size": 32},
    "task_config": {"embedding_size": 24, "attention_size": 12, "dropout": 0.0, "label_smoothing": 0.0},
    "validation_fraction": 0.0,
    "batch_size": 8,
    "steps": 150,
    "learning_rate": 1e-2,
    "warmup_steps": 5,
    "precision": "fp32",
    "device": "cpu",
    "threads": 1,
    "sample_tokens": 0,
    "progress": False,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pairs as two text files whose lines belong together."""
    folder = tmp_path_factory.mktemp("corpus")
    paths = [folder / "train.de", folder / "train.en"]
    for side, path in enumerate(paths):
        path.write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    return paths


@pytest.fixture(scope="module")
def checkpoint(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has learned the pairs."""
    return train("translation", data=files, out=tmp_path_factory.mktemp("run") / "toy", **SMALL).folder


def test_it_translates_in_the_shape_of_its_input(checkpoint: Path) -> None:
    """One text, a mapping, a list and an iterator, greedy and with a beam."""
    pipe = load(checkpoint)
    sources = [source for source, _ in PAIRS]
    found = pipe(sources)
    assert [str(one) for one in found] == [target for _, target in PAIRS]
    assert [str(one) for one in pipe(sources, beam_size=4)] == [target for _, target in PAIRS]
    (source, target), *_ = PAIRS
    one = pipe(source)
    assert isinstance(one, Translation)
    assert (one.text, pipe({"source": source}).text, next(pipe(iter([source]))).text) == (target,) * 3
    assert [str(each) for each in pipe(["", source])] == ["", target]
    assert ("".join(one.source_tokens), "".join(one.target_tokens)) == (source, target)
    assert [len(line) for line in one.alignment] == [len(one.source_tokens)] * len(one.target_tokens)
    streamed = "".join(getattr(event, "text", "") for event in pipe.stream(source))
    assert streamed == target


def test_a_search_that_the_checkpoint_prefers_gives_way_to_a_stream(checkpoint: Path, tmp_path: Path) -> None:
    """What is predicted is searched for; what is streamed is not, unless that was asked for, which is refused."""
    load(checkpoint).save(tmp_path / "wide", options={"beam_size": 3})
    pipe, source = load(tmp_path / "wide"), PAIRS[0][0]
    assert pipe.options({}).beam_size == 3  # type: ignore[attr-defined]
    assert str(pipe(source)) == "".join(event.text for event in pipe.stream(source) if isinstance(event, Token))
    with pytest.raises(ConfigError, match="no stream"):
        pipe.stream(source, beam_size=3)


def test_it_is_measured_by_its_translations(checkpoint: Path, files: list[Path]) -> None:
    """BLEU of a perfect translator is 100, whichever way it is asked."""
    found = evaluate(checkpoint, files, device="cpu", options={"beam_size": 2})
    assert found["bleu"] == pytest.approx(100)
    assert found["chrf"] == pytest.approx(100)
    assert len(found.notes) == 3
    assert load(checkpoint).evaluate(files)["bleu_lowercase"] == pytest.approx(100)
    with pytest.raises(ConfigError, match="beam"):
        evaluate(checkpoint, files, device="cpu", options={"beams": 2})


def test_the_command_line(checkpoint: Path, files: list[Path]) -> None:
    """``eval`` prints signatures and takes the beam's flags; ``generate`` streams, or prints what a beam found."""
    (source, target), *_ = PAIRS

    def run(*arguments: Any) -> str:
        done = CliRunner().invoke(main, [str(one) for one in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    measured = json.loads(run("eval", checkpoint, "--data", *files, "--beam-size", 2, "--json"))
    assert measured["bleu"] == pytest.approx(100)
    assert "tok:13a" in measured["notes"][0]
    assert "case:lc" in run("eval", checkpoint, "--data", *files)
    assert run("generate", checkpoint, source) == f"{target}\n"
    ranked = run("generate", checkpoint, source, "--beam-size", 3, "--n-best", 2).splitlines()
    assert len(ranked) == 2
    assert ranked[0].endswith(f"  {target}")
    assert json.loads(run("generate", checkpoint, source, "--beam-size", 3, "--json"))["text"] == target


def test_what_goes_wrong_is_a_word(checkpoint: Path, files: list[Path], tmp_path: Path) -> None:
    """Streams of a beam, inputs without a source, corpora that do not match, a vocabulary without an end."""
    pipe = load(checkpoint)
    with pytest.raises(ConfigError, match="beam_size = 1, or use predict"):
        pipe.stream("ein", beam_size=2)
    with pytest.raises(DataError, match="needs 'source'; this one has: text"):
        pipe({"text": "ein"})
    with pytest.raises(DataError, match="column 'source'"):
        pipe.score("a")
    assert pipe.score(PAIRS[0][1], source=PAIRS[0][0]).loss < 0.5
    short = tmp_path / "short.en"
    short.write_text("a\n")
    with pytest.raises(DataError, match=r"train\.de has 16 lines, .*short\.en has 1 lines"):
        train("translation", data=[files[0], short], out=tmp_path / "x", **SMALL)
    with pytest.raises(ConfigError, match="end_token"):
        train("translation", data=files, out=tmp_path / "x", **{**SMALL, "tokenizer_config": {}})
    rows = tmp_path / "rows.csv"
    rows.write_text("source,target\na,b\nc,\n")
    with pytest.raises(DataError, match="Row 2 of the data: The target is empty"):
        train("translation", data=rows, out=tmp_path / "x", **SMALL)
    rows.write_text("source,english\na,b\n")
    with pytest.raises(DataError, match=r"no column 'target'\. It has: source, english"):
        train("translation", data=rows, out=tmp_path / "x", **SMALL)


def test_a_preset_by_role_takes_values_for_every_role(files: list[Path], tmp_path: Path) -> None:
    """What is given beside a preset wins in each of the roles, and the rest of each stays."""
    given = {name: value for name, value in SMALL.items() if name not in ("model_config", "tokenizer_config")}
    preset = PRESETS["multi30k"]
    values = {**given, "steps": 1, "max_seconds": None, "tokenizer_config": {"end_token": True}}
    done = train(preset="multi30k", data=files, out=tmp_path / "run", **{**values, "model_config": {"hidden_size": 5}})
    models = json.loads((done.folder / "seqdemo.json").read_text())["models"]
    assert set(models) == set(preset.model_config)
    assert {one["config"]["hidden_size"] for one in models.values()} == {5}
