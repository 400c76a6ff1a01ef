"""A recurrent classifier beside what it has to beat, on the official split of a data set.

    python examples/checkpoints/prepare_sentiment.py DATA_DIR sets
    python tests/benchmarks/sentiment.py sets/sst2 --train train-graded --out runs/sst2 -- --preset sst2
    python tests/benchmarks/sentiment.py sets/english --out runs/english --unseen sets/sst2 -- --preset sentiment-en

The folder holds ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` (rows ``{"text", "label"}``). What stands after
``--`` is given to ``seqdemo train sentiment`` as it is, once for each seed. A run that was stopped goes on, and one
that is finished is only measured.

Rows of the table, all measured on the test part, by the same code:

- majority: the commonest label of the training part, with the shares of the labels as probabilities;
- bag of words: TF-IDF (sublinear) of words and pairs of words, logistic regression (scikit-learn); its strength is
  chosen on the dev part. Where there is ``train-sentences.jsonl``, it is trained on that too, and the one that is
  better on the dev part is shown;
- recurrent: mean and standard deviation over the seeds; its checkpoint is chosen on the dev part.

``--unseen`` measures the same models on the test parts of other sets. Where these have fewer labels, the probabilities
of the others are left out and the rest scaled to add up to 1: a model that also knows "neutral" is asked for the
likelier of "negative" and "positive".

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
    """A file of rows; where one says how likely several labels are, its label is the likeliest."""
    found = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    labels = [row["label"] for row in found]
    return Part(
        [row["text"] for row in found],
        [label if isinstance(label, str) else max(label, key=label.__getitem__) for label in labels],
    )


def measured(probabilities: Probabilities, names: Sequence[str], part: Part) -> dict[str, float]:
    """The metrics of probabilities ``(rows, labels)``, by the code that measures the recurrent model.

    Labels that no row of the part has are left out, where there are such.
    """
    kept = [place for place, name in enumerate(names) if name in set(part.labels)]
    probabilities, names = probabilities[:, kept], [names[place] for place in kept]
    probabilities = probabilities / np.maximum(probabilities.sum(1, keepdims=True), 1e-12)
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


def bag_of_words(train: Part, names: Sequence[str], dev: Part, tests: Sequence[Part]) -> list[dict[str, float]]:
    """Metrics on the dev part and on each test part."""
    vectorizer = TfidfVectorizer(analyzer=words_and_pairs, sublinear_tf=True, min_df=2)
    x, *others = vectorizer.fit_transform(train.texts), *(vectorizer.transform(part.texts) for part in (dev, *tests))
    best: list[dict[str, float]] = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000).fit(x, train.labels)
        order = [list(model.classes_).index(name) for name in names]
        on_dev = measured(model.predict_proba(others[0])[:, order], names, dev)
        if not best or on_dev["accuracy"] > best[0]["accuracy"]:
            on_tests = zip(others[1:], tests, strict=True)
            best = [on_dev, *(measured(model.predict_proba(one)[:, order], names, part) for one, part in on_tests)]
    return best


def recurrent(data: Path, dev: Path, run: Path, seed: int, flags: Sequence[str]) -> None:
    """Train with one seed, unless that was done."""
    state = run / "training" / "run.json"
    if not (state.is_file() and json.loads(state.read_text("utf-8"))["status"] == "finished"):
        command = [sys.executable, "-m", "seqdemo", "train", "sentiment", "--data", str(data)]
        command += ["--validation", str(dev), "--out", str(run), "--seed", str(seed), *flags]
        subprocess.run(command, check=True)


def predicted(run: Path, names: Sequence[str], part: Part) -> dict[str, float]:
    """The metrics of a run's checkpoint."""
    results = seqdemo.load(run)(part.texts)
    return measured(np.array([[result.scores[name] for name in names] for result in results]), names, part)


def line(name: str, runs: Sequence[Mapping[str, float]], note: str = "") -> str:
    """A row of the table: means, with the standard deviation where there are several runs."""
    cells = []
    for metric in SHOWN:
        values = [run[metric] for run in runs]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.4f}{spread}")
    return f"| {name} | {' | '.join(cells)} | {note} |"


def main() -> None:
    """Print a table for the set, and one for each unseen one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="Folder for the runs.")
    parser.add_argument("--train", default="train", help="What the recurrent model learns from: this file of FOLDER.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], help="Folders of other sets.")
    own, *flags = (list(part) for _, part in groupby(sys.argv[1:], lambda word: word == "--"))
    given, training = parser.parse_args(own), flags[-1] if flags else []
    train, dev = (read(given.folder / f"{part}.jsonl") for part in ("train", "dev"))
    folders = [given.folder, *given.unseen]
    tests = [read(folder / "test.jsonl") for folder in folders]
    names = sorted(set(train.labels))
    print(f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn {sklearn.__version__}")
    print(f"seqdemo {seqdemo.__version__} train sentiment {' '.join(training)}")
    bags = {"train": bag_of_words(train, names, dev, tests)}
    sentences = given.folder / "train-sentences.jsonl"
    if sentences.is_file():
        bags["train-sentences"] = bag_of_words(read(sentences), names, dev, tests)
    chosen = max(bags, key=lambda name: bags[name][0]["accuracy"])
    runs = {seed: given.out / f"seed-{seed}" for seed in given.seeds}
    for seed, run in runs.items():
        recurrent(given.folder / f"{given.train}.jsonl", given.folder / "dev.jsonl", run, seed, training)
    for place, (folder, test) in enumerate(zip(folders, tests, strict=True)):
        sizes = " / ".join(f"{len(part.texts):,}" for part in (train, dev, test))
        print(f"\n{folder.name}: {sizes} rows, {len(set(test.labels))} labels\n")
        print(f"| | {' | '.join(SHOWN.values())} | |\n| --- |{' --- |' * (len(SHOWN) + 1)}")
        print(line("majority", [majority(train, names, test)]))
        print(line("bag of words", [bags[chosen][place + 1]], f"trained on {chosen}.jsonl"))
        found = [predicted(run, names, test) for run in runs.values()]
        print(line("recurrent", found, f"seeds {', '.join(map(str, runs))}"), flush=True)


if __name__ == "__main__":
    main()
