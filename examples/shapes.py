"""Shapes: nn.RNN beside nn.RNNCell, a whole sequence beside single steps, and the same in seqdemo.

What you learn: which axis is which; that a layer is nothing but its cell, repeated; what batch_first, layers and two
directions change; and that in seqdemo a state is a dict of named tensors, batch first, so steps, splits and whole
sequences all agree.

形状：nn.RNN 与 nn.RNNCell 逐步对照，再看 seqdemo 里的同一件事——状态就是一个张量字典。

    python examples/shapes.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqdemo.builtin.models.config import LSTMConfig, RNNConfig, ScratchRNNConfig
from seqdemo.builtin.models.exchange import load_torch
from seqdemo.builtin.models.fused import LSTM, RNN
from seqdemo.builtin.models.scratch import ScratchRNN
from seqdemo.plugin import build_model, state

B, T, I, H, L = 4, 7, 5, 8, 3  # batch, time, input, hidden, layers  # noqa: E741


def row(what: str, *tensors: Tensor) -> None:
    """One line of the table: what it is, and the shape of each tensor."""
    print(f"  {what:<34}" + "  ".join(f"{tuple(tensor.shape)!s:<11}" for tensor in tensors).rstrip())


def same(what: str, a: Tensor, b: Tensor) -> None:
    """Assert that two tensors are equal but for rounding, and print by how much they differ."""
    difference = (a - b).abs().max().item()
    assert difference < 1e-12, f"{what}: {difference}"
    print(f"  {what:<62} largest difference {difference:.0e}")


def torch_shapes() -> None:
    """What torch's layers take and give."""
    print(f"\n1. torch's layers    B={B} T={T} I={I} H={H} L={L}")
    print(f"  {'':<34}{'x':<13}{'y':<13}h, and c")
    x, first = torch.randn(T, B, I), torch.randn(B, T, I)
    for what, layer, given in [
        ("nn.RNN", nn.RNN(I, H), x),
        ("nn.RNN batch_first", nn.RNN(I, H, batch_first=True), first),
        ("nn.RNN batch_first, L layers", nn.RNN(I, H, L, batch_first=True), first),
        ("nn.RNN batch_first, bidirectional", nn.RNN(I, H, batch_first=True, bidirectional=True), first),
        ("nn.GRU batch_first, L layers", nn.GRU(I, H, L, batch_first=True), first),
    ]:
        y, h = layer(given)
        row(what, given, y, h)
    y, (h, c) = nn.LSTM(I, H, L, batch_first=True)(first)
    row("nn.LSTM batch_first, L layers", first, y, h, c)
    row("nn.RNNCell, one step", x[0], nn.RNNCell(I, H)(x[0]))
    print("  batch_first moves B to the front of x and y, but never of h. y is the top layer at every step, h every")
    print("  layer at the last step. Two directions double the width of y, and h has one of each.")


def cell_by_cell() -> None:
    """A layer is its cell in a loop."""
    print("\n2. nn.RNN is nn.RNNCell in a loop")
    layer, cell = nn.RNN(I, H, batch_first=True), nn.RNNCell(I, H)
    for name, parameter in cell.named_parameters():
        parameter.data = layer.get_parameter(f"{name}_l0").data
    x, h = torch.randn(B, T, I), torch.zeros(B, H)
    outputs = []
    for t in range(T):
        h = cell(x[:, t], h)
        outputs.append(h)
    y, last = layer(x)
    same("T steps of the cell = the layer's y", torch.stack(outputs, 1), y)
    same("the last h = the layer's h = y at the last step", h, last[0])
    equation = torch.tanh(x[:, 0] @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh)
    same("y at step 0 = tanh(W x + b), as h starts at zero", y[:, 0], equation)


def in_seqdemo() -> None:
    """The same layer as a seqdemo model: forward, step, and a state that is a value."""
    print("\n3. The same in seqdemo: forward(x, state) and step(x, state)")
    layer = nn.RNN(I, H, L, batch_first=True)
    model = build_model(RNN, RNNConfig(hidden_size=H, num_layers=L), I)
    model.layers.load_state_dict(layer.state_dict())
    x = torch.randn(B, T, I)
    y, after = model(x)
    row("model(x): x, y", x, y)
    for name, tensor in after.items():
        row(f"  state[{name!r}]", tensor)
    expected, h = layer(x)
    same("y = nn.RNN's y", y, expected)
    same("state['layer2.h'] = nn.RNN's h[2]", after["layer2.h"], h[2])

    now = model.initial_state(B)
    for t in range(T):
        last, now = model.step(x[:, t], now)
    same("T steps = the whole sequence, in y", last, y[:, -1])
    for name in after:
        same(f"... and in state[{name!r}]", now[name], after[name])
    begin, middle = model(x[:, :3])
    rest, _ = model(x[:, 3:], middle)
    same("3 positions, then the rest from that state = the whole", torch.cat([begin, rest], 1), y)

    scratch = build_model(ScratchRNN, ScratchRNNConfig(hidden_size=H, num_layers=L), I)
    load_torch(scratch, layer)
    same("scratch-rnn, written from its equation = nn.RNN", scratch(x)[0], y)


def ragged_and_both_ways() -> None:
    """Rows of different lengths, and two directions."""
    print("\n4. Padding, and two directions")
    model = build_model(LSTM, LSTMConfig(hidden_size=H), I)
    x, lengths = torch.randn(2, T, I), torch.tensor([T, 3])
    x[1, 3:] = float("nan")  # padding may hold anything
    y, after = model(x, lengths=lengths)
    alone, _ = model(x[1:, :3])
    same("a row of 3 in a batch of 7 = that row alone", y[1, :3], alone[0])
    same("its state is the one after 3, not after 7", after["layer0.h"][1], alone[0, -1])
    both = build_model(LSTM, LSTMConfig(hidden_size=H, bidirectional=True), I)
    row("bidirectional lstm: x, y", x[:1], both(x[:1])[0])
    print(f"  causal: {both.causal}. It reads the future, so step() refuses, and it cannot generate.")
    print(f"  An lstm's state is {state.nbytes(state.select(after, [0]))} bytes a row, after 7 tokens or 7 million.")


def main() -> None:
    """Run the four parts in float64, where equal means equal to the last digits."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        torch_shapes()
        cell_by_cell()
        in_seqdemo()
        ragged_and_both_ways()
    print("\nAll of it agrees.")


if __name__ == "__main__":
    main()
