"""From logits to the next token.

Rules apply in this order: forbidden ids, repetition penalty, temperature, top-k, top-p, min-p. The number drawn picks
from what is left by inverse CDF in the order of ids. That order depends on no sort: two engines whose logits differ
in the last bit can only disagree where the number lies beside a boundary.

``V`` is the vocabulary size; ``n`` the number of tokens the rules leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdemo.errors import PluginError
from seqdemo.plugin import SamplingOptions

from .largest import largest

__all__ = ["FLOOR", "Candidate", "Choice", "choose", "describe", "no_choice", "not_numbers", "penalise", "rule"]

Floats = NDArray[Any]
Ids = NDArray[np.int64]

FLOOR = np.float32(-1000.0)
"""exp of it is 0; a product with it is 0 as well, where one with -inf would be NaN."""


class Candidate(NamedTuple):
    """A likely token: its probability under the model and after the rules (0: removed)."""

    id: int
    raw: float
    ruled: float


class Choice(NamedTuple):
    """The token drawn.

    Attributes:
        id: token id.
        logprob: natural log-probability under the model, before any rule.
        entropy: of the model's distribution before any rule, in nats.
        candidates: the likeliest tokens under the model, best first; then the chosen one, if it is not among them.
    """

    id: int
    logprob: float
    entropy: float
    candidates: tuple[Candidate, ...]


def not_numbers() -> PluginError:
    """What is raised for logits that are NaN or infinite."""
    return PluginError(
        "The model gave logits that are not numbers (NaN or infinity). Its weights or the state it goes on from "
        "are damaged: load the checkpoint again, or train it with a smaller learning rate."
    )


def no_choice() -> PluginError:
    """What is raised where no token is left."""
    return PluginError("The model leaves no token to choose: each one is forbidden or has probability 0.")


def penalise(scores: Floats, recent: Sequence[int], options: SamplingOptions) -> None:
    """Repetition penalty on one row ``(V,)`` float64, in place (Keskar et al. 2019, eq. 1, with the sign of the score
    taken into account)."""
    at = np.unique(np.asarray(list(recent)[-options.repetition_window :], dtype=np.int64))
    old = scores[at]
    with np.errstate(over="ignore"):
        new = np.where(old > 0, old / options.repetition_penalty, old * options.repetition_penalty)
    scores[at] = np.minimum(new, np.finfo(np.float64).max)


def _largest(values: Floats, k: int) -> Ids:
    """Indices of the k largest values, ascending; among equals the lower index wins. No sort of all of them."""
    if k >= len(values):
        return np.arange(len(values))
    best: Ids = largest(values[None], k)[0]
    return best


def _ranked(values: Floats, k: int) -> Ids:
    """Indices of the k largest values, largest first; among equals the lower index comes first."""
    best = _largest(values, k)
    return best[np.argsort(-values[best], kind="stable")]


def _nucleus(weights: Floats, share: float) -> Ids | None:
    """Indices, ascending, of the fewest largest weights that make up at least ``share`` of the total; None: all."""
    width = 64
    while True:
        few = width >= len(weights)
        order = (-weights).argsort(kind="stable") if few else _ranked(weights, width)
        mass = weights[order].cumsum()
        enough = share * (mass[-1] if few else weights.sum())
        if mass[-1] >= enough or few:
            count = int(mass.searchsorted(enough)) + 1
            if count >= len(weights):
                return None
            kept = order[:count]
            kept.sort()
            return kept
        width *= 8


def _kept(
    logits: Floats, best: int, options: SamplingOptions, recent: Sequence[int], forbidden: Sequence[int] | Ids
) -> tuple[Ids, Floats]:
    """:func:`rule`, its probabilities not yet divided by their sum.

    Args:
        best: the largest logit's id.
    """
    scores = logits
    if options.repetition_penalty != 1.0 and options.repetition_window and len(recent):
        scores = logits.astype(np.float64)
        penalise(scores, recent, options)
    if len(forbidden):
        scores = scores.copy() if scores is logits else scores
        scores[np.asarray(forbidden, dtype=np.int64)] = -np.inf
    if scores is not logits:
        best = int(scores.argmax())
    top = float(scores[best])
    if top == -inf:
        raise no_choice()
    if options.temperature == 0.0:
        return np.array([best]), np.ones(1)
    # Temperature keeps the order, so taking the k largest before it saves work on the rest.
    ids = _largest(scores, options.top_k or len(scores))
    weights = scores[ids].astype(np.float64)
    weights -= top
    # A vanishing temperature takes all but the best to -inf, whose exponential is 0.
    with np.errstate(over="ignore"):
        weights /= options.temperature
    np.exp(weights, out=weights)
    if options.top_p < 1.0:
        few = _nucleus(weights, options.top_p)
        if few is not None:
            ids, weights = ids[few], weights[few]
    if options.min_p > 0.0:
        few = np.flatnonzero(weights >= options.min_p * weights.max())
        ids, weights = ids[few], weights[few]
    return ids, weights


def rule(
    logits: Floats, options: SamplingOptions, recent: Sequence[int] = (), forbidden: Sequence[int] | Ids = ()
) -> tuple[Ids, Floats]:
    """The distribution after the rules.

    Args:
        logits: ``(V,)``, not modified.
        options: temperature, top_k, top_p (Holtzman et al. 2020), min_p, repetition_penalty (:func:`penalise`),
            repetition_window.
        recent: ids read and written, oldest first; only the last ``repetition_window`` count.
        forbidden: ids never chosen.

    Returns:
        ids ``(n,)``, ascending, and their probabilities ``(n,)`` float64, which sum to 1.

    Raises:
        PluginError: every token is forbidden or has probability 0.
    """
    ids, weights = _kept(logits, int(logits.argmax()), options, recent, forbidden)
    return ids, weights / weights.sum()


def choose(
    logits: Floats,
    options: SamplingOptions,
    number: float,
    recent: Sequence[int] = (),
    forbidden: Sequence[int] | Ids = (),
) -> Choice:
    """Draw the next token.

    Args:
        logits: ``(V,)`` float32, not modified.
        options: the rules, and how many candidates to report.
        number: in [0, 1); see :func:`seqdemo.decoding.random.uniform`.
        recent, forbidden: as :func:`rule` takes them.

    Raises:
        PluginError: a logit is NaN or +inf, or no token is left to choose.
    """
    best = int(logits.argmax())  # of a NaN, if there is one
    top = logits[best]
    if not top < inf:
        raise not_numbers()
    ids, weights = _kept(logits, best, options, recent, forbidden)
    mass = weights.cumsum()
    # side="right" steps over tokens of probability 0; rounding may leave the last sum a little below the number.
    index = int(mass.searchsorted(number * mass[-1], side="right"))
    chosen = int(ids[index if index < len(ids) else np.flatnonzero(weights)[-1]])
    return _described(logits, best, ids, weights, chosen, options)


def describe(
    logits: Floats,
    token: int,
    options: SamplingOptions,
    recent: Sequence[int] = (),
    forbidden: Sequence[int] | Ids = (),
) -> Choice:
    """What :func:`choose` would have said, had it drawn this token.

    Raises:
        PluginError: as :func:`choose`.
    """
    best = int(logits.argmax())
    if not logits[best] < inf:
        raise not_numbers()
    return _described(logits, best, *_kept(logits, best, options, recent, forbidden), token, options)


def _described(logits: Floats, best: int, ids: Ids, weights: Floats, chosen: int, options: SamplingOptions) -> Choice:
    shifted = logits - logits[best]
    odds = np.exp(shifted)
    total = float(np.add.reduce(odds, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        mean = float(np.dot(odds, shifted))
    if isnan(mean):  # 0 times -inf
        mean = float(np.dot(odds, np.maximum(shifted, FLOOR)))
    log_total = log(total)
    entropy = max(log_total - mean / total, 0.0)
    logprob = float(shifted[chosen]) - log_total
    if not options.alternatives:
        return Choice(chosen, logprob, entropy, ())
    likely = _ranked(logits, options.alternatives).tolist()
    if chosen not in likely:
        likely.append(chosen)
    reported = np.array(likely)
    at = ids.searchsorted(reported)
    kept = ids.take(at, mode="clip") == reported
    ruled = (weights.take(at, mode="clip") * (kept / weights.sum())).tolist()
    raw = [value / total for value in odds.take(reported).tolist()]
    return Choice(chosen, logprob, entropy, tuple(map(Candidate, likely, raw, ruled)))
