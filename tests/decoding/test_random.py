from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding.random import fresh_seed, uniform

MASK = 2**64 - 1


def philox(key: int, counter: int) -> int:
    """First word of Philox4x64-10, written from Salmon et al. 2011."""
    c = [(counter >> (64 * i)) & MASK for i in range(4)]
    k0, k1 = key & MASK, key >> 64
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(p1 >> 64) ^ c[1] ^ k0, p1 & MASK, (p0 >> 64) ^ c[3] ^ k1, p0 & MASK]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return c[0]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**40))
def test_a_number_is_the_published_function_of_seed_and_position(seed: int, position: int) -> None:
    """Philox with the seed as key; numpy counts once before its first block, so position p is counter p + 1."""
    assert uniform(seed, position) == (philox(seed, position + 1) >> 11) / 2**53
    assert 0.0 <= uniform(seed, position) < 1.0


def test_numbers_are_spread_evenly_over_positions_and_over_seeds() -> None:
    """Neither consecutive positions nor consecutive seeds show a pattern in sixteen bins."""
    for numbers in ([uniform(3, p) for p in range(8000)], [uniform(s, 3) for s in range(8000)]):
        bins = [0] * 16
        for number in numbers:
            bins[int(number * 16)] += 1
        assert sum((count - 500) ** 2 / 500 for count in bins) < 44.0  # 15 degrees of freedom, p = 1e-4


def test_fresh_seeds_are_accepted_as_options_and_differ() -> None:
    """A drawn seed can be given back as an option."""
    from seqdemo.plugin import SamplingOptions

    seeds = {fresh_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert all(SamplingOptions(seed=seed).seed == seed for seed in seeds)
