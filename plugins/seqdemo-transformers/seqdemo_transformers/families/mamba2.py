"""Mamba-2: state space duality (Dao & Gu 2024), a scan in chunks of matrix products.

Shape letters: ``B`` batch, ``T`` time, ``H`` hidden, ``D`` inner width, ``N`` state size, ``K`` kernel width, ``E``
heads, ``P`` head width, ``G`` groups.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import State, Trace
from seqdemo.plugin.sequence import blank_padding
from seqdemo_transformers.families import mamba
from seqdemo_transformers.layer import Layer, Pieces, RMSNorm, causal_conv, wide

__all__ = ["Mamba2Layer", "chunked_scan", "pieces"]

_CHUNK = 64


def chunked_scan(v: Tensor, decay: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """``h_t = exp(decay_t) h_{t-1} + v_t b_t^T`` and ``y_t = h_t c_t``, by section 6's four block products.

    Args:
        v: ``(B, T, E, P)``.
        decay: ``(B, T, E)``, not positive.
        b, c: ``(B, T, E, N)``.
        h: ``(B, E, P, N)``, the state before.

    Returns:
        ``y`` ``(B, T, E, P)`` and the state after.
    """
    outputs: list[Tensor] = []
    for start in range(0, v.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        total = decay[:, part].cumsum(1)  # (B, t, E)
        between = total.transpose(1, 2).unsqueeze(3) - total.transpose(1, 2).unsqueeze(2)  # (B, E, t, s)
        past = torch.ones(between.shape[2:], dtype=torch.bool, device=v.device).tril()
        scores = torch.einsum("bten,bsen->bets", c[:, part], b[:, part])
        scores = scores * torch.exp(between.masked_fill(~past, -torch.inf))
        inside = torch.einsum("bets,bsep->btep", scores, v[:, part])
        carried = torch.einsum("bten,bepn->btep", c[:, part], h) * torch.exp(total).unsqueeze(3)
        outputs.append(inside + carried)
        left = torch.exp(total[:, -1:] - total)  # (B, t, E)
        new = torch.einsum("bsep,bsen->bepn", v[:, part] * left.unsqueeze(3), b[:, part])
        h = torch.exp(total[:, -1])[:, :, None, None] * h + new
    return torch.cat(outputs, 1), h


class Mamba2Layer(Layer):
    """State: ``conv`` ``(B, K - 1, D + 2 G N)``, the last inputs of the convolution, and ``ssm`` ``(B, E, P, N)``."""

    def __init__(self, block: Any, size: int) -> None:
        super().__init__(block, size)
        self.norm = RMSNorm(block.norm, block.norm.variance_epsilon)

    def initial_state(self, batch_size: int) -> State:
        mixer = self.block.mixer
        shape = (mixer.num_heads, mixer.head_dim, mixer.ssm_state_size)
        return {
            "conv": self.zeros(batch_size, mixer.conv_kernel_size - 1, mixer.conv_dim, like=mixer.conv1d.weight),
            "ssm": self.zeros(batch_size, *shape, like=mixer.A_log, summed=True),
        }

    def read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        mixer = self.block.mixer
        heads, groups, size = mixer.num_heads, mixer.n_groups, mixer.ssm_state_size
        widths = [mixer.intermediate_size, mixer.conv_dim, heads]
        gate, inner, step = mixer.in_proj(self.norm(x)).split(widths, -1)
        inner, conv = causal_conv(inner, state["conv"], mixer.conv1d, lengths)
        parts = [mixer.intermediate_size, groups * size, groups * size]
        values, b, c = torch.split(wide(mixer.act(inner)), parts, -1)
        values = values.reshape(*values.shape[:2], heads, -1)  # (B, T, E, P)
        b, c = (one.reshape(*one.shape[:2], groups, size).repeat_interleave(heads // groups, 2) for one in (b, c))
        low, high = mixer.time_step_limit
        delta = F.softplus(wide(step) + wide(mixer.dt_bias)).clamp(low, high)  # (B, T, E)
        acting = blank_padding(delta, lengths)
        a = -torch.exp(wide(mixer.A_log))
        y, ssm = chunked_scan(values * acting.unsqueeze(3), acting * a, b, c, state["ssm"])
        y = (y + values * wide(mixer.D).unsqueeze(1)).flatten(2)
        out = mixer.out_proj(self._gated_norm(y, gate))
        residual = wide(x) if self.block.residual_in_fp32 else x
        return residual + out, {"conv": conv, "ssm": ssm}, {"delta": delta, "keep": torch.exp(delta * a)}

    def _gated_norm(self, y: Tensor, gate: Tensor) -> Tensor:
        """``(B, T, D)``: gated, then normed within each group."""
        norm = self.block.mixer.norm
        y = (y * F.silu(wide(gate))).view(*y.shape[:2], -1, norm.group_size)
        y = (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)).flatten(2)
        return (y * wide(norm.weight)).to(norm.weight.dtype)


def pieces(model: Any) -> Pieces:
    """A ``Mamba2ForCausalLM``, taken apart."""
    return mamba.pieces(model, Mamba2Layer)
