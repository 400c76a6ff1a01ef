"""The script that brings sentiment sets into one form."""

from __future__ import annotations

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "checkpoints" / "prepare_sentiment.py"

TREES = {
    "train": "(3 (2 A) (4 (3 lovely) (2 \\/ film)))\n(2 (2 So) (2 so))\n(1 (2 Not) (3 good))\n",
    "dev": "(1 (2 Not) (3 good))\n(2 (2 Neutral) (2 -RRB-))\n",
    "test": "(0 (2 ``) (1 Dull))\n",
}


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.encode()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few rows of each set, as the sets are published."""
    folder = tmp_path / "data"
    for part, trees in TREES.items():
        pack(folder / "sst" / f"trees_{part}.txt.xz", trees)
        reviews = [{"label": n % 2, "text": f"{part} {n}<br /><br />line\u0085end"} for n in range(30)]
        if part != "dev":
            pack(folder / "imdb" / f"{part}.jsonl.xz", "".join(f"{json.dumps(row)}\n" for row in reviews))
        pack(folder / "zh_sentiment" / f"chnsenticorp_{part}.tsv.xz", f'label\ttext_a\n1\t"{part} 好\n0\t不好\n')
        pack(
            folder / "goemotions" / f"{part}.tsv.xz",
            f"text\tlabel\tid\n{part} wow\t0,1\ta\nbah\t2\tb\nhm\t0,2\tc\nhuh\t3\td\noh\t3,0\te\n",
        )
        (folder / "poem_sentiment").mkdir(exist_ok=True)
        (folder / "poem_sentiment" / f"{part}.tsv").write_text(f"0\t{part} rose\t0\n1\tthorn\t2\n2\tash\t-1\n", "utf-8")
    (folder / "uci_sentiment").mkdir()
    for name in ("amazon_cells", "yelp"):
        told = "".join(f'{name} "{n}\t{n % 2}\n' for n in range(60))
        (folder / "uci_sentiment" / f"{name}_labelled.txt").write_text(told, "utf-8")
    (folder / "goemotions" / "labels.txt").write_text("joy\nlove\nanger\nwonder\n", "utf-8")
    groups = {"positive": ["joy", "love"], "negative": ["anger"], "ambiguous": ["wonder"]}
    (folder / "goemotions" / "sentiment_map.json").write_text(json.dumps(groups), "utf-8")
    return folder


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)


def rows(path: Path) -> list[tuple[str, Any]]:
    return [(row["text"], row["label"]) for row in map(json.loads, path.read_text("utf-8").strip("\n").split("\n"))]


def test_every_set_in_one_form(data: Path, tmp_path: Path) -> None:
    """Phrases of trees, reviews, a table without quotes, grouped emotions; what is held out is not trained on."""
    out = tmp_path / "out"
    assert run(data, out).returncode == 0
    trained = rows(out / "sst2" / "train.jsonl")
    assert trained == [
        ("lovely", "positive"),
        ("lovely / film", "positive"),
        ("A lovely / film", "positive"),
        ("good", "positive"),
    ]
    assert rows(out / "sst2" / "train-sentences.jsonl") == [("A lovely / film", "positive")]
    assert rows(out / "sst2" / "dev.jsonl") == [("Not good", "negative")]
    assert rows(out / "sst2" / "test.jsonl") == [('"Dull', "negative")]
    graded = rows(out / "sst2" / "train-graded.jsonl")
    assert ("lovely / film", {"negative": 0.0, "positive": 1.0}) in graded
    assert ("So so", {"negative": 0.5, "positive": 0.5}) in graded
    assert ("A lovely / film", "positive") in graded
    assert len(graded) == 10
    reviews = [rows(out / "imdb" / f"{part}.jsonl") for part in ("train", "dev")]
    assert sorted(reviews[0] + reviews[1]) == sorted(
        (f"train {n}\nline\u0085end", ("negative", "positive")[n % 2]) for n in range(30)
    )
    assert reviews[1]
    assert rows(out / "chnsenticorp" / "train.jsonl") == [('"train 好', "positive")]
    emotions = [("test wow", "positive"), ("bah", "negative"), ("huh", "ambiguous")]
    assert rows(out / "goemotions" / "test.jsonl") == emotions
    report = json.loads((out / "sst2" / "report.json").read_text("utf-8"))
    assert report["train"] == {"rows": 4, "labels": {"positive": 4}, "left_out": {"repeated": 0, "held_out": 1}}


def test_choices(data: Path, tmp_path: Path) -> None:
    """Sets and labels can be chosen, training rows kept as published; what is not there is said in a line."""
    out = tmp_path / "out"
    assert run(data, out, "--sets", "goemotions", "--labels", "negative", "--as-published").returncode == 0
    assert [path.name for path in out.iterdir()] == ["goemotions"]
    assert rows(out / "goemotions" / "train.jsonl") == [("bah", "negative")]
    empty = run(tmp_path / "nowhere", out)
    assert empty.returncode == 2
    assert "holds none of the folders sst, imdb" in empty.stderr
    (data / "sst" / "trees_dev.txt.xz").unlink()
    lacking = run(data, out, "--sets", "sst2")
    assert lacking.returncode == 2
    assert "trees_dev.txt.xz" in lacking.stderr
    assert "Traceback" not in lacking.stderr


def test_tokens_as_text(tmp_path: Path) -> None:
    """Marks, endings and quotes of a tree stand where they are written."""
    tokens = "`` It does n't -LRB- quite -RRB- work , '' he 's said ... the 1\\/2 $ 5 dogs ' ` bark ' ."
    tree = "(3 " + re.sub("[^ ]+", r"(2 \g<0>)", tokens) + ")\n"
    for part in ("train", "dev", "test"):
        pack(tmp_path / "sst" / f"trees_{part}.txt.xz", tree)
    assert run(tmp_path, tmp_path / "out", "--sets", "sst2").returncode == 0
    ((text, _),) = rows(tmp_path / "out" / "sst2" / "dev.jsonl")
    assert text == "\"It doesn't (quite) work,\" he's said... the 1/2 $5 dogs' 'bark'."


def test_what_the_english_checkpoint_learns_from(data: Path, tmp_path: Path) -> None:
    """Comments without ambiguous emotions, shared where they are of two groups; sentences in three parts; verses."""
    assert run(data, tmp_path / "out", "--sets", "english").returncode == 0
    parts = {part: rows(tmp_path / "out" / "english" / f"{part}.jsonl") for part in ("train", "dev", "test")}
    train, told = parts["train"], [row for part in parts.values() for row in part]
    assert ("train wow", "positive") in train
    assert ("hm", {"negative": 0.5, "positive": 0.5}) in train
    assert not any(text == "huh" for text, _ in told)
    assert ("oh", "positive") in parts["test"]
    assert ("train rose", "neutral") in train
    assert not any(text == "thorn" for text, _ in told)
    for name in ("amazon_cells", "yelp"):
        found = [(text, label) for text, label in told if text.startswith(name)]
        assert sorted(found) == sorted((f'{name} "{n}', ("negative", "positive")[n % 2]) for n in range(60))
        assert 30 < sum(text.startswith(name) for text, _ in train) < 60
