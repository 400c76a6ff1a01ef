"""mLSTM: Beck et al., "xLSTM: Extended Long Short-Term Memory", 2024 (arXiv 2405.04517), section 2.3.

Shape letters: ``B`` batch, ``T`` time, ``H`` width, ``F`` inner width, ``N`` heads, ``D = F / N``, ``L`` a chunk.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import Cell, State, Trace
from seqdemo.plugin import state as verbs
from seqdemo.plugin.sequence import valid

from .blocks import Block, Blocks, CausalConv, HeadLinear, HeadNorm, full_precision, heads_in
from .config_xlstm import MLSTMConfig

__all__ = ["MLSTM", "MLSTMBranch", "read_chunk", "read_one"]

Memory = tuple[Tensor, Tensor, Tensor]
"""``c`` ``(B, N, D, D)`` keys by values, ``n`` ``(B, N, D)``, ``m`` ``(B, N)``.

The matrix memory and the normalizer of the paper are ``exp(m) c`` and ``exp(m) n``. The paper's stabilizer (equation
15) is bounded below by 0 here: it starts there, ``exp(-m)`` cannot overflow, and what vanishes beside ``exp(0)`` would
count for nothing beside the normalizer, which equation 21 bounds below by 1.
"""


class MLSTMBranch(Cell):
    """The mLSTM block (figure 11): projection up, convolution, mLSTM, skip, gate, projection down.

    Queries, keys and values are block-diagonal with one block a head. State: ``c`` ``(B, N, D, D)``, ``n``
    ``(B, N, D)``, ``m`` ``(B, N)``, ``conv`` ``(B, K - 1, F)``. Trace: ``i`` (input gate as a share of ``exp(m)``, in
    [0, 1]), ``f`` (forget gate, in (0, 1)), ``m``, ``n``, ``gate`` (the output gate), ``h`` ``(B, N, D)``.
    """

    TRACE_RANGES: ClassVar = {"i": (0.0, 1.0), "f": (0.0, 1.0)}

    def __init__(self, config: MLSTMConfig) -> None:
        width = config.hidden_size
        super().__init__(width, width)
        features = config.expansion * width
        heads = heads_in(features, config.num_heads)
        self.size = features // heads
        self.chunk_size = config.chunk_size
        self.inputs = nn.Linear(width, 2 * features, bias=False)
        self.conv = CausalConv(features, config.conv_kernel)
        self.queries_keys = HeadLinear(features, heads, 2)
        self.values = HeadLinear(features, heads)
        self.gates = nn.Linear(features, 2 * heads)
        with torch.no_grad():
            # Input gates start small and alike, forget gates between 0.95 and 0.998.
            self.gates.weight.mul_(0.1)
            self.gates.bias[:heads].normal_(0.0, 0.1)
            self.gates.bias[heads:] = torch.linspace(3.0, 6.0, heads)
        self.norm = HeadNorm(features)
        self.skip = nn.Parameter(torch.ones(features))
        self.output = nn.Linear(features, width, bias=False)

    def initial_state(self, batch_size: int) -> State:
        heads, size = len(self.gates.bias) // 2, self.size
        zeros = self.skip.new_zeros
        return {
            "c": zeros(batch_size, heads, size, size),
            "n": zeros(batch_size, heads, size),
            "m": zeros(batch_size, heads),
            "conv": self.conv.initial_state(batch_size),
        }

    def _project(self, x: Tensor, recent: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Equations 22 to 26: query, key, value ``(..., N, D)``, logarithms of input and forget gate ``(..., N)``."""
        q, k = self.queries_keys(recent).to(x.dtype).chunk(2, -1)
        log_i, f = self.gates(recent).to(x.dtype).chunk(2, -1)
        return q, k * self.size**-0.5, self.values(x).to(x.dtype), log_i, F.logsigmoid(f)

    def _leave(self, h: Tensor, recent: Tensor, gate: Tensor) -> Tensor:
        y: Tensor = self.output((self.norm(h) + self.skip * recent) * gate)
        return y

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        u, gate = self.inputs(x).chunk(2, -1)
        recent, conv = self.conv(u, state["conv"], lengths)
        dtype = state["c"].dtype
        recent = F.silu(recent.to(dtype))
        q, k, v, log_i, log_f = self._project(u.to(dtype), recent)
        if lengths is not None:
            # In the padding nothing is written and nothing forgotten.
            outside = ~valid(lengths.to(x.device), x.shape[1]).unsqueeze(2)
            log_i, log_f = log_i.masked_fill(outside, -torch.inf), log_f.masked_fill(outside, 0.0)
        memory, outputs = (state["c"], state["n"], state["m"]), []
        with full_precision(x):
            # (B, T, N, ...) -> chunks of (B, N, L, ...)
            for chunk in zip(
                *(torch.split(part.transpose(1, 2), self.chunk_size, 2) for part in (q, k, v, log_i, log_f)),
                strict=True,
            ):
                h, memory = read_chunk(memory, *chunk)
                outputs.append(h.transpose(1, 2))
        y = self._leave(torch.cat(outputs, 1), recent, F.silu(gate))
        after = dict(zip("cnm", memory, strict=True)) | {"conv": conv}
        if lengths is not None:
            # A stabilizer below 0 may come in, and where nothing is read it must go out.
            after = verbs.where(lengths.to(x.device) > 0, after, state)
        return y, after

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        u, gate = self.inputs(x).chunk(2, -1)
        recent, conv = self.conv.step(u, state["conv"])
        dtype = state["c"].dtype
        recent = F.silu(recent.to(dtype))
        q, k, v, log_i, log_f = self._project(u.to(dtype), recent)
        with full_precision(x):
            h, (c, n, m) = read_one((state["c"], state["n"], state["m"]), q, k, v, log_i, log_f)
        gate = F.silu(gate)
        named = {"i": torch.exp(log_i - m), "f": torch.exp(log_f), "m": m, "n": n, "gate": gate, "h": h}
        return self._leave(h, recent, gate), {"c": c, "n": n, "m": m, "conv": conv}, named


def read_one(memory: Memory, q: Tensor, k: Tensor, v: Tensor, log_i: Tensor, log_f: Tensor) -> tuple[Tensor, Memory]:
    """Equations 19 to 21, stabilized by 15 to 17: ``C' = f C + i v k^T``, ``n' = f n + i k``,
    ``h = C' q / max(|n' q|, 1)``. All ``(B, N, D)`` and ``(B, N)``; ``k`` is scaled, ``h`` before the output gate.
    """
    c, n, m = memory
    peak = torch.maximum(log_f + m, log_i).clamp(min=0.0)
    i, f = torch.exp(log_i - peak).unsqueeze(-1), torch.exp(log_f + m - peak).unsqueeze(-1)
    c = f.unsqueeze(-1) * c + (i * k).unsqueeze(-1) * v.unsqueeze(-2)
    n = f * n + i * k
    scale = torch.maximum((n * q).sum(-1).abs(), torch.exp(-peak)).unsqueeze(-1)
    return (q.unsqueeze(-2) @ c).squeeze(-2) / scale, (c, n, peak)


def read_chunk(memory: Memory, q: Tensor, k: Tensor, v: Tensor, log_i: Tensor, log_f: Tensor) -> tuple[Tensor, Memory]:
    """:func:`read_one` for ``L`` positions at once (appendix A.3, with a memory before the first position).

    ``q``, ``k``, ``v`` are ``(B, N, L, D)``, the gates ``(B, N, L)``.
    """
    c, n, m = memory
    kept = log_f.cumsum(-1)
    # The stabilizer after each position, as a loop would find it.
    peak = (kept + torch.maximum((log_i - kept).cummax(-1).values, m.unsqueeze(-1))).clamp(min=0.0)
    past = torch.exp(kept + m.unsqueeze(-1) - peak).unsqueeze(-1)
    # (B, N, L, L): how much of position s is left at t.
    left = kept.unsqueeze(-1) - kept.unsqueeze(-2) + log_i.unsqueeze(-2) - peak.unsqueeze(-1)
    later = torch.ones(left.shape[-2:], dtype=torch.bool, device=left.device).triu(1)
    scores = (q @ k.transpose(-1, -2)) * torch.exp(left.masked_fill(later, -torch.inf))
    found = scores @ v + past * (q @ c)
    weight = scores.sum(-1) + (past * (q @ n.unsqueeze(-1))).squeeze(-1)
    h = found / torch.maximum(weight.abs(), torch.exp(-peak)).unsqueeze(-1)
    end = peak[..., -1:]
    written = k * torch.exp(kept[..., -1:] - kept + log_i - end).unsqueeze(-1)
    past = past[..., -1:, :]
    return h, (past * c + written.transpose(-1, -2) @ v, past[..., 0] * n + written.sum(-2), end[..., 0].clone())


class MLSTM(Blocks):
    """mLSTM blocks, each behind a layer norm in a residual stream."""

    def __init__(self, config: MLSTMConfig, input_size: int) -> None:
        blocks = [Block(MLSTMBranch(config), nn.LayerNorm, config.dropout) for _ in range(config.num_layers)]
        super().__init__(input_size, blocks, nn.LayerNorm)
