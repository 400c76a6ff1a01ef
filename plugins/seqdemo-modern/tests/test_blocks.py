"""Residual blocks and what their branches are made of."""

from __future__ import annotations

import pytest
import torch
from seqdemo_modern.blocks import STRETCH, Block, Blocks, CausalConv, HeadLinear, HeadNorm, at_lengths, heads_in
from seqdemo_modern.config_ssm import LRUConfig
from seqdemo_modern.lru import LRU, LRUBranch
from torch import nn

from seqdemo.manager import manager
from seqdemo.plugin import build_model
from seqdemo.plugin import state as verbs


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(5)


def test_convolution_is_torchs_with_zeros_before():
    """From its initial state the convolution is ``nn.Conv1d`` on a sequence padded with zeros on the left."""
    conv = CausalConv(6, 4).double()
    theirs = nn.Conv1d(6, 6, 4, groups=6, padding=3).double()
    theirs.weight.data, theirs.bias.data = conv.weight.data.unsqueeze(1), conv.bias.data + 0.5
    conv.bias.data += 0.5
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    y, after = conv(x, conv.initial_state(2))
    torch.testing.assert_close(y, theirs(x.transpose(1, 2))[..., :9].transpose(1, 2))
    assert torch.equal(after, x[:, -3:])


@pytest.mark.parametrize("name", ["mingru", "minlstm", "sru", "rg-lru", "lru", "slstm", "mlstm", "mamba"])
def test_a_long_sequence_read_without_gradients_is_the_same(name):
    """It is read in stretches; outputs and state are those of the whole, which is read when gradients are kept."""
    config = manager().config_class("models", name)(hidden_size=8, num_layers=2)
    model = build_model(manager().implementation("models", name), config, 6).double().eval()
    x = torch.randn(2, 2 * STRETCH + 3, 6, dtype=torch.float64)
    state = {entry: torch.randn_like(value).abs() for entry, value in model.initial_state(2).items()}
    whole, at_end = model(x, state)
    with torch.inference_mode():
        parts, after = model(x, state)
    torch.testing.assert_close(parts, whole.detach(), rtol=0, atol=1e-9)
    for entry, value in after.items():
        torch.testing.assert_close(value, at_end[entry].detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("time", [1, 2, 7])
def test_convolution_continues(time):
    """Pieces shorter than the kernel, steps, and rows of their own lengths leave the same inputs behind."""
    conv = CausalConv(3, 4).double()
    x, before = torch.randn(2, time, 3, dtype=torch.float64), torch.randn(2, 3, 3, dtype=torch.float64)
    y, after = conv(x, before)
    seen = before
    for t in range(time):
        one, seen = conv.step(x[:, t], seen)
        torch.testing.assert_close(one, y[:, t])
    torch.testing.assert_close(seen, after)
    lengths = torch.tensor([time - 1, 0])
    _, ragged = conv(x, before, lengths)
    torch.testing.assert_close(ragged[0], conv(x[:1, : time - 1], before[:1])[1][0] if time > 1 else before[0])
    assert torch.equal(ragged[1], before[1])


def test_head_linear_is_block_diagonal():
    """A head's output depends on that head's input alone, through its own matrix."""
    layer = HeadLinear(6, 2, 3).double()
    x = torch.randn(4, 6, dtype=torch.float64)
    want = torch.stack([x[:, :3] @ layer.weight[0], x[:, 3:] @ layer.weight[1]], 1) + layer.bias
    torch.testing.assert_close(layer(x), want)


def test_head_norm_gives_each_head_mean_0_and_variance_1():
    """Whatever a head's scale, its features come out normalized, times the weight."""
    norm = HeadNorm(12).double()
    norm.weight.data *= 3
    y = norm(torch.randn(5, 2, 6, dtype=torch.float64) * torch.tensor([1.0, 100.0]).view(2, 1)).unflatten(1, (2, 6))
    torch.testing.assert_close(y.mean(-1), torch.zeros(5, 2, dtype=torch.float64))
    torch.testing.assert_close(y.var(-1, correction=0), torch.full((5, 2), 9.0, dtype=torch.float64), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("width", "most", "heads"), [(8, 4, 4), (6, 4, 3), (7, 4, 1), (2, 4, 2), (12, 5, 4)])
def test_heads_divide_the_width(width, most, heads):
    """The largest divisor not above what was asked."""
    assert heads_in(width, most) == heads


def test_state_at_lengths():
    """Each row's state is the one after its own last position; none read leaves the one before."""
    after, before = torch.arange(12.0).view(3, 4, 1), torch.tensor([[-1.0], [-2.0], [-3.0]])
    assert at_lengths(after, before, torch.tensor([4, 0, 2])).flatten().tolist() == [3.0, -2.0, 9.0]
    assert at_lengths(after, before, None).flatten().tolist() == [3.0, 7.0, 11.0]


def test_block_adds_to_its_input():
    """With a branch that gives zero, a block hands its input on."""
    branch = LRUBranch(LRUConfig(hidden_size=4))
    branch.mix.weight.data.zero_()
    branch.mix.bias.data.zero_()
    block = Block(branch, nn.LayerNorm)
    x = torch.randn(2, 5, 4)
    assert torch.equal(block(x, block.initial_state(2))[0], x)


def test_another_width_is_projected():
    """An input as wide as the residual stream enters as it is; any other through one projection."""
    same, other = LRU(LRUConfig(hidden_size=4), 4), LRU(LRUConfig(hidden_size=4), 7)
    assert isinstance(same.enter, nn.Identity)
    assert isinstance(other.enter, nn.Linear)
    assert other.output_size == 4
    assert verbs.layout(same.initial_state(1)) == verbs.layout(other.initial_state(1))


def test_dropout_is_on_what_is_added():
    """While training, what a block drops leaves the residual stream itself in place."""
    block = Block(LRUBranch(LRUConfig(hidden_size=64)), nn.LayerNorm, dropout=0.9).train()
    x = torch.randn(1, 3, 64)
    y, _ = block(x, block.initial_state(1))
    kept = (y == x).float().mean().item()
    assert 0.7 < kept < 1.0
    assert isinstance(Blocks(64, [block], nn.LayerNorm)(x)[0], torch.Tensor)
