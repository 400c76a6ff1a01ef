"""Labels as they stand in data files, and what a set of them says. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seqdemo.errors import DataError

__all__ = ["MOST", "Shares", "balanced", "label_shares", "label_text", "learned"]

Shares = Mapping[str, float]
"""How likely each label is; they add up to 1."""

MOST = 1000
"""Classes a head may have."""


def label_text(value: Any) -> str:
    """A label as text: white space around it is dropped, and the number 1 is the label ``"1"``.

    Raises:
        DataError: it is neither text nor a whole number, or nothing is left of it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"A label is a word or a whole number; this row has {value!r} as its label.")
    return value.strip()


def label_shares(value: Any) -> Shares:
    """A label, or a mapping that says how likely each of several is, as ``{"no": 0.25, "yes": 0.75}``.

    Raises:
        DataError: it is neither, or what a mapping says is no distribution.
    """
    if not isinstance(value, Mapping):
        return {label_text(value): 1.0}
    found = {label_text(label): share for label, share in value.items()}
    usable = all(isinstance(share, int | float) and share >= 0 for share in found.values())
    if not usable or not math.isclose(sum(found.values()), 1.0, abs_tol=1e-3):
        raise DataError(f"The shares of labels must be numbers that add up to 1; this row has {dict(value)!r}.")
    return {label: share / sum(found.values()) for label, share in found.items()}


def learned(labels: Iterable[str]) -> tuple[str, ...]:
    """The different labels: whole numbers by size, others by the alphabet.

    Raises:
        DataError: there is only one, or more than there may be.
    """
    found = set(labels)
    if len(found) < 2:
        only = f"only the label {found.pop()!r}" if found else "no labels"
        raise DataError(f"The training data holds {only}; there must be at least two to tell apart.")
    if len(found) > MOST:
        raise DataError(
            f"The training data holds {len(found):,} different labels; there may be {MOST:,}. If another column holds "
            "the labels, say which with --column label=NAME."
        )
    if all(label.lstrip("-").isdecimal() for label in found):
        return tuple(sorted(found, key=lambda label: (int(label), label)))
    return tuple(sorted(found))


def balanced(labels: Iterable[Shares], names: Sequence[str]) -> tuple[float, ...]:
    """``N / (C n_c)`` for each of ``C`` classes of which ``n_c`` rows of ``N`` are: their mean over the rows is 1.

    Raises:
        DataError: a class without rows.
    """
    counted: dict[str, float] = dict.fromkeys(names, 0.0)
    for shares in labels:
        for label, share in shares.items():
            counted[label] = counted.get(label, 0.0) + share
    if missing := [name for name in names if not counted[name]]:
        raise DataError(
            f"The training data holds no row with the label {missing[0]!r}, so the classes cannot be balanced."
        )
    rows = sum(counted[name] for name in names)
    return tuple(rows / (len(names) * counted[name]) for name in names)
