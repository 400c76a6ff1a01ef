"""A recurrent classifier beside what it has to beat, on the official split of a data set.

    python examples/checkpoints/prepare_sentiment.py DATA_DIR sets
    python tests/benchmarks/sentiment.py sets/sst2 --out runs/sst2 --seeds 0 1 2 -- --tokenizer words --epochs 4

The folder holds ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` (rows ``{"text", "label"}``). What stands after
``--`` is given to ``seqdemo train sentiment`` as it is, once for each seed. A run that was stopped goes on, and one
that is finished is only measured.

Rows of the table, all measured on the test part, by the same code:

- majority: the commonest label of the training part, with the shares of the labels as probabilities;
- bag of words: TF-IDF (sublinear) of words and pairs of words, logistic regression (scikit-learn); its strength is
  chosen on the dev part. Where there is ``train-sentences.jsonl``, it is trained on that too, and the one that is
  better on the dev part is shown;
- recurrent: mean and standard deviation over the seeds; its checkpoint is chosen on the dev part.

ECE is the expected calibration error in 15 bins (Guo et al. 2017). The test part is read only to be measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import seqdemo
from seqdemo.builtin.classification.metrics import ClassificationMetrics, ClassifiedLoss
from seqdemo.builtin.tokenizers.words import split_words

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
SHOWN = {"accuracy": "accuracy", "macro_f1": "macro-F1", "calibration_error": "ECE", "loss": "loss"}

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Texts and their labels."""

    texts: list[str]
    labels: list[str]


def read(path: Path) -> Part:
    """A file of rows."""
    found = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    return Part([row["text"] for row in found], [row["label"] for row in found])


def measured(probabilities: Probabilities, names: Sequence[str], part: Part) -> dict[str, float]:
    """The metrics of probabilities ``(rows, labels)``, by the code that measures the recurrent model."""
    logits = torch.from_numpy(np.log(np.maximum(probabilities, 1e-12)))
    labels = torch.tensor([list(names).index(label) for label in part.labels])
    total = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    metrics = ClassificationMetrics(len(names))
    metrics.update({"labels": labels}, ClassifiedLoss(total, torch.tensor(len(labels)), None, logits))
    return metrics.compute()


def majority(train: Part, names: Sequence[str], part: Part) -> dict[str, float]:
    """Always the commonest label."""
    shares = Counter(train.labels)
    row = np.array([shares[name] / len(train.labels) for name in names])
    return measured(np.tile(row, (len(part.texts), 1)), names, part)


def words_and_pairs(text: str) -> list[str]:
    """Words and marks in lower case, and every two that follow one another."""
    words = [unit.strip().lower() for unit in split_words(text) if unit.strip()]
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


def bag_of_words(train: Part, names: Sequence[str], dev: Part, test: Part) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics on the dev and the test part."""
    vectorizer = TfidfVectorizer(analyzer=words_and_pairs, sublinear_tf=True, min_df=2)
    x, held, tested = vectorizer.fit_transform(train.texts), *(vectorizer.transform(p.texts) for p in (dev, test))
    best: tuple[dict[str, float], dict[str, float]] | None = None
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000).fit(x, train.labels)
        order = [list(model.classes_).index(name) for name in names]
        on_dev = measured(model.predict_proba(held)[:, order], names, dev)
        if best is None or on_dev["accuracy"] > best[0]["accuracy"]:
            best = on_dev, measured(model.predict_proba(tested)[:, order], names, test)
    assert best is not None
    return best


def recurrent(folder: Path, out: Path, seed: int, flags: Sequence[str]) -> dict[str, float]:
    """Train with one seed, unless that was done, and measure."""
    run = out / f"seed-{seed}"
    state = run / "training" / "run.json"
    if not (state.is_file() and json.loads(state.read_text("utf-8"))["status"] == "finished"):
        command = [sys.executable, "-m", "seqdemo", "train", "sentiment", "--data", str(folder / "train.jsonl")]
        command += ["--validation", str(folder / "dev.jsonl"), "--out", str(run), "--seed", str(seed), *flags]
        subprocess.run(command, check=True)
    return seqdemo.evaluate(run, folder / "test.jsonl")


def line(name: str, runs: Sequence[Mapping[str, float]], note: str = "") -> str:
    """A row of the table: means, with the standard deviation where there are several runs."""
    cells = []
    for metric in SHOWN:
        values = [run[metric] for run in runs]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.4f}{spread}")
    return f"| {name} | {' | '.join(cells)} | {note} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="Folder for the runs.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    own, *flags = (list(part) for _, part in groupby(sys.argv[1:], lambda word: word == "--"))
    given, training = parser.parse_args(own), flags[-1] if flags else []
    train, dev, test = (read(given.folder / f"{part}.jsonl") for part in ("train", "dev", "test"))
    names = sorted(set(train.labels))
    sizes = " / ".join(f"{len(part.texts):,}" for part in (train, dev, test))
    print(f"{given.folder.name}: {sizes} rows, {len(names)} labels")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn {sklearn.__version__}")
    print(f"seqdemo {seqdemo.__version__} train sentiment {' '.join(training)}\n")
    print(f"| | {' | '.join(SHOWN.values())} | |\n| --- |{' --- |' * (len(SHOWN) + 1)}")
    print(line("majority", [majority(train, names, test)]), flush=True)
    bags = {"train": bag_of_words(train, names, dev, test)}
    sentences = given.folder / "train-sentences.jsonl"
    if sentences.is_file():
        bags["train-sentences"] = bag_of_words(read(sentences), names, dev, test)
    chosen = max(bags, key=lambda name: bags[name][0]["accuracy"])
    print(line("bag of words", [bags[chosen][1]], f"trained on {chosen}.jsonl"), flush=True)
    runs = [recurrent(given.folder, given.out, seed, training) for seed in given.seeds]
    print(line("recurrent", runs, f"seeds {', '.join(map(str, given.seeds))}"))


if __name__ == "__main__":
    main()
