"""The script that labels sentences by their translations."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "checkpoints" / "project_sentiment.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)


def test_labels_are_those_of_the_translations(tmp_path: Path) -> None:
    """Each row has the scores of its English side; no English sentence is in both parts; pairs occur once."""
    import seqdemo

    pipe = seqdemo.pipeline(
        "sentiment",
        tokenizer="bytes",
        model_config={"hidden_size": 4},
        task_config={"labels": ["bad", "good"], "embedding_size": 4},
        device="cpu",
    )
    pipe.save(tmp_path / "judge")
    english = [f"sentence {n}" for n in range(60)]
    told = [(one, f"{side} {one}") for one in english for side in ("a", "b")]
    text = "".join(f"{source}\t{other}\tby someone\n" for source, other in [*told, told[0]])
    (tmp_path / "pairs.tsv.xz").write_bytes(lzma.compress(text.encode()))
    done = run(tmp_path / "judge", tmp_path / "pairs.tsv.xz", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    parts = {
        part: [json.loads(line) for line in (tmp_path / "out" / f"{part}.jsonl").read_text("utf-8").splitlines()]
        for part in ("train", "dev")
    }
    rows = [row for part in parts.values() for row in part]
    assert sorted(row["text"] for row in rows) == sorted(other for _, other in told)
    scores = {result.text: result.scores for result in pipe(english)}
    for row in rows:
        assert row["label"] == pytest.approx(scores[row["text"][2:]], abs=1e-4)
    sides: list[set[str]] = [{row["text"][2:] for row in part} for part in parts.values()]
    assert sides[1]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize(("text", "said"), [("one\ttwo\nthree\n", "without a tab"), (None, "cannot be read")])
def test_what_cannot_be_read(tmp_path: Path, text: str | None, said: str) -> None:
    """A line without a tab and a file that is not there are said in a line."""
    if text is not None:
        (tmp_path / "pairs.tsv").write_text(text, "utf-8")
    done = run("judge", tmp_path / "pairs.tsv", tmp_path / "out")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
