"""Mamba and Falcon-Mamba: the selective scan (Gu & Dao 2023, algorithm 2).

Shape letters: ``B`` batch, ``T`` time, ``H`` hidden, ``D`` inner width, ``N`` state size, ``K`` kernel width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import State, Trace
from seqdemo.plugin.sequence import blank_padding
from seqdemo_transformers.layer import Layer, Pieces, RMSNorm, causal_conv, wide

__all__ = ["MambaLayer", "pieces", "selective_scan"]

_CHUNK = 64
"""Positions whose discretised matrices are in memory at once."""


def selective_scan(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """``h_t = exp(delta_t a) h_{t-1} + delta_t b_t x_t`` and ``y_t = h_t c_t`` (eq. 2 with the paper's simplified b).

    Args:
        x, delta: ``(B, T, D)``; where ``delta`` is 0, ``h`` stays as it is.
        a: ``(D, N)``, negative.
        b, c: ``(B, T, N)``.
        h: ``(B, D, N)``, the state before.

    Returns:
        ``y`` ``(B, T, D)`` and the state after.
    """
    outputs: list[Tensor] = []
    for start in range(0, x.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        decay = torch.exp(delta[:, part, :, None] * a)  # (B, t, D, N)
        drive = (delta[:, part] * x[:, part]).unsqueeze(3) * b[:, part, None]
        states: list[Tensor] = []
        for t in range(decay.shape[1]):
            h = torch.addcmul(drive[:, t], decay[:, t], h)
            states.append(h)
        outputs.append((torch.stack(states, 1) @ c[:, part].unsqueeze(3)).squeeze(3))
    return torch.cat(outputs, 1), h


def _unit(x: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm without a weight."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


class MambaLayer(Layer):
    """State: ``conv`` ``(B, K - 1, D)``, the last inputs of the convolution, and ``ssm`` ``(B, D, N)``.

    Falcon-Mamba also norms the step, ``b`` and ``c`` (Zuo et al. 2024, section 3.1).
    """

    def __init__(self, block: Any, size: int) -> None:
        super().__init__(block, size)
        self.norm = RMSNorm(block.norm, block.norm.variance_epsilon)
        self.unit_eps: float | None = getattr(block.mixer, "rms_eps", None)

    def initial_state(self, batch_size: int) -> State:
        mixer = self.block.mixer
        width, size = mixer.A_log.shape
        return {
            "conv": self.zeros(batch_size, mixer.conv_kernel_size - 1, width, like=mixer.conv1d.weight),
            "ssm": self.zeros(batch_size, width, size, like=mixer.A_log, summed=True),
        }

    def read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        mixer = self.block.mixer
        inner, gate = mixer.in_proj(self.norm(x)).chunk(2, -1)  # (B, T, D)
        inner, conv = causal_conv(inner, state["conv"], mixer.conv1d, lengths)
        inner = mixer.act(inner)
        size = mixer.ssm_state_size
        step, b, c = (wide(part) for part in mixer.x_proj(inner).split([mixer.time_step_rank, size, size], -1))
        if self.unit_eps is not None:
            step, b, c = (_unit(part, self.unit_eps) for part in (step, b, c))
        delta = F.softplus(F.linear(step, wide(mixer.dt_proj.weight), wide(mixer.dt_proj.bias)))  # (B, T, D)
        wanted = wide(inner)
        a = -torch.exp(wide(mixer.A_log))
        y, ssm = selective_scan(wanted, blank_padding(delta, lengths), a, b, c, state["ssm"])
        y = (y + wanted * wide(mixer.D)) * F.silu(wide(gate))
        residual = wide(x) if self.block.residual_in_fp32 else x
        out = residual + mixer.out_proj(y.to(inner.dtype))
        return out, {"conv": conv, "ssm": ssm}, {"delta": delta}


def pieces(model: Any, layer: type[Layer] = MambaLayer) -> Pieces:
    """A ``MambaForCausalLM`` or ``FalconMambaForCausalLM``, taken apart; with other layers, any built like them."""
    inner, size = model.backbone, model.config.hidden_size
    layers = [layer(block, size) for block in inner.layers]
    return Pieces(inner.embeddings, layers, RMSNorm(inner.norm_f, inner.norm_f.variance_epsilon), model.lm_head)
