"""Three recurrent layers written from their equations, to be read.

Each class is one layer: what it remembers (``initial_state``) and what one step does to it (``trace_step``). Layers,
dropout, directions and the loop over time come from :mod:`seqdemo.plugin`. They compute exactly what ``torch.nn.RNN``,
``LSTM`` and ``GRU`` compute: :func:`seqdemo.builtin.models.exchange.load_torch` moves weights over.

Shape letters: ``B`` batch, ``I`` input, ``H`` hidden. ``σ`` is the logistic function, ``⊙`` the elementwise product.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from seqdemo.plugin import Cell, State, Trace

from .config import LayersConfig, ScratchGRUConfig, ScratchLSTMConfig, ScratchRNNConfig

__all__ = ["Gate", "ScratchCell", "ScratchGRU", "ScratchLSTM", "ScratchRNN"]


class Gate(nn.Module):
    """``W x + b + U h + d``: ``x`` ``(B, I)``, ``h`` ``(B, H)`` -> ``(B, H)``.

    One bias would do. There are two because torch's layers have two, and the GRU needs them apart.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        self.from_input = nn.Linear(input_size, hidden_size, bias)
        self.from_state = nn.Linear(hidden_size, hidden_size, bias)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        # Mixed precision gives products in half precision; the state must stay as exact as it came.
        a: Tensor = self.from_input(x) + self.from_state(h)
        return a.to(h.dtype)


class ScratchCell(Cell):
    """What the three have in common: gates, where their numbers start, and a state of zeros.

    Class attributes:
        gates: attribute names of the gates, in the order in which torch stores them.
        entries: names of the state entries, each ``(B, H)``.
    """

    gates: ClassVar[tuple[str, ...]]
    entries: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(self, config: LayersConfig, input_size: int) -> None:
        super().__init__(input_size, config.hidden_size)
        for gate in self.gates:
            self.add_module(gate, Gate(input_size, config.hidden_size, config.bias))
        bound = config.hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def initial_state(self, batch_size: int) -> State:
        like = next(self.parameters())
        return {name: like.new_zeros(batch_size, self.output_size) for name in self.entries}


class ScratchRNN(ScratchCell):
    """Elman, "Finding Structure in Time", 1990: the hidden state is fed back.

    State ``h`` ``(B, H)``. Trace: ``a`` (before the bound), ``h``.
    """

    gates = ("hidden",)
    hidden: Gate

    def __init__(self, config: ScratchRNNConfig, input_size: int) -> None:
        super().__init__(config, input_size)
        self.bound = torch.relu if config.nonlinearity == "relu" else torch.tanh

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """``h' = tanh(W x + U h + b)``, or ``relu`` in place of ``tanh``."""
        a = self.hidden(x, state["h"])
        h = self.bound(a)
        return h, {"h": h}, {"a": a, "h": h}


class ScratchLSTM(ScratchCell):
    """Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers et al. 2000.

    A memory ``c`` runs beside the hidden state. It is changed only by multiplying and adding, so gradients pass.
    State ``h`` and ``c``, ``(B, H)`` each. Trace: gates ``i``, ``f``, ``o`` in (0, 1), candidate ``g`` in (-1, 1),
    ``c``, ``h``.
    """

    gates = ("input", "forget", "candidate", "output")
    entries = ("h", "c")
    input: Gate
    forget: Gate
    candidate: Gate
    output: Gate

    def __init__(self, config: ScratchLSTMConfig, input_size: int) -> None:
        super().__init__(config, input_size)
        if config.forget_bias is not None:
            nn.init.constant_(self.forget.from_input.bias, config.forget_bias)
            nn.init.zeros_(self.forget.from_state.bias)

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """``c' = f ⊙ c + i ⊙ g`` and ``h' = o ⊙ tanh(c')``."""
        h, c = state["h"], state["c"]
        i = torch.sigmoid(self.input(x, h))  # how much of the candidate to write
        f = torch.sigmoid(self.forget(x, h))  # how much of the memory to keep
        g = torch.tanh(self.candidate(x, h))  # what might be written
        o = torch.sigmoid(self.output(x, h))  # how much of the memory to show
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, {"h": h, "c": c}, {"i": i, "f": f, "g": g, "o": o, "c": c, "h": h}


class ScratchGRU(ScratchCell):
    """Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, in torch's variant.

    The paper resets the hidden state before it is multiplied, ``U (r ⊙ h)``; torch, like cuDNN, resets the product,
    ``r ⊙ (U h + d)``, and so does this. State ``h`` ``(B, H)``. Trace: gates ``r``, ``z`` in (0, 1), candidate ``n``
    in (-1, 1), ``h``.
    """

    gates = ("reset", "update", "candidate")
    reset: Gate
    update: Gate
    candidate: Gate

    def __init__(self, config: ScratchGRUConfig, input_size: int) -> None:
        super().__init__(config, input_size)

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """``h' = (1 - z) ⊙ n + z ⊙ h``."""
        h = state["h"]
        r = torch.sigmoid(self.reset(x, h))  # how much of the past the candidate sees
        z = torch.sigmoid(self.update(x, h))  # how much of the past is kept as it is
        n = torch.tanh(self.candidate.from_input(x) + r * self.candidate.from_state(h))
        h = (1 - z) * n + z * h
        return h, {"h": h}, {"r": r, "z": z, "n": n, "h": h}
