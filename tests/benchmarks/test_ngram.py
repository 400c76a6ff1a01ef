"""The n-gram baseline is a distribution, and is the one its docstring names."""

from __future__ import annotations

import random
from collections import defaultdict
from types import ModuleType

import numpy as np
import pytest

from .conftest import script


@pytest.fixture(scope="module")
def ngram() -> ModuleType:
    return script("ngram")


def story(seed: int, words: int = 400) -> str:
    chance = random.Random(seed)
    return " ".join(
        chance.choice(["the", "fox", "ran", "to", "a", "well,", "and", "drank.", "Ünder"]) for _ in range(words)
    )


def naive(
    stream: list[int], size: int, order: int, discounts: np.ndarray, context: tuple[int, ...], symbol: int
) -> float:
    """Interpolated modified Kneser-Ney, straight from its recursion, with dictionaries."""
    padded = [256] * (order - 1) + stream

    def counts(n: int) -> dict[tuple[int, ...], int]:
        if n == order:
            found: dict[tuple[int, ...], int] = defaultdict(int)
            for at in range(len(padded) - n + 1):
                found[tuple(padded[at : at + n])] += 1
            return found
        lefts: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for at in range(len(padded) - n):
            lefts[tuple(padded[at + 1 : at + 1 + n])].add(padded[at])
        return {gram: len(left) for gram, left in lefts.items()}

    probability = 1 / size
    for n in range(1, order + 1):
        history = context[len(context) - n + 1 :] if n > 1 else ()
        table = counts(n)
        after = {gram[-1]: count for gram, count in table.items() if gram[:-1] == history}
        total = sum(after.values())
        if not total:
            continue
        taken = {s: float(discounts[n - 1][min(c, 3) - 1]) for s, c in after.items()}
        left = sum(taken.values()) / total
        probability = max(after.get(symbol, 0) - taken.get(symbol, 0.0), 0.0) / total + left * probability
    return probability


@pytest.mark.parametrize("order", [1, 2, 4])
def test_it_agrees_with_the_recursion_written_with_dictionaries(ngram: ModuleType, order: int) -> None:
    """Counts by sorting give the probabilities that dictionaries give."""
    symbols = ngram.alphabet("byte", [])
    stream = symbols.encode([story(1, 60), story(2, 60)])
    model = ngram.KneserNey(stream, symbols.size, order)
    other = symbols.encode([story(3, 12) + " zebra"])
    found = model.probabilities(other)
    padded = [256] * (order - 1) + other.tolist()
    for at in range(0, len(other), 3):
        context = tuple(padded[at : at + order - 1])
        wanted = naive(stream.tolist(), symbols.size, order, model.discounts, context, int(other[at]))
        assert found[at] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("unit", ["byte", "char", "word"])
def test_the_next_symbol_has_probabilities_that_sum_to_one(ngram: ModuleType, unit: str) -> None:
    """After any context, seen or not, the probabilities of all symbols sum to one."""
    texts = [story(seed, 80) for seed in range(30)]
    symbols = ngram.alphabet(unit, texts)
    model = ngram.fit(texts, symbols, 4)
    chance = random.Random(0)
    for text in ("", "the", "fox ran", "zzz qq", "".join(chance.choices("afoxtr ", k=9))):
        context = symbols.encode([text])[:-1]
        every = [model.probabilities(np.append(context, symbol))[-1] for symbol in range(symbols.size)]
        assert sum(every) == pytest.approx(1.0, abs=1e-9)
        assert min(every) > 0


def test_blocks_do_not_change_a_probability(ngram: ModuleType) -> None:
    """A long text scored in blocks has the probabilities it has as a whole."""
    symbols = ngram.alphabet("byte", [])
    model = ngram.KneserNey(symbols.encode([story(1)]), symbols.size, 5)
    stream = symbols.encode([story(2)])
    whole = model.probabilities(stream)
    parts = np.concatenate([model._block(stream, start, start + 100) for start in range(0, len(stream), 100)])
    np.testing.assert_array_equal(whole, parts)


def test_tuning_helps_the_text_it_was_tuned_on(ngram: ModuleType) -> None:
    """Tuned discounts are no worse than the closed form on their own text."""
    symbols = ngram.alphabet("byte", [])
    model = ngram.KneserNey(symbols.encode([story(1)]), symbols.size, 4)
    other = symbols.encode([story(2)])
    before = -np.log2(model.probabilities(other)).mean()
    model.discounts = model.tuned(other)
    assert -np.log2(model.probabilities(other)).mean() <= before


def test_units_not_seen_twice_are_spelled_in_bytes(ngram: ModuleType) -> None:
    """Every text can be scored in every unit, and known units are shorter than their bytes."""
    symbols = ngram.alphabet("word", ["a fox and a fox", "a fox"])
    assert (
        symbols.encode([" fox"]).tolist() == [257 + sorted([" fox", " a", "a"]).index(" fox"), 256]
        or symbols.size > 257
    )
    assert symbols.encode(["ü"]).tolist() == [*"ü".encode(), 256]
