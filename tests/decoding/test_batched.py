"""Rows drawn together are rows drawn alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding.batched import Chooser, draw_alone
from seqdemo.decoding.random import uniform, uniforms
from seqdemo.decoding.sampling import choose
from seqdemo.errors import PluginError
from seqdemo.plugin import SamplingOptions, unpacked

NOTHING = np.array([], dtype=np.int64)

some_options = st.builds(
    SamplingOptions,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 3, 40, 1000]),
    top_p=st.sampled_from([1.0, 0.9, 0.3, 0.999]),
    min_p=st.sampled_from([0.0, 0.0, 0.2]),
    repetition_penalty=st.sampled_from([1.0, 1.0, 1.3, 0.7]),
    repetition_window=st.sampled_from([0, 4, 64]),
    alternatives=st.sampled_from([0, 0, 1, 5]),
)


@st.composite
def rows(draw: Any) -> tuple[Any, ...]:
    """Logits with ties and removed tokens, options, numbers and recent ids of several rows."""
    count, size = draw(st.integers(1, 6)), draw(st.sampled_from([5, 67, 300]))
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = (noise.normal(size=(count, size)) * draw(st.sampled_from([0.1, 2.0, 8.0]))).astype(np.float32)
    if draw(st.booleans()):
        logits = np.round(logits)
    if draw(st.booleans()):
        logits[noise.random(logits.shape) < 0.3] = -np.inf
        logits[:, 0] = 0.0
    options = draw(st.lists(some_options, min_size=count, max_size=count))
    if draw(st.booleans()):
        options = [options[0]] * count
    forbidden = np.array(sorted(draw(st.sets(st.integers(1, size - 1), max_size=2))), dtype=np.int64)
    recent = [noise.integers(0, size, 10).tolist() for _ in range(count)]
    return logits, options, noise.random(count).tolist(), recent, forbidden


@settings(deadline=None, max_examples=150)
@given(rows())
def test_together_is_what_each_row_gives_alone(case: tuple[Any, ...]) -> None:
    """Token, facts and alternatives of the one-row sampler; and bit for bit those of a batch of one."""
    logits, options, numbers, recent, forbidden = case
    before = logits.copy()
    picks = Chooser(options, forbidden)(logits, numbers, recent)
    assert np.array_equal(logits, before)
    assert not picks.errors
    for row, one in enumerate(options):
        want = choose(logits[row], one, numbers[row], recent[row], forbidden)
        assert picks.ids[row] == want.id
        assert picks.logprobs[row] == pytest.approx(want.logprob, abs=1e-5)
        assert picks.entropies[row] == pytest.approx(want.entropy, abs=1e-4)
        ids, raw, ruled = unpacked(picks.reported[row] or b"")
        assert ids == [found.id for found in want.candidates]
        assert raw == pytest.approx([found.raw for found in want.candidates], abs=1e-6)
        assert ruled == pytest.approx([found.ruled for found in want.candidates], abs=1e-9)
        quick = draw_alone(logits[row : row + 1], one, numbers[row], recent[row], forbidden)
        assert (quick.ids[0], quick.logprobs[0], quick.entropies[0]) == want[:3]
        assert (quick.reported[0] is None) == (not one.alternatives)
        assert list(zip(*unpacked(quick.reported[0] or b""), strict=True)) == list(want.candidates)
        alone = Chooser([one], forbidden)(logits[row : row + 1], numbers[row : row + 1], recent[row : row + 1])
        assert (alone.ids[0], alone.logprobs[0], alone.entropies[0], alone.reported[0]) == (
            picks.ids[row],
            picks.logprobs[row],
            picks.entropies[row],
            picks.reported[row],
        )


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "not numbers"), (np.inf, "not numbers"), (-np.inf, "no token")]
)
def test_a_damaged_row_is_named_and_leaves_the_others_alone(value: float, message: str) -> None:
    """One row of logits that cannot be drawn from is that row's error."""
    options = [SamplingOptions(alternatives=2)] * 3
    logits = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    fine = Chooser(options, NOTHING)(logits, [0.2, 0.5, 0.7], [[]] * 3)
    logits[1] = value
    picks = Chooser(options, NOTHING)(logits, [0.2, 0.5, 0.7], [[]] * 3)
    assert [picks.ids[row] for row in (0, 2)] == [fine.ids[row] for row in (0, 2)]
    assert list(picks.errors) == [1]
    with pytest.raises(PluginError, match=message):
        raise picks.errors[1]
    with pytest.raises(PluginError, match=message):
        raise draw_alone(logits[1:2], options[1], 0.5, [], NOTHING).errors[0]


def test_forbidding_every_token_is_an_error_of_the_row() -> None:
    """A distribution may leave nothing but what must not be chosen."""
    logits = np.full((2, 4), -np.inf, dtype=np.float32)
    logits[0, 1], logits[1, 2] = 0.0, 0.0
    picks = Chooser([SamplingOptions()] * 2, np.array([1]))(logits, [0.5, 0.5], [[], []])
    assert list(picks.errors) == [0]
    assert picks.ids[1] == 2


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9), st.integers(1, 70))
def test_numbers_ahead_are_the_numbers_of_their_positions(seed: int, position: int, count: int) -> None:
    """Many at once are those one would have got one by one."""
    assert uniforms(seed, position, count) == [uniform(seed, position + k) for k in range(count)]
