"""From the logits of several rows to their next tokens: :mod:`seqdemo.decoding.sampling`, for all rows at once.

The same rules in the same order, and the same number picks the same token. What a row gets depends on nothing of its
neighbours: every sum runs over one row, in one order, however many there are.

``V`` is the vocabulary size; ``n`` the number of rows; ``k`` the tokens top-k leaves, ``V`` without it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdemo.errors import PluginError
from seqdemo.plugin import Reported, SamplingOptions

from .largest import largest
from .sampling import FLOOR, choose, no_choice, not_numbers, penalise

__all__ = ["Chooser", "Picks", "draw_alone"]

Floats = NDArray[Any]
Ids = NDArray[np.int64]


@dataclass(slots=True)
class Picks:
    """What was drawn, by row.

    Attributes:
        ids: token ids.
        logprobs: natural log-probability under the model, before any rule.
        entropies: of the model's distribution before any rule, in nats.
        reported: alternatives, None for a row that wants none.
        errors: rows nothing can be drawn for, and why; their other entries mean nothing.
    """

    ids: list[int]
    logprobs: list[float]
    entropies: list[float]
    reported: list[Reported | None]
    errors: dict[int, PluginError] = field(default_factory=dict)


class _Facts(NamedTuple):
    """The model's distributions: ``logits`` and ``odds`` ``(n, V)`` float32, ``total`` ``(n,)`` float64, and ``top``
    ``(n,)``, the largest logits."""

    logits: Floats
    odds: Floats
    total: Floats
    top: Floats


class _Group:
    """Rows whose rules have the same form; what differs in number only is a column, ``(n, 1)``."""

    def __init__(self, rows: Sequence[int], options: Sequence[SamplingOptions]) -> None:
        self.rows = np.asarray(rows, dtype=np.int64)
        self.options = [options[row] for row in rows]
        first = self.options[0]
        self.greedy = first.temperature == 0.0
        self.penalised = first.repetition_penalty != 1.0
        self.top_k, self.alternatives = first.top_k, first.alternatives
        self.nucleus, self.least = first.top_p < 1.0, first.min_p > 0.0
        self.lines = np.arange(len(rows))[:, None]
        self.temperature = self._column("temperature")
        self.top_p, self.min_p = self._column("top_p"), self._column("min_p")

    @staticmethod
    def form(one: SamplingOptions) -> tuple[Any, ...]:
        """Equal for options that one pass serves."""
        penalised = one.repetition_penalty != 1.0
        return one.temperature == 0.0, one.top_k, one.top_p < 1.0, one.min_p > 0.0, penalised, one.alternatives

    def _column(self, name: str) -> Floats:
        return np.array([[getattr(one, name)] for one in self.options], dtype=np.float64)


class Chooser:
    """Draws the next tokens of rows that stay the same for many steps.

    Args:
        options: of each row.
        forbidden: ids never chosen.
    """

    def __init__(self, options: Sequence[SamplingOptions], forbidden: Ids) -> None:
        forms: dict[tuple[Any, ...], list[int]] = {}
        for row, one in enumerate(options):
            forms.setdefault(_Group.form(one), []).append(row)
        self._groups = [_Group(rows, options) for rows in forms.values()]
        self._forbidden = forbidden
        self._rows = np.arange(len(options))
        # Kept from step to step: memory fetched anew for each would cost more than what is computed in it.
        self._shifted = self._odds = np.empty((0, 0), dtype=np.float32)

    def __call__(self, logits: Floats, numbers: Sequence[float], recent: Sequence[Sequence[int]]) -> Picks:
        """Draw a token for each row.

        Args:
            logits: ``(n, V)`` float32, not modified.
            numbers: one for each row, in [0, 1).
            recent: ids read and written, oldest first, of each row.
        """
        count = len(logits)
        top = logits.max(axis=1)
        errors: dict[int, PluginError] = {}
        sound = np.isfinite(top)
        if not sound.all():
            for row in np.flatnonzero(~sound).tolist():
                errors[row] = no_choice() if top[row] == -np.inf else not_numbers()
            logits = np.where(sound[:, None], logits, np.float32(0.0))
            top = np.where(sound, top, np.float32(0.0))
        if self._odds.shape != logits.shape:
            self._shifted, self._odds = np.empty_like(logits), np.empty_like(logits)
        shifted = np.subtract(logits, top[:, None], out=self._shifted)
        odds = np.exp(shifted, out=self._odds)
        total = odds.sum(axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            mean = np.einsum("ij,ij->i", odds, shifted)
        if np.isnan(mean).any():  # 0 times -inf
            mean = np.einsum("ij,ij->i", odds, np.maximum(shifted, FLOOR))
        # As choose takes it: numpy's own, of several at once, may differ in the last bit.
        log_total = np.array([log(one) for one in total.tolist()])
        ids = np.zeros(count, dtype=np.int64)
        reported: list[Reported | None] = [None] * count
        drawn = np.asarray(numbers)[:, None]
        for group in self._groups:
            rows = group.rows
            whole = len(rows) == count
            facts = _Facts(logits, odds, total, top)
            facts = facts if whole else _Facts(*(fact[rows] for fact in facts))
            seen = recent if whole else [recent[row] for row in rows]
            chosen = self._draw(group, facts, drawn if whole else drawn[rows], seen, errors)
            ids[rows] = chosen[0]
            for row, found in zip(rows.tolist(), chosen[1], strict=False):
                reported[row] = found
        logprobs = shifted[self._rows, ids] - log_total
        entropies = np.maximum(log_total - mean / total, 0.0)
        return Picks(ids.tolist(), logprobs.tolist(), entropies.tolist(), reported, errors)

    def _draw(
        self, group: _Group, facts: _Facts, numbers: Floats, recent: Sequence[Sequence[int]], errors: dict[int, Any]
    ) -> tuple[Ids, list[Reported]]:
        scores = facts.logits
        if group.penalised:
            scores = scores.astype(np.float64)
            for row, (one, ids) in enumerate(zip(group.options, recent, strict=True)):
                if one.repetition_window and ids:
                    penalise(scores[row], ids, one)
        if len(self._forbidden):
            scores = scores if group.penalised else scores.copy()
            scores[:, self._forbidden] = -np.inf
        best = facts.top if scores is facts.logits else scores.max(axis=1)
        if not np.isfinite(best).all():
            for row in np.flatnonzero(best == -np.inf).tolist():
                errors.setdefault(int(group.rows[row]), no_choice())
            scores = np.where((best == -np.inf)[:, None], 0.0, scores)
            best = scores.max(axis=1)
        if group.greedy:
            chosen = scores.argmax(axis=1)
            return chosen, _report(group, facts, chosen, None, scores, None)
        places = largest(scores, group.top_k) if 0 < group.top_k < scores.shape[1] else None
        kept = scores if places is None else scores.ravel().take(places)
        with np.errstate(over="ignore"):
            weights = np.exp((kept.astype(np.float64) - best[:, None]) / group.temperature)
        if group.nucleus:
            weights *= _nucleus(group.lines, weights, group.top_p * weights.sum(axis=1, keepdims=True))
        if group.least:
            weights *= weights >= group.min_p * weights.max(axis=1, keepdims=True)
        mass = np.cumsum(weights, axis=1)
        # Counting "<=" steps over tokens of weight 0.
        index = (mass <= numbers * mass[:, -1:]).sum(axis=1)
        if index.max() == weights.shape[1]:  # rounding took the number to the last sum
            index = np.minimum(index, weights.shape[1] - 1 - (weights[:, ::-1] > 0.0).argmax(axis=1))
        if places is None:
            return index, _report(group, facts, index, None, weights, None)
        columns = places - group.lines * scores.shape[1]
        chosen = columns[group.lines[:, 0], index]
        # The likeliest of all are among those that were kept, unless a rule moved them.
        likely = kept if scores is facts.logits and group.alternatives <= group.top_k else None
        return chosen, _report(group, facts, chosen, columns, weights, likely)


def draw_alone(logits: Floats, options: SamplingOptions, number: float, recent: Sequence[int], forbidden: Ids) -> Picks:
    """What a :class:`Chooser` draws for a row without neighbours, ``logits`` ``(1, V)``, in half the time."""
    seen = list(recent) if options.repetition_penalty != 1.0 else ()
    try:
        choice = choose(logits[0], options, number, seen, forbidden)
    except PluginError as error:
        return Picks([0], [0.0], [0.0], [None], {0: error})
    reported: Reported | None = None
    if choice.candidates:
        ids, raw, ruled = zip(*choice.candidates, strict=True)
        reported = array("d", [*ids, *raw, *ruled]).tobytes()
    return Picks([choice.id], [choice.logprob], [choice.entropy], [reported])


def _ranked(lines: Ids, values: Floats, k: int) -> tuple[Ids, Floats]:
    """Columns and values of each row's k largest, largest first; among equals the lower column comes first.

    ``lines`` is the column of row numbers.
    """
    if k >= values.shape[1]:
        order = np.argsort(-values, axis=1, kind="stable")
        return order, values[lines, order]
    places = largest(values, k)
    best = values.ravel().take(places)
    order = np.argsort(-best, axis=1, kind="stable")
    return places[lines, order] - lines * values.shape[1], best[lines, order]


def _nucleus(lines: Ids, weights: Floats, enough: Floats, width: int = 64) -> NDArray[np.bool_]:
    """True at each row's fewest largest weights that make up at least ``enough`` ``(n, 1)``."""
    if weights.shape[1] <= width:
        ascending = np.sort(weights, axis=1)
        mass = ascending[:, ::-1].cumsum(axis=1)
        # A token is needed while those before it are not enough.
        count = 1 + (mass[:, :-1] < enough).sum(axis=1)
        simple: NDArray[np.bool_] = weights >= ascending[lines[:, 0], -count][:, None]
        if np.count_nonzero(simple) == count.sum():
            return simple
    columns, best = _ranked(lines, weights, min(width, weights.shape[1]))
    mass = np.cumsum(best, axis=1)
    needed = np.ones(best.shape, dtype=np.bool_)
    np.less(mass[:, :-1], enough, out=needed[:, 1:])
    kept = np.zeros(weights.shape, dtype=np.bool_)
    kept[lines, columns] = needed
    if width < weights.shape[1]:
        short = (mass[:, -1:] < enough)[:, 0]
        if short.any():
            kept[short] = _nucleus(lines[: int(short.sum())], weights[short], enough[short], width * 8)
    return kept


def _report(
    group: _Group, facts: _Facts, chosen: Ids, columns: Ids | None, weights: Floats, kept: Floats | None
) -> list[Reported]:
    """Alternatives of each row, ``[]`` if none are wanted.

    Args:
        columns: ``(n, k)``, which tokens the weights belong to; None: all.
        weights: ``(n, k)`` after the rules, of any sum.
        kept: ``(n, k)``, the logits of ``columns``, where these are the k largest.
    """
    if not group.alternatives:
        return []
    if kept is None or columns is None:
        likely, _ = _ranked(group.lines, facts.logits, min(group.alternatives, facts.logits.shape[1]))
    else:
        order = np.argsort(-kept, axis=1, kind="stable")[:, : group.alternatives]
        likely = columns[group.lines, order]
    likely = np.concatenate([likely, chosen[:, None]], axis=1)
    raw = facts.odds[group.lines, likely] / facts.total[:, None]
    if group.greedy:
        ruled = (likely == chosen[:, None]).astype(np.float64)
    elif columns is None:
        ruled = weights[group.lines, likely] / weights.sum(axis=1, keepdims=True)
    else:
        place = (columns[:, None, :] == likely[:, :, None]) * weights[:, None, :]
        ruled = place.sum(axis=2) / weights.sum(axis=1, keepdims=True)
    numbers = np.stack([likely, raw, ruled], axis=1)
    twice = (likely[:, :-1] == chosen[:, None]).any(axis=1)
    longer, shorter = numbers.tobytes(), numbers[:, :, :-1].tobytes()
    size = len(longer) // len(numbers)
    less = size - 3 * numbers.itemsize
    return [
        shorter[row * less : (row + 1) * less] if known else longer[row * size : (row + 1) * size]
        for row, known in enumerate(twice.tolist())
    ]
