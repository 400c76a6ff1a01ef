"""Random numbers that are a function of (seed, position) alone, so a recorded seed stays good.

However a text was reached (in one go, in pieces, resumed from disk, beside other streams), the token at a position is
drawn with the same number.
"""

from __future__ import annotations

import secrets

from numpy.random import Philox

__all__ = ["SEED_LIMIT", "fresh_seed", "uniform", "uniforms"]

SEED_LIMIT = 2**63
"""Seeds are ``0 … SEED_LIMIT - 1``."""


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) with 53 random bits.

    Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), keyed by the seed, counting
    positions: no state is carried from one number to the next.
    """
    return float(int(Philox(key=seed, counter=position).random_raw()) >> 11) * 2.0**-53


def uniforms(seed: int, position: int, count: int) -> list[float]:
    """:func:`uniform` at ``count`` positions from one on, for the price of little more than one."""
    words = Philox(key=seed, counter=position).random_raw(4 * count)[::4]  # a block of the counter is four words
    numbers: list[float] = ((words >> 11) * 2.0**-53).tolist()
    return numbers


def fresh_seed() -> int:
    """A seed nobody has used, from the operating system."""
    return secrets.randbits(63)
