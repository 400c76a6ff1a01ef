from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqdemo.decoding.random import uniform
from seqdemo.decoding.sampling import choose, rule
from seqdemo.errors import PluginError
from seqdemo.plugin import SamplingOptions


def naive(logits: list[float], o: SamplingOptions, recent: list[int], forbidden: list[int]) -> tuple[list[float], bool]:
    """The ruled distribution with plain loops and full sorts, and whether a cut-off is too close to call."""
    x = [float(v) for v in logits]
    for i in set(recent[-o.repetition_window :]) if o.repetition_window else ():
        x[i] = x[i] / o.repetition_penalty if x[i] > 0 else x[i] * o.repetition_penalty
    for i in forbidden:
        x[i] = -math.inf
    if o.temperature == 0:
        best = max(range(len(x)), key=lambda i: (x[i], -i))
        return [float(i == best) for i in range(len(x))], False
    top = max(x)
    p = [math.exp((v - top) / o.temperature) if v > -math.inf else 0.0 for v in x]
    close = False
    order = sorted(range(len(x)), key=lambda i: (-x[i], i))
    if o.top_k:
        order = order[: o.top_k]
    if o.top_p < 1:
        total, mass, kept = math.fsum(p[i] for i in order), 0.0, []
        order.sort(key=lambda i: (-p[i], i))
        for i in order:
            kept.append(i)
            mass += p[i]
            close = close or abs(mass / total - o.top_p) < 1e-9
            if mass >= o.top_p * total:
                break
        order = kept
    if o.min_p:
        bar = o.min_p * max(p[i] for i in order)
        close = close or any(abs(p[i] - bar) < 1e-12 for i in order)
        order = [i for i in order if p[i] >= bar]
    total = math.fsum(p[i] for i in order)
    return [p[i] / total if i in order else 0.0 for i in range(len(x))], close


options = st.builds(
    SamplingOptions,
    temperature=st.sampled_from([0.0, 0.3, 0.8, 1.0, 2.5]),
    top_k=st.integers(0, 40),
    top_p=st.one_of(st.just(1.0), st.floats(0.05, 0.999)),
    min_p=st.one_of(st.just(0.0), st.floats(0.01, 0.9)),
    repetition_penalty=st.sampled_from([1.0, 0.7, 1.3, 2.0]),
    repetition_window=st.integers(0, 12),
    alternatives=st.integers(0, 8),
)
# A coarse grid, so that ties are common.
logit = st.one_of(st.integers(-6, 6).map(float), st.floats(-8, 8, width=32))


@settings(deadline=None, max_examples=150)
@given(st.data(), st.lists(logit, min_size=2, max_size=90), options)
def test_the_ruled_distribution_is_that_of_plain_loops_and_sorts(data: Any, x: list[float], o: SamplingOptions) -> None:
    """Every combination of rules, with ties, agrees with the naive reference; the input is left alone."""
    token = st.integers(0, len(x) - 1)
    recent = data.draw(st.lists(token, max_size=20))
    forbidden = data.draw(st.lists(token, max_size=len(x) - 1, unique=True))
    logits = np.array(x, dtype=np.float32)
    before = logits.copy()
    want, close = naive(logits.tolist(), o, recent, forbidden)
    assume(not close)
    ids, probabilities = rule(logits, o, recent, forbidden)
    got = np.zeros(len(x))
    got[ids] = probabilities
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert (np.diff(ids) > 0).all()
    np.testing.assert_array_equal(logits, before)


@settings(deadline=None, max_examples=100)
@given(st.lists(logit, min_size=2, max_size=60), options, st.floats(0, 1, exclude_max=True))
def test_a_choice_reports_the_model_before_and_after_the_rules(
    x: list[float], o: SamplingOptions, number: float
) -> None:
    """Log-probability and entropy are the model's; candidates are its likeliest with both probabilities."""
    logits = np.array(x, dtype=np.float32)
    choice = choose(logits, o, number)
    exact = logits.astype(np.float64)
    raw = np.exp(exact - exact.max())
    raw /= raw.sum()
    ids, ruled = rule(logits, o)
    after = dict(zip(ids.tolist(), ruled.tolist(), strict=True))
    assert choice.id in after
    assert choice.logprob == pytest.approx(math.log(raw[choice.id]), abs=1e-5)
    assert choice.entropy == pytest.approx(-(raw * np.log(raw)).sum(), abs=1e-5)
    order = sorted(range(len(x)), key=lambda i: (-logits[i], i))[: o.alternatives]
    if order and choice.id not in order:
        order.append(choice.id)
    assert [c.id for c in choice.candidates] == order
    for c in choice.candidates:
        assert c.raw == pytest.approx(raw[c.id], rel=1e-5)
        assert c.ruled == pytest.approx(after.get(c.id, 0.0), abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(st.lists(logit, min_size=2, max_size=60), options, st.floats(0, 1, exclude_max=True))
def test_the_number_picks_by_inverse_cdf_in_the_order_of_ids(x: list[float], o: SamplingOptions, number: float) -> None:
    """The chosen token's interval of the cumulative distribution holds the number."""
    logits = np.array(x, dtype=np.float32)
    ids, probabilities = rule(logits, o)
    at = ids.tolist().index(choose(logits, o, number).id)
    assert math.fsum(probabilities[:at]) <= number + 1e-12
    assert number <= math.fsum(probabilities[: at + 1]) + 1e-12
    assert probabilities[at] > 0


@pytest.mark.parametrize(
    "values",
    [{"temperature": 1.0}, {"temperature": 0.7, "top_k": 9}, {"temperature": 1.3, "top_p": 0.8, "min_p": 0.05}],
)
def test_frequencies_are_those_of_the_ruled_distribution(values: dict[str, Any]) -> None:
    """Chi-square over 8,000 positions of one seed."""
    logits = np.random.default_rng(1).normal(size=30).astype(np.float32) * 1.5
    o = SamplingOptions(**values, alternatives=0)
    ids, probabilities = rule(logits, o)
    draws = [choose(logits, o, uniform(7, position)).id for position in range(8_000)]
    assert set(draws) <= set(ids.tolist())
    counts = np.array([draws.count(int(token)) for token in ids])
    chi = ((counts - 8_000 * probabilities) ** 2 / (8_000 * probabilities)).sum()
    freedom = len(ids) - 1
    assert chi < freedom + 4.5 * math.sqrt(2 * freedom) + 8


def slow(logits: Any, o: SamplingOptions, number: float) -> int:
    """The draw with everything sorted and in float64 from the first to the last."""
    scores = logits.astype(np.float64)
    order = np.argsort(-scores, kind="stable")[: o.top_k or len(scores)]
    weights = np.exp((scores[order] - scores.max()) / o.temperature)
    inside = np.concatenate([[True], np.cumsum(weights)[:-1] < o.top_p * weights.sum()])
    kept = order[inside & (weights >= o.min_p * weights.max())]
    ids = np.sort(kept)
    mass = np.cumsum(np.exp((scores[ids] - scores.max()) / o.temperature))
    return int(ids[np.searchsorted(mass, number * mass[-1], side="right")])


@pytest.mark.parametrize("size", [256, 4096, 5000])
def test_short_cuts_on_large_vocabularies_draw_the_same_ids(size: int) -> None:
    """Selecting before sorting changes nothing that is drawn, whatever the rules."""
    numbers = np.random.default_rng(size)
    for position in range(60):
        logits = (numbers.normal(size=size) * numbers.uniform(0.1, 4)).astype(np.float32)
        o = SamplingOptions(
            temperature=float(numbers.uniform(0.5, 1.5)),
            top_k=int(numbers.choice([0, 1, 40, 200])),
            top_p=float(numbers.choice([1.0, 0.9, 0.97])),
            min_p=float(numbers.choice([0.0, 0.02])),
            alternatives=0,
        )
        number = uniform(size, position)
        assert choose(logits, o, number).id == slow(logits, o, number)


def test_ties_go_to_the_lower_id() -> None:
    """Equal logits leave nothing to chance: at a cut-off, and when greedy, the lower id stays."""
    logits = np.array([1.0, 3.0, 3.0, 3.0, 0.0], dtype=np.float32)
    assert rule(logits, SamplingOptions(top_k=2))[0].tolist() == [1, 2]
    assert rule(logits, SamplingOptions(top_p=0.5, temperature=0.01))[0].tolist() == [1, 2]
    assert choose(logits, SamplingOptions(temperature=0), 0.99).id == 1


def test_a_large_vocabulary_needs_more_than_the_first_guess_of_the_nucleus() -> None:
    """A flat distribution over 5,000 tokens keeps half of them at top_p = 0.5, the lowest ids."""
    ids, probabilities = rule(np.zeros(5000, dtype=np.float32), SamplingOptions(top_p=0.5, temperature=1.0))
    assert ids.tolist() == list(range(2500))
    assert probabilities == pytest.approx(np.full(2500, 1 / 2500))


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-30])
def test_the_smallest_temperatures_are_greedy_and_not_nan(temperature: float) -> None:
    """No overflow on the way: what is left is the likeliest token."""
    logits = np.array([1.0, 2.0, 1.5], dtype=np.float32)
    ids, probabilities = rule(logits, SamplingOptions(temperature=temperature))
    assert choose(logits, SamplingOptions(temperature=temperature), 0.999).id == 1
    assert probabilities[ids.tolist().index(1)] == 1.0


def test_the_smallest_penalty_is_not_nan() -> None:
    """A positive score divided by next to nothing is a large score, and wins."""
    logits = np.array([1e30, 2.0, -1.0], dtype=np.float32)
    o = SamplingOptions(repetition_penalty=5e-324, temperature=1.0)
    assert rule(logits, o, [0, 2])[1].sum() == pytest.approx(1.0)
    assert choose(logits, o, 0.5, [1]).id == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_numbers_are_refused(bad: float) -> None:
    """One clear line, not a random token."""
    with pytest.raises(PluginError, match="not numbers"):
        choose(np.array([0.0, bad, 1.0], dtype=np.float32), SamplingOptions(), 0.5)


def test_minus_infinity_is_a_token_that_cannot_be_chosen() -> None:
    """A head may mask tokens; entropy and candidates stay numbers, and a mask over all is refused."""
    logits = np.array([-math.inf, 0.0, 0.0], dtype=np.float32)
    choice = choose(logits, SamplingOptions(temperature=1.0), 0.0)
    assert choice.id == 1
    assert choice.entropy == pytest.approx(math.log(2))
    assert [c.raw for c in choice.candidates] == pytest.approx([0.5, 0.5, 0.0])
    with pytest.raises(PluginError, match="no token"):
        choose(logits, SamplingOptions(), 0.5, forbidden=[1, 2])
