"""What every model is given alike, and how large that makes each one."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import seqdemo
from seqdemo.errors import ConfigError, DataError, UnknownNameError
from seqdemo.files import write_atomic

__all__ = ["Rule", "choose", "nearest", "pairs", "settle", "size", "text_of"]

STEP, LARGEST = 8, 16_384
"""Hidden sizes are multiples of the first, up to the second."""

_GAP = 32
"""How many sizes in a row a config may refuse, as one that divides its width among heads does."""


@dataclass(frozen=True)
class Rule:
    """The settings of a comparison.

    Attributes:
        budget: trainable values of a whole pipeline, embedding and output layer included.
        steps: optimiser steps of the run that counts.
        search_steps: of the short runs, one for each learning rate.
        pairs: nats per held-out character of a model that sees one character (:func:`pairs`). Short runs of which none
            is better say nothing of learning rates, and are done again with twice the steps.
        learning_rates: what the short runs choose from.
        warmup: share of a run's steps over which the learning rate rises.
        validations: how many in the run that counts, the last one at its end.
        task_config, model_config, training: config values, the same for every model.
        data: name, sha256 and number of characters of the text.
    """

    budget: int
    steps: int
    search_steps: int
    pairs: float
    learning_rates: Sequence[float]
    warmup: float
    validations: int
    task_config: Mapping[str, Any]
    model_config: Mapping[str, Any]
    training: Mapping[str, Any]
    data: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """As JSON gives it back."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    def pipeline(self, model: str, hidden_size: int) -> dict[str, Any]:
        """What to build: arguments that ``seqdemo.train`` and ``seqdemo.count_parameters`` share."""
        return {
            "model": model,
            "tokenizer": "char",
            "task_config": self.task_config,
            "model_config": {**self.model_config, "hidden_size": hidden_size},
        }

    def schedule(self, steps: int, learning_rate: float, validations: int) -> dict[str, Any]:
        """How to train it."""
        return {
            **self.training,
            "steps": steps,
            "learning_rate": learning_rate,
            "warmup_steps": max(1, round(self.warmup * steps)),
            "validate_every": -(-steps // validations),
        }

    @property
    def tokens_per_step(self) -> int:
        """Characters predicted in an optimiser step."""
        return int(self.training["batch_size"]) * int(self.training["window"])


def text_of(path: Path) -> str:
    """A text file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as text: {error}. Name a plain UTF-8 text with --data.") from error


def settle(out: Path, rule: Rule) -> None:
    """Write the rule of a new comparison, or see that a begun one has the same.

    Raises:
        ConfigError: it was begun with another.
    """
    file, asked = out / "rule.json", rule.plain()
    if not file.is_file():
        write_atomic(file, json.dumps(asked, indent=1) + "\n")
        return
    begun = json.loads(file.read_text("utf-8"))
    changed = [f"{name} was {begun.get(name)}, is {value}" for name, value in asked.items() if begun.get(name) != value]
    if changed:
        raise ConfigError(f"{out} holds a comparison by another rule: {'; '.join(changed)}. Name another --out.")


def choose(asked: Sequence[str] = ()) -> list[str]:
    """The models to compare: those asked for, or all registered ones but the scratch ones.

    Raises:
        UnknownNameError: one that was asked for is not registered.
    """
    names = [record.name for record in seqdemo.available("models")]
    for name in asked:
        if name not in names:
            raise UnknownNameError("model", name, names)
    return list(asked) or [name for name in names if not name.rpartition(":")[2].startswith("scratch-")]


def pairs(text: str, fraction: float) -> float:
    """Nats per character that counts of pairs in a text's beginning give its end, a ``fraction`` of it; add-one."""
    cut = int(len(text) * (1 - fraction))
    seen, held = text[:cut], text[cut:]
    both, ones, size = Counter(pairwise(seen)), Counter(seen), len(set(text))
    losses = [math.log((ones[pair[0]] + size) / (both[pair] + 1)) for pair in pairwise(held)]
    return round(sum(losses) / max(len(losses), 1), 4)


def digest(text: str) -> str:
    """Identifies a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def nearest(count: Callable[[int], int], budget: int) -> tuple[int, int]:
    """The hidden size whose parameters are nearest the budget, and their number.

    Args:
        count: parameters of a size, growing with it; a ``ConfigError`` is a size the model does not take.

    Raises:
        ConfigError: no size comes near.
    """

    def at(unit: int) -> tuple[int, int]:
        """The first size from this one on that the model takes."""
        for number in range(unit, unit + _GAP):
            try:
                return number * STEP, count(number * STEP)
            except ConfigError:
                if number == unit + _GAP - 1:
                    raise
        raise AssertionError

    low = high = 1
    while at(high)[1] < budget:
        low, high = high, 2 * high
        if high * STEP > LARGEST:
            raise ConfigError(f"Its hidden_size does not bring it to {budget:,} parameters: {LARGEST} gives too few.")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle)[1] < budget else (low, middle)
    return min(at(low), at(high), key=lambda found: abs(found[1] - budget))


def size(rule: Rule, model: str, text: str) -> tuple[int, int]:
    """Hidden size and parameters of a model under the rule; nothing is allocated.

    Raises:
        SeqdemoError: the model is not causal, does not take the base fields, or comes nowhere near the budget.
    """
    alphabet = "".join(sorted(set(text)))
    return nearest(
        lambda hidden: seqdemo.count_parameters(**rule.pipeline(model, hidden), texts=[alphabet]), rule.budget
    )
