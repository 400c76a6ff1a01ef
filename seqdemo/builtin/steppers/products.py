"""Matrix products whose weights are prepared once: ``y = x W^T + b``, ``x`` ``(n, K)``, ``W`` ``(N, K)``, on the CPU.

The fast ones call operators of torch that are not part of its public interface. Each is tried once in a process and
compared with the plain product; where it is missing or wrong, the plain product takes its place and says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from math import isfinite
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from seqdemo.plugin import Precision

__all__ = ["Floats", "Pair", "Product", "integers", "product"]

Floats = NDArray[np.float32]

_CACHED = 8 << 20
"""Bytes of two matrices up to which they are kept together as well."""

_TWICE = 64 << 20
"""Bytes of a matrix up to which it is kept twice, as it is for one row and packed for several."""

_UNSHARED = 9216
"""Weights up to which OpenBLAS takes one thread by itself."""

_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
_BEYOND = float(np.float32(1.00001))
"""The range of a bounded product: a hair more than 1, for rounding may take a value past it."""

_TINY = np.float32(1e-30)
_packing, _alone = Lock(), Lock()


class Product(Protocol):
    """A prepared product.

    Attributes:
        name: what computes it.
        count: weights it reads.
        alike: a row's result is the same bits whatever rows stand beside it.
    """

    name: str
    count: int
    alike: bool

    def __call__(self, x: Floats) -> Floats:
        """``(n, K)`` -> ``(n, N)`` in memory of its own."""
        ...


@cache
def _libraries() -> list[Any]:
    """The matrix libraries that are loaded, numpy's among them."""
    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


def _one_row(x: Floats, weight: Floats) -> Floats:
    """``(1, K)`` and ``(K, N)`` -> ``(1, N)`` by numpy, on one thread: others would be waited for, and another process
    may have their cores."""
    y: Floats
    if weight.size <= _UNSHARED:
        y = x @ weight
        return y
    with _alone:
        libraries = _libraries()
        before = [library.num_threads for library in libraries]
        for library in libraries:
            library.set_num_threads(1)
        try:
            y = x @ weight
        finally:
            for library, threads in zip(libraries, before, strict=True):
                library.set_num_threads(threads)
    return y


class Plain:
    """torch's own product, in 32 bits; of one row numpy's, which takes half to three quarters of the time."""

    alike = False

    def __init__(self, weight: Tensor, bias: Tensor, name: str = "plain product") -> None:
        self.name = name
        self.count = weight.numel()
        # One row takes a third of the time when its inputs, rather than its outputs, are what lies far apart.
        self._weight: Floats = weight.t().contiguous().numpy()
        self._bias = bias.numpy()

    def __call__(self, x: Floats) -> Floats:
        if len(x) == 1:
            y = _one_row(x, self._weight)
        else:
            y = torch.mm(torch.from_numpy(x), torch.from_numpy(self._weight)).numpy()
        y += self._bias
        return y


class OneDNN:
    """oneDNN with weights packed for it, in 32 bits or in bfloat16 (sums in 32 bits)."""

    alike = False

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self.name = "oneDNN packed weights" + (", bfloat16" if dtype == torch.bfloat16 else "")
        self.count = weight.numel()
        self._dtype = dtype
        self._bias = bias.to(dtype)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), 1)
        self._run: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise.default

    def __call__(self, x: Floats) -> Floats:
        given = torch.from_numpy(x)
        if self._dtype != torch.float32:
            given = given.to(self._dtype)
        y = self._run(given, self._weight, self._bias, "none", [], "")
        found: Floats = y.float().numpy()
        return found


class Cached:
    """One row by the plain product, several by oneDNN."""

    alike = False

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.count = weight.numel()
        self._one, self._several = Plain(weight, bias), OneDNN(weight, bias, torch.float32)
        self.name = f"{self._one.name}, beside others {self._several.name}"

    def __call__(self, x: Floats) -> Floats:
        return self._one(x) if len(x) == 1 else self._several(x)


class FBGEMM:
    """Integers of 8 bits with FBGEMM: one scale for each row of ``W``, one for each row of ``x``.

    The operator takes ``x`` in a range that is always [-1, 1], whatever is in it, so that no row's result depends on
    its neighbours: each row is first divided by its largest magnitude. Sums of integers are exact, in any order.

    Where rows lie in [-1, 1] of themselves, they are taken as they are, with one scale for all.
    """

    alike = True

    def __init__(self, weight: Tensor, bias: Tensor, narrow: bool, bounded: bool = False) -> None:
        self.name = "FBGEMM 8-bit integers" + (" (7 bits for activations: this CPU's sums overflow)" if narrow else "")
        self.count = weight.numel()
        self._narrow, self._bounded = narrow, bounded
        self._levels = 127 if narrow else 255
        integers, scale = quantised(weight)
        zeros = torch.zeros(len(scale), dtype=torch.long)
        with _packing, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that such tensors will move elsewhere
            before = torch.backends.quantized.engine
            torch.backends.quantized.engine = "fbgemm"
            try:
                made = torch._make_per_channel_quantized_tensor(integers, scale.double(), zeros, 0)
                self._weight = torch.ops.quantized.linear_prepack(made, bias if bounded else None)
            finally:
                torch.backends.quantized.engine = before
        self._run: Callable[..., Tensor] = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
        self._bias = bias.numpy()

    def __call__(self, x: Floats) -> Floats:
        return self._shared(x) if self._bounded else self._own(x)

    def _shared(self, x: Floats) -> Floats:
        """One scale for all rows; for one that lies beyond, its own."""
        largest = float(np.maximum.reduce(np.abs(x), axis=None))
        if largest <= _BEYOND:
            return self._multiply(x, _BEYOND)
        if len(x) > 1:
            return np.concatenate([self._shared(row) for row in x[:, None]])
        if isfinite(largest):
            return self._multiply(x, largest)
        return np.full((1, len(self._bias)), np.nan, dtype=np.float32)

    def _own(self, x: Floats) -> Floats:
        """A scale for each row."""
        if isfinite(np.vdot(x, x)):
            scale = np.maximum.reduce(np.abs(x), axis=1, initial=_TINY, keepdims=True)
            y = self._multiply(np.divide(x, scale, out=np.empty_like(x)), 1.0)
            y *= scale
            y += self._bias
            return y
        # Integers have no NaN: a damaged row is read as zeros, and damaged again.
        damaged = np.flatnonzero(~np.isfinite(x).all(axis=1))
        x = x.copy()
        x[damaged] = 0.0
        y = self._own(x)
        y[damaged] = np.nan
        return y

    def _multiply(self, x: Floats, largest: float) -> Floats:
        """Rows that lie in [-largest, largest]; with the bias where they share a scale."""
        step, zero = 2.0 * largest / self._levels, (self._levels + 1) // 2
        y: Floats = self._run(torch.from_numpy(x), step, zero, self._weight).numpy()
        return y


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``(N, K)`` -> integers of 8 bits and a scale ``(N,)``, the largest magnitude of each row being 127."""
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
    return (weight / scale.unsqueeze(1)).round().to(torch.int8), scale


def product(weight: Tensor, bias: Tensor, precision: Precision, bounded: bool = False) -> Product:
    """The fastest sound product here.

    Args:
        weight: ``(N, K)`` float32, on the CPU.
        bias: ``(N,)`` float32.
        bounded: rows lie in [-1, 1]; others take longer.
    """
    if precision == "int8":
        if integers():
            return FBGEMM(weight, bias, narrow=not _wide(), bounded=bounded)
        whole, scale = quantised(weight)
        why = _integer_trouble(narrow=True)
        return Plain(whole * scale.unsqueeze(1), bias, f"plain product of weights rounded to 8 bits ({why})")
    if precision == "bf16":
        why = _trouble(torch.bfloat16)
        if not why:
            return OneDNN(weight, bias, torch.bfloat16)
        return Plain(weight.bfloat16().float(), bias, f"plain product of weights rounded to bfloat16 ({why})")
    why = _trouble(torch.float32)
    if why:
        return Plain(weight, bias, f"plain product ({why})")
    small = weight.numel() * weight.element_size() <= _TWICE
    return Cached(weight, bias) if small else OneDNN(weight, bias, torch.float32)


class Pair:
    """``[U; W]``: what a layer's output is multiplied by, together for a step, and each by itself.

    One call costs less than two where matrices are small. Large ones are kept once only.

    Args:
        ahead, above: weight and bias of ``U`` and ``W``, as :func:`product` takes them.
    """

    def __init__(
        self, ahead: tuple[Tensor, Tensor], above: tuple[Tensor, Tensor], precision: Precision, bounded: bool
    ) -> None:
        self.ahead = product(*ahead, precision, bounded)
        self.above = product(*above, precision, bounded)
        self.count = self.ahead.count + self.above.count
        self.alike = self.ahead.alike and self.above.alike
        self._split = len(ahead[0])
        self._both: Product | None = None
        if self.count * _BYTES[precision] <= _CACHED:
            self._both = product(torch.cat([ahead[0], above[0]]), torch.cat([ahead[1], above[1]]), precision, bounded)
        self.name = self.ahead.name if self._both is None else self._both.name

    def __call__(self, h: Floats) -> tuple[Floats, Floats]:
        """``(n, H)`` -> ``U h`` and ``W h``."""
        if self._both is None:
            return self.ahead(h), self.above(h)
        y = self._both(h)
        return y[:, : self._split], y[:, self._split :]


# --- what works here ---------------------------------------------------------------------------------------------


def integers() -> bool:
    """Whether products of 8-bit integers are to be had here."""
    return _wide() or not _integer_trouble(narrow=True)


def _wide() -> bool:
    """Whether activations may take all 8 bits: without VNNI, pairs of products are added in 16 bits and overflow."""
    return not _integer_trouble(narrow=False)


@cache
def _integer_trouble(narrow: bool) -> str:
    """What is wrong with FBGEMM; the largest values in every place are what overflows."""
    weight, x = _sample()
    weight[:8], x[:2] = 1.0, 1.0

    def wanted() -> Tensor:
        whole, scale = quantised(weight)
        given = torch.from_numpy(x)
        return given.double() @ (whole.double() * scale.double().unsqueeze(1)).T

    def found() -> Tensor:
        made = FBGEMM(weight, torch.zeros(len(weight)), narrow)
        together = made(x)
        alone = np.concatenate([made(row[None]) for row in x])
        if not np.array_equal(together, alone):
            raise RuntimeError("a row depends on its neighbours")
        return torch.from_numpy(together)

    return _compare(found, wanted, 0.02 if narrow else 0.01)


@cache
def _trouble(dtype: torch.dtype) -> str:
    """What is wrong with oneDNN in this precision."""
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return "this CPU has no fast bfloat16"
    weight, x = _sample()
    rounded = weight.to(dtype)

    def found() -> Tensor:
        made = OneDNN(weight, torch.zeros(len(weight)), dtype)
        return torch.from_numpy(np.concatenate([made(x), made(x[:1])]))

    def wanted() -> Tensor:
        y = torch.from_numpy(x).to(dtype).double() @ rounded.double().T
        return torch.cat([y, y[:1]])

    return _compare(found, wanted, 0.01 if dtype == torch.bfloat16 else 1e-5)


def _sample() -> tuple[Tensor, Any]:
    """A matrix ``(48, 260)`` and rows ``(5, 260)``, with values in [-1, 1] that differ in size from row to row."""
    numbers = np.random.default_rng(0)
    weight = numbers.uniform(-1, 1, (48, 260)) * numbers.uniform(0.01, 1, (48, 1))
    x = numbers.uniform(-1, 1, (5, 260)) * numbers.uniform(0.1, 1, (5, 1))
    return torch.from_numpy(weight.astype(np.float32)), x.astype(np.float32)


def _compare(found: Callable[[], Tensor], wanted: Callable[[], Tensor], bound: float) -> str:
    """Nothing, or why an operator is not to be used; ``bound`` is a share of each row's largest value."""
    try:
        difference = (found().double() - wanted()).abs() / wanted().abs().amax(dim=1, keepdim=True)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return f"torch's operator does not work here: {lines[0][:120]}"
    worst = float(difference.max())
    return "" if worst <= bound else f"torch's operator is off by {worst:.1e} here"
