"""Prepared products against float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from seqdemo.builtin.steppers import products
from seqdemo.builtin.steppers.products import FBGEMM, Floats, Pair, product, quantised

SHAPES = [(7, 3), (64, 130), (256, 512)]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """What works here is found out again in every test."""
    yield
    products._integer_trouble.cache_clear()
    products._trouble.cache_clear()


def case(shape: tuple[int, int], rows: int = 6) -> tuple[torch.Tensor, torch.Tensor, Floats]:
    """A matrix and rows whose sizes differ by a factor of 1,000."""
    numbers = np.random.default_rng(shape[0])
    weight = numbers.normal(size=shape) * numbers.uniform(0.01, 10, (shape[0], 1))
    x = numbers.normal(size=(rows, shape[1])) * np.logspace(-2, 1, rows)[:, None]
    bias = numbers.normal(size=shape[0])
    found = [torch.from_numpy(values.astype(np.float32)) for values in (weight, bias)]
    return found[0], found[1], x.astype(np.float32)


def exact(weight: torch.Tensor, bias: torch.Tensor, x: Floats) -> torch.Tensor:
    return torch.from_numpy(x).double() @ weight.double().T + bias.double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-6), ("bf16", 1e-2), ("int8", 2e-2)])
def test_every_precision_is_close_to_float64(shape: tuple[int, int], precision: Any, bound: float) -> None:
    """Each row to within a share of its own largest value, however small it is beside the others, and alone too."""
    weight, bias, x = case(shape)
    made = product(weight, torch.zeros(shape[0]), precision)
    assert made.count == weight.numel()
    wanted = exact(weight, torch.zeros(shape[0]), x)
    for found in (made(x), np.concatenate([made(row[None]) for row in x])):
        share = (torch.from_numpy(found) - wanted).abs() / wanted.abs().amax(1, keepdim=True)
        assert share.max() < bound
    with_bias = product(weight, bias, "fp32")(x)
    np.testing.assert_allclose(with_bias, exact(weight, bias, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_integers_depend_on_no_neighbour(shape: tuple[int, int]) -> None:
    """A row of an int8 product is the same bits alone, in any place, and beside a row a thousand times larger."""
    weight, bias, x = case(shape, rows=17)
    made = product(weight, bias, "int8")
    if not made.alike:
        pytest.skip(made.name)
    together = made(x)
    for order in (np.arange(17)[::-1], np.arange(5, 9), np.array([3]), np.array([16, 3, 0])):
        np.testing.assert_array_equal(made(np.ascontiguousarray(x[order])), together[order])


def test_integers_are_the_sums_they_should_be() -> None:
    """The operator computes exactly: integers of 8 bits, one scale a row of weights and one a row of inputs."""
    weight, bias, x = case((64, 130))
    made = product(weight, bias, "int8")
    if not isinstance(made, FBGEMM):
        pytest.skip(made.name)
    whole, scale = quantised(weight)
    assert whole.abs().amax(1).eq(127).all()
    largest = np.abs(x).max(1, keepdims=True)
    levels = 127 if made._narrow else 255
    given = torch.from_numpy(np.rint(x / largest * (levels / 2))).double()
    sums = given @ whole.double().T * (2 / levels) * scale.double()
    wanted = sums * torch.from_numpy(largest).double() + bias.double()
    # Rounding to the nearest level may go either way where the quotient lies half between two.
    step = weight.abs().amax(1).double() * 2 / levels * torch.from_numpy(largest).double()
    assert ((torch.from_numpy(made(x)).double() - wanted).abs() <= 2 * step + 1e-6).all()


def test_zero_rows_and_damaged_rows_stay_what_they_are() -> None:
    """A row of zeros gives the bias; NaN gives NaN, in that row alone."""
    weight, bias, x = case((7, 3))
    x[1], x[3, 0] = 0.0, np.nan
    for precision in ("fp32", "bf16", "int8"):
        found = product(weight, bias, precision)(x)
        np.testing.assert_allclose(found[1], bias, rtol=1e-2)
        assert np.isnan(found[3]).all()
        assert np.isfinite(np.delete(found, 3, axis=0)).all()


def test_bounded_rows_share_one_scale() -> None:
    """Rows in [-1, 1] come out close to float64 with one scale, whatever stands beside them, damage and rows beyond
    that range included; a row beyond it is as close."""
    weight, bias, _ = case((64, 130))
    x = np.random.default_rng(1).uniform(-1, 1, (6, 130)).astype(np.float32)
    x[0, :], x[1, :], x[2, 3] = 1.0, 0.0, np.nan
    made = product(weight, bias, "int8", bounded=True)
    found, sound = made(x), [0, 1, 3, 4, 5]
    assert np.isnan(found[2]).all()
    wanted = exact(weight, bias, x)
    share = (torch.from_numpy(found) - wanted)[sound].abs() / wanted[sound].abs().amax()
    assert share.max() < 2e-2
    if made.alike:
        np.testing.assert_array_equal(np.concatenate([made(x[row : row + 1]) for row in sound]), found[sound])
    large = x[4:5] * np.float32(50.0)
    wanted = exact(weight, bias, large)
    assert ((torch.from_numpy(made(large)) - wanted).abs() / wanted.abs().amax()).max() < 2e-2
    if made.alike:
        beside = made(np.concatenate([x[3:5], large, x[5:6]]))
        np.testing.assert_array_equal(beside[[0, 1, 3]], found[3:])
        np.testing.assert_array_equal(beside[2:3], made(large))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_pair_is_both_its_products(precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept together, kept apart, and one by one: the same values, and the same number of weights."""
    (u, d, x), (w, b, _) = case((64, 130)), case((7, 130))
    x = np.clip(x, -1, 1)
    together = Pair((u, d), (w, b), precision, bounded=True)
    monkeypatch.setattr(products, "_CACHED", 0)
    apart = Pair((u, d), (w, b), precision, bounded=True)
    assert together.count == apart.count == u.numel() + w.numel()
    for found in (apart(x), (together.ahead(x), together.above(x))):
        for one, other in zip(found, together(x), strict=True):
            if together.alike:
                np.testing.assert_array_equal(one, other)
            np.testing.assert_allclose(one, other, rtol=1e-2, atol=0.05)


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-5), ("bf16", 1e-2), ("int8", 2e-2)])
def test_a_missing_operator_is_named_and_the_plain_product_serves(
    monkeypatch: pytest.MonkeyPatch, precision: Any, bound: float
) -> None:
    """Without torch's private operators the result is close all the same, and the name says what was lacking."""

    def lacking(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator in this build")

    products._integer_trouble.cache_clear()
    products._trouble.cache_clear()
    monkeypatch.setattr(products.FBGEMM, "__call__", lacking)
    monkeypatch.setattr(products.OneDNN, "__call__", lacking)
    weight, bias, x = case((64, 130))
    made = product(weight, bias, precision)
    assert made.name.startswith("plain product")
    assert "no such operator in this build" in made.name or "no fast bfloat16" in made.name
    wanted = exact(weight, bias, x)
    assert ((torch.from_numpy(made(x)) - wanted).abs() / wanted.abs().amax(1, keepdim=True)).max() < bound


def test_an_operator_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that overflow are noticed: first fewer bits are tried, then the plain product."""
    products._integer_trouble.cache_clear()
    right = FBGEMM.__call__

    def overflowing(self: FBGEMM, x: Floats) -> Floats:
        return right(self, x) * np.float32(1.0 if self._narrow else 0.6)

    monkeypatch.setattr(FBGEMM, "__call__", overflowing)
    weight, bias, _ = case((7, 3))
    made = product(weight, bias, "int8")
    assert isinstance(made, FBGEMM)
    assert made._narrow
    products._integer_trouble.cache_clear()
    monkeypatch.setattr(FBGEMM, "__call__", lambda self, x: right(self, x) * np.float32(0.6))
    assert "is off by" in product(weight, bias, "int8").name
    assert not products.integers()


def test_the_quantised_engine_in_use_stays_the_one_it_was() -> None:
    """Packing chooses an engine of torch's for itself alone."""
    before = torch.backends.quantized.engine
    product(*case((7, 3))[:2], "int8")
    assert torch.backends.quantized.engine == before


class Library:
    """A matrix library that remembers how many threads it was told to take."""

    def __init__(self, threads: int) -> None:
        self.num_threads = threads
        self.told: list[int] = []

    def set_num_threads(self, threads: int) -> None:
        self.num_threads = threads
        self.told.append(threads)


def test_one_row_takes_one_thread_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives the others back; several rows, and matrices that are not shared out anyway, change nothing."""
    library = Library(3)
    monkeypatch.setattr(products, "_libraries", lambda: [library])
    weight, bias = torch.randn(300, 100), torch.randn(300)
    made, x = products.Plain(weight, bias), np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    wanted = (torch.from_numpy(x).double() @ weight.double().T + bias).numpy()
    np.testing.assert_allclose(made(x), wanted, atol=1e-4)
    products.Plain(weight[:9], bias[:9])(x[:1])
    assert library.told == []
    np.testing.assert_allclose(made(x[:1]), wanted[:1], atol=1e-4)
    assert library.told == [1, 3]


def test_numpys_own_library_is_known() -> None:
    """Where it is one whose threads can be counted, as in the wheels for Linux and Windows."""
    if "openblas" not in str(np.show_config(mode="dicts")).lower():
        pytest.skip("numpy was built with another matrix library here")
    assert any(library.internal_api == "openblas" for library in products._libraries())
