"""sLSTM: Beck et al., "xLSTM: Extended Long Short-Term Memory", 2024 (arXiv 2405.04517), section 2.2.

Shape letters: ``B`` batch, ``T`` time, ``H`` width, ``N`` heads, ``D = H / N``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, State, Trace

from .blocks import Block, Blocks, CausalConv, GatedMLP, HeadNorm, at_lengths, full_precision, heads_in
from .config_xlstm import SLSTMConfig
from .slstm_loop import FLOOR, slstm_loop

__all__ = ["SLSTM", "SLSTMBranch"]

_START = -1e4
"""The stabilizer before anything is read: below any input gate, so that the first one replaces it."""


class SLSTMBranch(Cell):
    """The recurrent part of the sLSTM block (figure 10): convolution for the gates, sLSTM, norm of each head.

    Recurrent weights make this a loop over time. State: ``h``, ``c``, ``n``, ``m`` ``(B, H)``, ``conv``
    ``(B, K - 1, H)``; the cell and the normalizer of the paper are ``exp(m) c`` and ``exp(m) n``. Trace: ``z``
    (candidate, in (-1, 1)), ``i`` and ``f`` (as shares of ``exp(m)``, in [0, 1]), ``o`` (in (0, 1)), ``c``, ``n``,
    ``m``, ``h``.
    """

    TRACE_RANGES: ClassVar = {"z": (-1.0, 1.0), "i": (0.0, 1.0), "f": (0.0, 1.0), "o": (0.0, 1.0)}

    def __init__(self, config: SLSTMConfig) -> None:
        width = config.hidden_size
        super().__init__(width, width)
        heads = heads_in(width, config.num_heads)
        size = width // heads
        self.conv = CausalConv(width, config.conv_kernel)
        self.values = nn.Linear(width, 2 * width)  # z and o
        self.gates = nn.Linear(width, 2 * width)  # i and f
        bound = size**-0.5
        # One block a head; its columns are z, o, i, f.
        self.recurrent = nn.Parameter(torch.empty(heads, size, 4 * size).uniform_(-bound, bound))
        with torch.no_grad():
            self.gates.bias[:width].zero_()
            self.gates.bias[width:] = torch.linspace(3.0, 6.0, size).repeat(heads)
        self.norm = HeadNorm(width)

    def initial_state(self, batch_size: int) -> State:
        zeros = self.recurrent.new_zeros(batch_size, self.output_size)
        state = {name: zeros.clone() for name in "hcn"}
        return state | {"m": zeros + _START, "conv": self.conv.initial_state(batch_size)}

    def _project(self, x: Tensor, recent: Tensor, dtype: torch.dtype) -> Tensor:
        """What the input adds to z, o, i, f: ``(..., H)`` -> ``(..., 4, N, D)``."""
        both = torch.cat([self.values(x), self.gates(F.silu(recent))], -1).to(dtype)
        return both.reshape(*both.shape[:-1], 4, *self.recurrent.shape[:2])

    def _in_heads(self, h: Tensor) -> Tensor:
        """``(..., H)`` -> ``(..., N, D)``."""
        return h.reshape(*h.shape[:-1], *self.recurrent.shape[:2])

    def _leave(self, h: Tensor) -> Tensor:
        y: Tensor = self.norm(self._in_heads(h))
        return y

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        recent, conv = self.conv(x, state["conv"], lengths)
        # (B, T, 4, N, D) -> (T, N, B, 4 D)
        inputs = self._project(x, recent, state["h"].dtype).permute(1, 3, 0, 2, 4).flatten(3)
        before = [self._in_heads(state[name]).transpose(0, 1) for name in "hcnm"]
        with full_precision(x):
            # (T, N, B, D) -> (B, T, H)
            after = [every.permute(2, 0, 1, 3).flatten(2) for every in slstm_loop(inputs, self.recurrent, *before)]
        last = {name: at_lengths(every, state[name], lengths) for name, every in zip("hcnm", after, strict=True)}
        return self._leave(after[0]), last | {"conv": conv}

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """Equations 8 to 17: ``c' = f c + i z``, ``n' = f n + i``, ``h' = o c' / n'``."""
        recent, conv = self.conv.step(x, state["conv"])
        h = self._in_heads(state["h"])
        with full_precision(x):
            mixed = torch.einsum("bnd,ndg->bng", h, self.recurrent).view(*h.shape[:2], 4, -1).transpose(1, 2)
        z, o, i, f = (self._project(x, recent, h.dtype) + mixed).flatten(2).unbind(1)
        z, o, log_f = torch.tanh(z), torch.sigmoid(o), F.logsigmoid(f) + state["m"]
        m = torch.maximum(log_f, i)
        i, f = torch.exp(i - m), torch.exp(log_f - m)
        c, n = f * state["c"] + i * z, f * state["n"] + i
        h = o * c / n.clamp(min=FLOOR)
        cell = {"h": h, "c": c, "n": n, "m": m}
        return self._leave(h), {**cell, "conv": conv}, {"z": z, "i": i, "f": f, "o": o, **cell}


class SLSTM(Blocks):
    """sLSTM blocks with the projections after the cell: layer norm, sLSTM, layer norm, gated MLP."""

    def __init__(self, config: SLSTMConfig, input_size: int) -> None:
        width = config.hidden_size
        blocks = [
            Block(SLSTMBranch(config), nn.LayerNorm, config.dropout, GatedMLP(width, config.expansion))
            for _ in range(config.num_layers)
        ]
        super().__init__(input_size, blocks, nn.LayerNorm)
