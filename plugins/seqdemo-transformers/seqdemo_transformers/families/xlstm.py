"""xLSTM: layers of mLSTM (Beck et al. 2024, section 2.3; blocks as in Beck et al. 2025), in chunks.

Shape letters: ``B`` batch, ``T`` time, ``H`` hidden, ``E`` heads, ``Q`` query width, ``P`` value width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import State, Trace
from seqdemo.plugin.sequence import valid
from seqdemo_transformers.layer import Layer, Pieces, RMSNorm, wide

__all__ = ["XlstmLayer", "matrix_memory", "pieces"]

_CHUNK = 64

Memory = tuple[Tensor, Tensor, Tensor]


def matrix_memory(
    query: Tensor, key: Tensor, value: Tensor, write: Tensor, keep: Tensor, memory: Memory, eps: float
) -> tuple[Tensor, Memory]:
    """Equations 19 to 27: ``C_t = f_t C_{t-1} + i_t k_t v_t^T``, read by ``q_t`` and normalised.

    Args:
        query, key: ``(B, E, T, Q)``, the query scaled.
        value: ``(B, E, T, P)``.
        write: ``(B, E, T)``, log of the input gate; minus infinity writes nothing.
        keep: ``(B, E, T)``, log of the forget gate.
        memory: matrix ``(B, E, Q, P)``, normaliser ``(B, E, Q)`` and the log by which both are scaled ``(B, E)``.
        eps: added to what is divided by.

    Returns:
        ``(B, E, T, P)`` and the memory after.
    """
    outputs: list[Tensor] = []
    matrix, norm, top = memory
    for start in range(0, query.shape[2], _CHUNK):
        part = slice(start, start + _CHUNK)
        q, k, v = query[:, :, part], key[:, :, part], value[:, :, part]
        kept = keep[:, :, part].cumsum(2)  # (B, E, t)
        carried = kept + top.unsqueeze(2)
        past = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()
        inside = kept.unsqueeze(3) - kept.unsqueeze(2) + write[:, :, part].unsqueeze(2)  # (B, E, t, s)
        inside = inside.masked_fill(~past, -torch.inf)
        tops = torch.maximum(carried, inside.amax(3))
        weights, old = torch.exp(inside - tops.unsqueeze(3)), torch.exp(carried - tops)
        scores = q @ k.transpose(2, 3) * weights
        total = scores @ v + old.unsqueeze(3) * (q @ matrix)
        divisor = scores.sum(3) + old * (q @ norm.unsqueeze(3)).squeeze(3)
        divisor = torch.maximum(divisor.abs(), torch.exp(-tops)) + eps
        outputs.append(total / divisor.unsqueeze(3))
        k = k * weights[:, :, -1].unsqueeze(3)
        matrix = old[:, :, -1, None, None] * matrix + k.transpose(2, 3) @ v
        norm = old[:, :, -1, None] * norm + k.sum(2)
        top = tops[:, :, -1]
    return torch.cat(outputs, 2), (matrix, norm, top)


def _cap(x: Tensor, bound: float | None) -> Tensor:
    return x if bound is None else bound * torch.tanh(x / bound)


class XlstmLayer(Layer):
    """State: ``matrix`` ``(B, E, Q, P)``, ``norm`` ``(B, E, Q)`` and ``top`` ``(B, E)``."""

    def __init__(self, block: Any, size: int, config: Any) -> None:
        super().__init__(block, size)
        self.config = config
        self.norm = RMSNorm(block.norm_mlstm, config.norm_eps)
        self.norm_channels = RMSNorm(block.norm_ffn, config.norm_eps)

    def initial_state(self, batch_size: int) -> State:
        layer, heads = self.block.mlstm_layer, self.config.num_heads
        query, value = layer.qk_dim // heads, layer.v_dim // heads
        like = layer.out_proj.weight
        return {
            "matrix": self.zeros(batch_size, heads, query, value, like=like, summed=True),
            "norm": self.zeros(batch_size, heads, query, like=like, summed=True),
            "top": self.zeros(batch_size, heads, like=like, summed=True),
        }

    def read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        layer, heads = self.block.mlstm_layer, self.config.num_heads
        query, key, value, output, write, keep = self._project(self.norm(x))
        bound = self.config.gate_soft_cap
        write, keep = (_cap(wide(gate), bound).transpose(1, 2) for gate in (write, keep))  # (B, E, T)
        keep = F.logsigmoid(keep)
        shown = {"forget_gate": torch.exp(keep).transpose(1, 2), "input_gate": torch.exp(write).transpose(1, 2)}
        if lengths is not None:
            inside = valid(lengths.to(x.device), x.shape[1]).unsqueeze(1)
            write = write.masked_fill(~inside, -torch.inf)
            keep = keep.masked_fill(~inside, 0.0)
        split = [wide(part).view(*part.shape[:2], heads, -1).transpose(1, 2) for part in (query, key, value)]
        scaled = split[0] * split[0].shape[3] ** -0.5
        memory = (state["matrix"], state["norm"], state["top"])
        h, (matrix, norm, top) = matrix_memory(scaled, split[1], split[2], write, keep, memory, self.config.eps)
        h = self._head_norm(h.transpose(1, 2))
        gate = torch.sigmoid(output)
        x = x + layer.out_proj(gate * h)
        x = x + self._channels(self.norm_channels(x))
        return x, {"matrix": matrix, "norm": norm, "top": top}, {**shown, "output_gate": gate}

    def _project(self, u: Tensor) -> tuple[Tensor, ...]:
        """Query, key, value and output gate ``(B, T, ...)``; input and forget gate ``(B, T, E)``."""
        layer = self.block.mlstm_layer
        if self.config.weight_mode == "single":
            projections = (layer.q, layer.k, layer.v, layer.ogate_preact, layer.igate_preact, layer.fgate_preact)
            return tuple(project(u) for project in projections)
        widths = [layer.qk_dim, layer.qk_dim, layer.v_dim, layer.v_dim]
        return (*layer.qkv_opreact(u).split(widths, -1), *layer.ifgate_preact(u).chunk(2, -1))

    def _head_norm(self, h: Tensor) -> Tensor:
        """``(B, T, E, P) -> (B, T, E P)``: a layer norm within each head."""
        norm = self.block.mlstm_layer.multihead_norm
        h = F.layer_norm(h, h.shape[3:], eps=norm.eps).flatten(2) * wide(norm.weight)
        return (h if norm.bias is None else h + wide(norm.bias)).to(norm.weight.dtype)

    def _channels(self, u: Tensor) -> Tensor:
        """The gated feed-forward half of the block."""
        ffn = self.block.ffn
        if self.config.weight_mode == "single":
            gate, value = ffn.proj_up_gate(u), ffn.proj_up(u)
        else:
            gate, value = ffn.proj_up_gate_z(u).chunk(2, -1)
        y: Tensor = ffn.proj_down(F.silu(gate) * value)
        return y


def pieces(model: Any) -> Pieces:
    """An ``xLSTMForCausalLM``, taken apart."""
    inner, config = model.backbone, model.config
    return Pieces(
        inner.embeddings,
        [XlstmLayer(block, config.hidden_size, config) for block in inner.blocks],
        RMSNorm(inner.out_norm, config.norm_eps),
        model.lm_head,
        cap=config.output_logit_soft_cap,
    )
