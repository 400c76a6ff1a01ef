"""More rows to train a classifier on: sentences nobody labelled, labelled by checkpoints trained on those that are.

    python examples/checkpoints/self_train.py sets/sst2/train-graded.jsonl sets/sst2/train-more.jsonl \\
        --texts sets/imdb/train.jsonl --teachers runs/sst2/seed-0 runs/sst2/seed-1 runs/sst2/seed-2 \\
        --leave-out sets/sst2/dev.jsonl sets/sst2/test.jsonl

Writes the rows of LABELLED, and after them the sentences of ``--texts`` of 4 to 45 words, each once, with the teachers'
mean probability of each label: self-training, the students' noise being their dropout (Xie et al. 2020, "Self-training
with Noisy Student"). A sentence of a text in a file of ``--leave-out`` is left out, whatever its case and punctuation.
Where the rows of ``--texts`` have labels of their own, say those of whole reviews, a sentence is taken to be likelier
to share its review's: by ``--lean`` in odds, as a power of e.

All files are rows ``{"text", "label"}``. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import seqdemo
from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

LEAST, MOST = 4, 45
"""Words of a sentence."""

_TOGETHER = 4096
_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n+")

Scores = dict[str, float]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of a file."""
    try:
        found = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read as rows: {error}.") from error
    if not found or not all(isinstance(row, dict) and isinstance(row.get("text"), str) for row in found):
        raise DataError(f"{path} must hold rows with a text, one JSON object on each line.")
    return found


def plain(text: str) -> str:
    """A text's words, whatever their case and what stands between them."""
    return re.sub(r"\W+", " ", text.casefold()).strip()


def sentences(rows: Sequence[dict[str, Any]], left_out: set[str]) -> dict[str, str | None]:
    """Each sentence once, and the label of the first row it stands in, if that has one."""
    found: dict[str, str | None] = {}
    for row in rows:
        label = row.get("label")
        for part in _END.split(row["text"]):
            text = part.strip()
            if LEAST <= len(text.split()) <= MOST and plain(text) not in left_out:
                found.setdefault(text, label if isinstance(label, str) else None)
    return found


def judged(teachers: Sequence[str], texts: Sequence[str]) -> Iterator[Scores]:
    """The teachers' mean probabilities of each text, in order."""
    pipes = [seqdemo.load(name, device="cpu") for name in teachers]
    for first in range(0, len(texts), _TOGETHER):
        part = list(texts[first : first + _TOGETHER])
        for told in zip(*(pipe(part) for pipe in pipes), strict=True):
            if len({frozenset(one.scores) for one in told}) > 1:
                raise DataError("The teachers must know the same labels.")
            yield {name: sum(one.scores[name] for one in told) / len(told) for name in sorted(told[0].scores)}
        print(f"{min(first + _TOGETHER, len(texts)):,} of {len(texts):,} sentences", flush=True)


def leant(scores: Scores, label: str | None, lean: float) -> Scores:
    """Probabilities, that of a label made likelier."""
    if label is not None and label not in scores:
        raise DataError(f"The texts have the label {label!r}, and the teachers know {', '.join(scores)} only.")
    odds = {name: share * math.exp(lean * (name == label)) for name, share in scores.items()}
    total = sum(odds.values())
    return {name: round(share / total, 6) for name, share in odds.items()}


def main() -> None:
    """Read the rows and write more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path, metavar="LABELLED")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--texts", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--teachers", nargs="+", required=True, metavar="CHECKPOINT")
    parser.add_argument("--leave-out", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--lean", type=float, default=0.5)
    given = parser.parse_args()
    try:
        known = rows_of(given.labelled)
        held = [row["text"] for path in given.leave_out for row in rows_of(path)]
        left_out = {plain(part) for text in held for part in (text, *_END.split(text))}
        found = sentences([row for path in given.texts for row in rows_of(path)], left_out)
        scores = judged(given.teachers, list(found))
        more = [
            {"text": text, "label": leant(one, label, given.lean)}
            for (text, label), one in zip(found.items(), scores, strict=True)
        ]
    except SeqdemoError as error:
        parser.error(str(error))
    write_atomic(given.out, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in [*known, *more]))
    print(f"{given.out}: {len(known):,} rows that were labelled, {len(more):,} more")


if __name__ == "__main__":
    main()
