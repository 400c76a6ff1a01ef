"""The parts of a step, on every level this processor runs, against naive arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.random import Philox
from numpy.typing import NDArray
from seqdemo_native.library import Floats, levels, library, pointer

SIZES = st.integers(1, 140)
VALUES = st.floats(-1e3, 1e3, width=32)


def quantised(level: str, x: Floats) -> tuple[NDArray[np.int8], np.float32]:
    found = np.zeros(len(x), dtype=np.int8)
    scale = library().try_quantise(level.encode(), pointer(x), len(x), pointer(found))
    return found, np.float32(scale)


def product(level: str, weight: Floats, bias: Floats, x: Floats, integers: bool) -> Floats:
    found = np.zeros((len(x), len(weight)), dtype=np.float32)
    made = library().try_product(
        level.encode(), integers, pointer(weight), pointer(bias), *weight.shape, pointer(x), len(x), pointer(found)
    )
    assert made == 0
    return found


def case(seed: int, rows: int, outputs: int, inputs: int) -> tuple[Floats, Floats, Floats]:
    """Weights, biases and rows whose sizes differ by a factor of 1,000."""
    numbers = np.random.default_rng(seed)
    weight = numbers.normal(size=(outputs, inputs)) * numbers.uniform(0.01, 10, (outputs, 1))
    x = numbers.normal(size=(rows, inputs)) * np.logspace(-2, 1, rows)[:, None]
    parts = weight, numbers.normal(size=outputs), x
    return tuple(np.ascontiguousarray(part, dtype=np.float32) for part in parts)  # type: ignore[return-value]


@given(x=arrays(np.float32, SIZES, elements=VALUES))
@settings(deadline=None)
def test_quantising_is_rounding_to_127_steps_of_the_largest_magnitude(x: Floats) -> None:
    """Integers and scale are those of the rule written out in numpy, on every level."""
    largest = np.abs(x).max()
    inverse = np.float32(127) / largest if largest > 1e-30 else np.float32(0)
    wanted = np.rint(x * inverse).astype(np.int8)
    for level in levels():
        integers, scale = quantised(level, x)
        np.testing.assert_array_equal(integers, wanted)
        assert scale == largest / np.float32(127)


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), outputs=st.integers(1, 140), inputs=st.integers(1, 140),
    extreme=st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_integer_products_are_exact(seed: int, rows: int, outputs: int, inputs: int, extreme: bool) -> None:
    """Every level gives the bits of a naive loop over integers, also where all of them are as large as they get."""
    weight, bias, x = case(seed, rows, outputs, inputs)
    if extreme:
        weight, x = np.sign(weight), np.sign(x)
    scale = np.maximum(np.abs(weight).max(1) / np.float32(127), np.float32(1e-12))
    whole = np.rint(weight / scale[:, None]).astype(np.int64)
    steps = [quantised("plain", row) for row in x]
    sums = np.stack([integers.astype(np.int64) for integers, _ in steps]) @ whole.T
    wanted = sums.astype(np.float32) * (scale * np.array([[step] for _, step in steps], np.float32)) + bias
    for level in levels():
        np.testing.assert_array_equal(product(level, weight, bias, x, integers=True), wanted)


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), outputs=st.integers(1, 140), inputs=st.integers(1, 140)
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_products_in_32_bits_are_close_to_float64(seed: int, rows: int, outputs: int, inputs: int) -> None:
    """Each value to within the rounding of a sum in order (Higham 2002, eq. 3.5), on every level."""
    weight, bias, x = case(seed, rows, outputs, inputs)
    wanted = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    sizes = np.abs(x).astype(np.float64) @ np.abs(weight).T + np.abs(bias)
    for level in levels():
        off = np.abs(product(level, weight, bias, x, integers=False) - wanted)
        assert (off <= (inputs + 1) * 2.0**-24 * sizes).all()


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("level", levels())
def test_a_row_depends_on_no_neighbour(level: str, integers: bool) -> None:
    """The same bits alone, in any place, and beside a row a thousand times larger."""
    weight, bias, x = case(1, 17, 130, 97)
    together = product(level, weight, bias, x, integers)
    for order in (np.arange(17)[::-1], np.arange(5, 9), np.array([3]), np.array([16, 3, 0])):
        alone = product(level, weight, bias, np.ascontiguousarray(x[order]), integers)
        np.testing.assert_array_equal(alone, together[order])


def test_tanh_is_accurate_at_every_size_and_alike_on_every_level() -> None:
    """Within 2.5e-7 of the value at sizes from 1e-30 to 100, odd, exact at 0 and the ends, NaN kept."""
    sizes = np.concatenate([np.logspace(-30, 2, 4001), np.linspace(0, 12, 4001), [np.inf, np.nan]])
    x = np.concatenate([sizes, -sizes]).astype(np.float32)
    wanted = np.tanh(x.astype(np.float64))
    found = []
    for level in levels():
        y = np.empty_like(x)
        library().try_tanh(level.encode(), pointer(x), len(x), pointer(y))
        found.append(y)
        np.testing.assert_allclose(y, wanted, rtol=2.5e-7, atol=0)
        np.testing.assert_array_equal(np.signbit(y[: len(sizes) - 1]), False)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@given(seed=st.integers(0, 2**63 - 1), position=st.integers(0, 2**62))
@settings(deadline=None)
def test_random_numbers_are_numpys(seed: int, position: int) -> None:
    """Bit for bit what numpy's Philox gives at that position."""
    word = int(Philox(key=seed, counter=position).random_raw())
    assert library().try_uniform(seed, position) == (word >> 11) * 2.0**-53


def test_what_is_not_a_number_stays_visible() -> None:
    """A NaN or an infinity among the inputs makes the outputs no numbers, in integers too."""
    weight, bias, x = case(3, 1, 20, 30)
    for bad in (np.nan, np.inf):
        given: Any = x.copy()
        given[0, 7] = bad
        for level in levels():
            for integers in (True, False):
                assert not np.isfinite(product(level, weight, bias, given, integers)).any()
