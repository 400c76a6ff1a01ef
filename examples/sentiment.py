"""Sentiment: a classifier trained on a table of your own, and what it thinks while it reads.

What you learn: that a classifier is a recurrent reader with one more layer; how accurate it is on sentences it never
saw, beside always saying the commonest label; that a recurrent model has an opinion after every word, and changes it;
and which words an opinion rests on.

情感分类：从一个表格训练一个小模型，看它读每个词之后怎么想。

    python examples/sentiment.py
    python examples/sentiment.py --data reviews.csv --column text=review --column label=stars

The table has a column with texts and one with labels. Without ``--data`` it is ``data/opinions.csv``: sentences put
together from fifty words of praise and complaint; "not" turns some of them round, and what comes after "but" decides.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import seqdemo
from seqdemo.training.data import parse_columns

DATA = Path(__file__).parent / "data" / "opinions.csv"
TRIED = (
    "the food was not bad",
    "the food was not good",
    "the room was lovely, but the service was slow",
    "the service was slow, but the room was lovely",
)


def trained(data: Path, columns: list[str], out: Path) -> seqdemo.Pipeline:
    """A small causal classifier of a table, and how well it does on a fifth of the rows, which it never saw."""
    done = seqdemo.train(
        "sentiment",
        data=data,
        out=out,
        columns=parse_columns(columns),
        model="lstm",
        tokenizer="words",
        tokenizer_config={"lowercase": True},
        model_config={"hidden_size": 48},
        task_config={"embedding_size": 32, "pooling": "last", "token_dropout": 0.05},
        steps=300,
        learning_rate=1e-2,
        validation_fraction=0.2,
        precision="fp32",
        progress=False,
    )
    print(f"trained in {done.seconds:.0f} s; on rows it never saw: accuracy {done.metrics['accuracy']:.1%},", end=" ")
    print(f"macro-F1 {done.metrics['macro_f1']:.3f}, calibration error {done.metrics['calibration_error']:.3f}")
    return seqdemo.load(out, device="cpu")


def show(result: seqdemo.Classification) -> None:
    """Each token with the prediction after it and with what it contributed to the last one."""
    assert result.running is not None
    assert result.contributions is not None
    print(f"\n{result.text!r}: {result} ({result.scores[result.label]:.0%})")
    print(f"    {'token':<16}{'after it':>9}   contributed to {result.label!r}")
    after = result.running[result.label]
    for token, probability, contribution in zip(result.tokens, after, result.contributions, strict=True):
        bar = ("+" if contribution > 0 else "-") * min(30, round(4 * abs(contribution)))
        print(f"    {token:<16}{probability:>9.0%}   {contribution:+.2f} {bar}")


def main() -> None:
    """Train, measure, look inside."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="A .csv, .tsv or .jsonl file.")
    parser.add_argument("--column", action="append", default=[], help="text=NAME or label=NAME. May be repeated.")
    parser.add_argument("--text", action="append", help="What to classify. May be repeated.")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        pipe = trained(given.data, given.column, Path(folder) / "run")
        results = pipe(given.text or list(TRIED), explain="all")
        for result in results:
            show(result)
        print("\nlabels given:", dict(Counter(str(result) for result in results)))


if __name__ == "__main__":
    main()
