"""An interpolated n-gram language model, independent of seqdemo: the baseline a shipped generator has to beat.

    python tests/benchmarks/ngram.py TRAIN.jsonl.xz HELDOUT.jsonl.xz --order 6 --unit byte

Interpolated modified Kneser-Ney (Chen and Goodman 1999, "An empirical study of smoothing techniques for language
modeling", equations 24 to 26): the highest order uses counts, every lower one the number of different units seen to
the left; below the unigrams stands the uniform distribution. The three discounts of each order start from the
closed form of that paper and are then tuned on every fiftieth row of the TRAINING text; the counts are made anew
from all of them. The held-out file is read only to be scored.

Rows are joined to one stream with an end symbol after each; a context may reach into the row before. Bits per byte
are the bits of all symbols, ends included, over the UTF-8 bytes of the texts, ends not included.

Units: ``byte``; ``char``; ``word`` (a word with the space before it, or a single other character); ``pieces`` (a
sentencepiece model, ``--model``). A char or word not seen twice in training is spelled in its bytes, so every text
has a probability.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


# Units

WORD = re.compile(r" ?[^\W\d_]+(?:'[^\W\d_]+)*|.", re.DOTALL)


@dataclass(frozen=True)
class Alphabet:
    """Symbols of a text: bytes 0 to 255, the end of a row (256), then the units seen at least twice in training."""

    split: Callable[[str], Sequence[str]] | None
    units: dict[str, int]

    @property
    def size(self) -> int:
        """How many symbols there are."""
        return 257 + len(self.units)

    def encode(self, texts: Sequence[str]) -> Ids:
        """All rows as one stream, each followed by the end symbol; shape (symbols,)."""
        if self.split is None:
            rows = [np.append(np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64), 256) for text in texts]
            return np.concatenate(rows)
        out: list[int] = []
        for text in texts:
            for unit in self.split(text):
                known = self.units.get(unit)
                out.extend(unit.encode() if known is None else (known,))
            out.append(256)
        return np.array(out, dtype=np.int64)


def alphabet(unit: str, train: Sequence[str], model: Path | None = None) -> Alphabet:
    """The symbols of a unit, chosen on training text."""
    if unit == "byte":
        return Alphabet(None, {})
    split: Callable[[str], Sequence[str]]
    if unit == "char":
        split = list
    elif unit == "word":
        split = WORD.findall
    else:
        split = pieces(model)
    seen = Counter(part for text in train for part in split(text))
    known = sorted(part for part, count in seen.items() if count > 1)
    return Alphabet(split, {part: 257 + number for number, part in enumerate(known)})


def pieces(model: Path | None) -> Callable[[str], list[str]]:
    """A splitter into the surface of sentencepiece's pieces; joined again they are the text."""
    if model is None:
        sys.exit("--unit pieces needs --model FILE, a sentencepiece model.")
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def split(text: str) -> list[str]:
        offsets = processor.encode(text, out_type="offset_mapping")["offsets"]
        surfaces = [text[start:end] for start, end in offsets]
        if "".join(surfaces) != text:
            sys.exit("This sentencepiece model does not give back the text it was given, so it cannot be scored.")
        # The bytes of a character that is not in the vocabulary share its span: all but one are empty.
        return [surface for surface in surfaces if surface]

    return split


# Model


@dataclass(frozen=True)
class Table:
    """The n-grams of one order, sorted by key = (number of the context among those of the order below) * V + symbol.

    ``count`` is 0 where the n-gram was only ever the start of the stream. ``total`` and ``kinds`` belong to
    contexts: entry c of ``total`` sums the counts of c's followers; column k of ``kinds`` is how many followers have
    count k + 1 (the last column: 3 or more).
    """

    keys: Ids
    count: Ids
    total: Ids
    kinds: Ids


class KneserNey:
    """Interpolated modified Kneser-Ney over symbol streams.

    Args:
        stream: training symbols, shape (symbols,).
        size: how many different symbols there are.
        order: length of the longest n-gram.
        discounts: shape (order, 3); None takes the closed form.
    """

    def __init__(self, stream: Ids, size: int, order: int, discounts: Floats | None = None) -> None:
        self.size, self.order = size, order
        padded = self._padded(stream)
        self.tables: list[Table] = []
        # Of the order below the present one: its n-grams, their numbers at each position, how many contexts it has.
        keys_below, below, contexts_below, contexts = padded[:0], padded[:0], 1, 1
        keys = padded
        for n in range(1, order + 1):
            unique, first, number, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
            if n > 1:
                # Different symbols to the left of an (n - 1)-gram: n-grams that end in it, each counted once.
                to_the_left = np.bincount(below[first + 1], minlength=contexts)
                self.tables.append(self._table(keys_below, to_the_left, contexts_below))
            keys_below, below, contexts_below, contexts = unique, number, contexts, len(unique)
            if n < order:
                keys = number[:-1] * size + padded[n:]
        self.tables.append(self._table(unique, count, contexts_below))
        self.discounts = self._closed_form() if discounts is None else discounts

    def _table(self, keys: Ids, count: Ids, contexts: int) -> Table:
        context = keys // self.size
        total = np.bincount(context, weights=count, minlength=contexts).astype(np.int64)
        sorts = (count == 1, count == 2, count > 2)
        return Table(keys, count, total, np.stack([np.bincount(context[at], minlength=contexts) for at in sorts], 1))

    def _padded(self, stream: Ids) -> Ids:
        return np.concatenate([np.full(self.order - 1, 256, dtype=np.int64), stream])

    def _closed_form(self) -> Floats:
        """Chen and Goodman 1999, equation 26; where a count of counts is zero, three quarters of a count."""
        out = np.empty((self.order, 3))
        for n, table in enumerate(self.tables):
            n1, n2, n3, n4 = (int((table.count == k).sum()) for k in (1, 2, 3, 4))
            y = n1 / (n1 + 2 * n2) if n1 else 0.0
            terms = [(1, n1, n2), (2, n2, n3), (3, n3, n4)]
            raw = [k - (k + 1) * y * above / below if below and y else 0.75 for k, below, above in terms]
            out[n] = np.clip(raw, 0.01, [0.99, 1.99, 2.99])
        return out

    def evidence(self, stream: Ids) -> list[tuple[Floats, Floats, Floats]]:
        """For each order: counts of the symbols, totals of their contexts, kinds; shapes (T,), (T,), (T, 3).

        A context never seen in training has total 0.
        """
        padded = self._padded(stream)
        starts = len(stream)
        out: list[tuple[Floats, Floats, Floats]] = []
        for n in range(1, self.order + 1):
            # The n-gram that ends at each position is walked from its first symbol down the tables.
            node = np.zeros(starts, dtype=np.int64)
            known = np.ones(starts, dtype=bool)
            offset = self.order - n
            for depth in range(n):
                table = self.tables[depth]
                if depth == n - 1:
                    total = np.where(known, table.total[node], 0).astype(np.float64)
                    kinds = np.where(known[:, None], table.kinds[node], 0).astype(np.float64)
                symbol = padded[offset + depth : offset + depth + starts]
                key = node * self.size + symbol
                at = np.minimum(np.searchsorted(table.keys, key), len(table.keys) - 1)
                known &= table.keys[at] == key
                node = np.where(known, at, 0)
            count = np.where(known, self.tables[n - 1].count[node], 0).astype(np.float64)
            out.append((count, total, kinds))
        return out

    def combine(self, evidence: list[tuple[Floats, Floats, Floats]], discounts: Floats) -> Floats:
        """Probabilities from counts, lowest order first; shape (T,)."""
        probability = np.full(len(evidence[0][0]), 1.0 / self.size)
        for (count, total, kinds), discount in zip(evidence, discounts, strict=True):
            steps = np.concatenate([[0.0], discount])
            kept = np.maximum(count - steps[np.minimum(count, 3).astype(np.int64)], 0.0)
            seen = np.maximum(total, 1.0)
            mixed = kept / seen + (kinds @ discount) / seen * probability
            probability = np.where(total > 0, mixed, probability)
        return probability

    def probabilities(self, stream: Ids) -> Floats:
        """The probability of each symbol given those before it; shape (T,)."""
        blocks = range(0, len(stream), 1 << 18)
        return np.concatenate([self._block(stream, start, start + (1 << 18)) for start in blocks])

    def _block(self, stream: Ids, start: int, stop: int) -> Floats:
        lead = min(start, self.order - 1)
        part = self.evidence(stream[start - lead : stop])
        return self.combine([(c[lead:], t[lead:], k[lead:]) for c, t, k in part], self.discounts)

    def tuned(self, stream: Ids, rounds: int = 2) -> Floats:
        """Discounts that give other text the highest probability, one after the other by golden section."""
        evidence = self.evidence(stream)
        best = self.discounts.copy()

        def bits(n: int, k: int, value: float) -> float:
            discounts = best.copy()
            discounts[n, k] = value
            return float(-np.log2(self.combine(evidence, discounts)).mean())

        for _ in range(rounds):
            for n in reversed(range(self.order)):
                for k in range(3):
                    best[n, k] = _golden(partial(bits, n, k), 1e-3, k + 0.999)
        return best


def _golden(cost: Callable[[float], float], low: float, high: float, steps: int = 10) -> float:
    """The place of a one-dimensional minimum, to about a hundredth of the interval."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = cost(right)
    return (low + high) / 2


# Measurement

SPARED = 50
"""Discounts are tuned on every such row of the training text."""


def fit(texts: Sequence[str], symbols: Alphabet, order: int) -> KneserNey:
    """A model of all texts whose discounts were tuned on every fiftieth of them."""
    apart = texts[SPARED - 1 :: SPARED] or texts[-1:]
    rest = [text for at, text in enumerate(texts) if (at + 1) % SPARED] if len(texts) >= SPARED else texts[:-1] or texts
    discounts = KneserNey(symbols.encode(rest), symbols.size, order).tuned(symbols.encode(apart))
    return KneserNey(symbols.encode(texts), symbols.size, order, discounts)


def measure(
    train: Sequence[str], rows: Sequence[dict[str, Any]], unit: str, order: int, model: Path | None
) -> dict[str, Any]:
    """Bits per byte of the held-out rows, over all and for each source."""
    began = time.perf_counter()
    symbols = alphabet(unit, train, model)
    language = fit(train, symbols, order)
    texts = [row["text"] for row in rows]
    bits = -np.log2(language.probabilities(symbols.encode(texts)))
    lengths = [len(symbols.encode([text])) for text in texts]
    by_row = np.add.reduceat(bits, np.cumsum([0, *lengths[:-1]]))
    sizes = np.array([len(text.encode()) for text in texts])
    sources = [row.get("source", "") for row in rows]
    table = {
        source: float(by_row[[s == source for s in sources]].sum() / sizes[[s == source for s in sources]].sum())
        for source in sorted(set(sources))
        if source
    }
    return {
        "unit": unit,
        "order": order,
        "smoothing": "interpolated modified Kneser-Ney",
        "symbols": symbols.size,
        "ngrams": sum(len(table.keys) for table in language.tables),
        "train_bytes": sum(len(text.encode()) for text in train),
        "heldout_bytes": int(sizes.sum()),
        "heldout_rows": len(rows),
        "bits_per_byte": float(bits.sum() / sizes.sum()),
        "bits_per_byte_by_source": table,
        "discounts": language.discounts.round(4).tolist(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file, or a plain text as one row; ``.xz`` is unpacked."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        text = file.read()
    if ".jsonl" in path.suffixes:
        return [json.loads(line) for line in text.split("\n") if line]
    return [{"text": text}]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("heldout", type=Path)
    parser.add_argument("--order", type=int, default=6)
    parser.add_argument("--unit", choices=("byte", "char", "word", "pieces"), default="byte")
    parser.add_argument("--model", type=Path, help="sentencepiece model, for --unit pieces")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    train = [row["text"] for row in read(options.train)]
    result = measure(train, read(options.heldout), options.unit, options.order, options.model)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{options.unit} {options.order}-gram, {result['smoothing']}")
    print(f"  {result['ngrams']:,} n-grams in {result['seconds']} s")
    for source, value in [*result["bits_per_byte_by_source"].items(), ("all", result["bits_per_byte"])]:
        print(f"  {source:20} {value:.4f} bits per byte")


if __name__ == "__main__":
    main()
