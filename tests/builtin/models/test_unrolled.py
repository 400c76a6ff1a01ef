"""Unrolled training against torch's own layers in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqdemo.builtin.models.config import GRUConfig, RNNConfig
from seqdemo.builtin.models.fused import GRU, RNN, Fused
from seqdemo.builtin.models.unrolled import UNROLLED, fits, unrolled

LAYERS: dict[str, Any] = {
    "GRU": nn.GRU,
    "RNN_TANH": nn.RNN,
    "RNN_RELU": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}


def weights_of(layer: nn.RNNBase) -> list[list[Tensor]]:
    return [list(of_one) for of_one in layer.all_weights]


@settings(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(sorted(UNROLLED)),
    layers=st.integers(1, 3),
    both=st.booleans(),
    bias=st.booleans(),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 5), st.integers(1, 6)),
    seed=st.integers(0, 2**16),
)
def test_outputs_states_and_gradients_are_torchs(
    mode: str, layers: int, both: bool, bias: bool, sizes: tuple[int, int, int, int], seed: int
) -> None:
    """For any shape, depth, direction and bias, each number and each gradient is that of torch's layer."""
    torch.manual_seed(seed)
    batch, time, width, hidden = sizes
    theirs = LAYERS[mode](width, hidden, num_layers=layers, bidirectional=both, bias=bias, batch_first=True).double()
    directions = 2 if both else 1
    x = torch.randn(batch, time, width, dtype=torch.float64, requires_grad=True)
    h = torch.randn(layers * directions, batch, hidden, dtype=torch.float64, requires_grad=True)
    wanted = theirs(x, h)
    found = unrolled(UNROLLED[mode], x, h, weights_of(theirs), directions, 0.0)
    shares = [torch.randn_like(part) for part in wanted]
    of = [x, h, *theirs.parameters()]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for one, other in zip(torch.autograd.grad(found, of, shares), torch.autograd.grad(wanted, of, shares), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("make", [lambda: GRU(GRUConfig(hidden_size=4), 3), lambda: RNN(RNNConfig(hidden_size=4), 3)])
def test_the_models_train_by_it_and_only_train(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that is differentiated in one precision is unrolled; any other is torch's own."""
    model: Fused = make()
    used: list[bool] = []
    layer = UNROLLED[model.layers.mode]

    def watched(*given: Any) -> Tensor:
        used.append(True)
        return layer(*given)

    monkeypatch.setitem(UNROLLED, model.layers.mode, watched)
    x = torch.randn(2, 5, 3)
    model(x)
    assert used == [True]
    with torch.no_grad():
        model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(x)
    model(x, lengths=torch.tensor([5, 2]))
    assert used == [True]


def test_what_fits() -> None:
    """On the CPU, to be differentiated, in one precision."""
    assert fits(torch.zeros(1))
    with torch.inference_mode():
        assert not fits(torch.zeros(1))
    assert not fits(torch.zeros(1, device="meta"))


@pytest.mark.parametrize("mode", sorted(UNROLLED))
def test_a_kept_graph_gives_the_same_again(mode: str) -> None:
    """The way back changes nothing that it reads, so it can be gone twice."""
    theirs = LAYERS[mode](3, 4, batch_first=True)
    x = torch.randn(2, 6, 3)
    y, _ = unrolled(UNROLLED[mode], x, torch.zeros(1, 2, 4), weights_of(theirs), 1, 0.0)
    loss, of = y.square().sum(), list(theirs.parameters())
    first = torch.autograd.grad(loss, of, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(loss, of), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("mode", sorted(UNROLLED))
def test_a_second_derivative_is_refused(mode: str) -> None:
    """Rather than being wrong."""
    theirs = LAYERS[mode](3, 4, batch_first=True)
    y, _ = unrolled(UNROLLED[mode], torch.randn(2, 6, 3), torch.zeros(1, 2, 4), weights_of(theirs), 1, 0.0)
    (slope, *_) = torch.autograd.grad(y.square().sum(), list(theirs.parameters()), create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()  # type: ignore[no-untyped-call]


def test_dropout_between_layers() -> None:
    """Every layer but the last is thinned, at the rate asked for and by the generator's state."""
    theirs = nn.GRU(3, 64, num_layers=2, batch_first=True)
    x, h = torch.randn(4, 10, 3), torch.zeros(2, 4, 64)

    def read(rate: float) -> Tensor:
        torch.manual_seed(5)
        return unrolled(UNROLLED["GRU"], x, h, weights_of(theirs), 1, rate)[0]

    assert torch.equal(read(0.5), read(0.5))
    assert not torch.equal(read(0.5), read(0.0))
    single = nn.GRU(3, 64, batch_first=True)
    one = [unrolled(UNROLLED["GRU"], x, h[:1], weights_of(single), 1, rate)[0] for rate in (0.5, 0.0)]
    assert torch.equal(*one)
