"""RecurrentGemma (Botev et al. 2024): Griffin's blocks (De et al. 2024), two recurrent to one of local attention.

Shape letters: ``B`` batch, ``T`` time, ``H`` hidden, ``R`` recurrent width, ``K`` kernel width, ``W`` attention
window, ``E`` heads, ``P`` head width.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import State, Trace
from seqdemo.plugin.sequence import valid
from seqdemo_transformers.layer import Layer, Pieces, RMSNorm, causal_conv, keep_last, wide

__all__ = ["AttentionLayer", "GriffinLayer", "pieces"]


class _Block(Layer):
    """A temporal half, which the subclasses are, and a gated feed-forward half.

    Both know how many tokens were read: ``position`` ``(B,)`` int64, each row's own.
    """

    def __init__(self, block: Any, size: int, eps: float) -> None:
        super().__init__(block, size)
        self.norm = RMSNorm(block.temporal_pre_norm, eps, offset=1.0)
        self.norm_channels = RMSNorm(block.channel_pre_norm, eps, offset=1.0)

    @abstractmethod
    def mix(self, u: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        """The temporal half on normed vectors ``(B, T, H)``."""

    def read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        y, after, shown = self.mix(self.norm(x), state, lengths)
        x = x + y
        x = x + self.block.mlp_block(self.norm_channels(x))
        read = x.shape[1] if lengths is None else lengths.to(x.device)
        return x, {**after, "position": state["position"] + read}, shown


class GriffinLayer(_Block):
    """State: ``conv`` ``(B, K - 1, R)``, ``h`` ``(B, R)`` and ``position``."""

    def initial_state(self, batch_size: int) -> State:
        mixer = self.block.temporal_block
        like = mixer.conv_1d.weight
        return {
            "conv": self.zeros(batch_size, mixer.conv1d_width - 1, mixer.lru_width, like=like),
            "h": self.zeros(batch_size, mixer.lru_width, like=like, summed=True),
            "position": torch.zeros(batch_size, dtype=torch.long, device=like.device),
        }

    def mix(self, u: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        mixer = self.block.temporal_block
        branch, conv = causal_conv(mixer.linear_x(u), state["conv"], mixer.conv_1d, lengths)
        y, h, shown = self._rg_lru(wide(branch), state, lengths)
        out = mixer.linear_out(y.to(u.dtype) * mixer.act_fn(mixer.linear_y(u)))
        return out, {"conv": conv, "h": h}, shown

    def _rg_lru(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, Tensor, Trace]:
        """Griffin's equations 1 to 4: ``(B, T, R)`` -> the same, and ``h`` after."""
        cell = self.block.temporal_block.rg_lru
        blocks = x.view(*x.shape[:2], cell.num_attention_heads, -1)

        def gate(weight: Tensor, bias: Tensor) -> Tensor:
            return torch.sigmoid(torch.einsum("btei,eij->btej", blocks, wide(weight)) + wide(bias)).flatten(2)

        admit = gate(cell.input_gate_weight, cell.input_gate_bias)
        recur = gate(cell.recurrent_gate_weight, cell.recurrent_gate_bias)
        log_keep = -8.0 * recur * F.softplus(wide(cell.recurrent_param))
        keep = torch.exp(log_keep)
        share = torch.sqrt(-torch.expm1(2 * log_keep))
        time = torch.arange(x.shape[1], device=x.device)
        share = torch.where((state["position"].unsqueeze(1) + time == 0).unsqueeze(2), 1.0, share)
        drive, decay = share * admit * x, keep
        if lengths is not None:
            inside = valid(lengths.to(x.device), x.shape[1]).unsqueeze(2)
            drive, decay = drive.masked_fill(~inside, 0.0), decay.masked_fill(~inside, 1.0)
        states: list[Tensor] = []
        h = state["h"]
        for t in range(x.shape[1]):
            h = torch.addcmul(drive[:, t], decay[:, t], h)
            states.append(h)
        return torch.stack(states, 1), h, {"keep": keep, "input_gate": admit}


class AttentionLayer(_Block):
    """State: ``keys`` and ``values`` ``(B, W - 1, E, P)`` of the last positions, the newest last, and ``position``."""

    def initial_state(self, batch_size: int) -> State:
        mixer = self.block.temporal_block
        like = mixer.k_proj.weight
        shape = (batch_size, mixer.sliding_window - 1, mixer.num_key_value_heads, mixer.head_dim)
        position = torch.zeros(batch_size, dtype=torch.long, device=like.device)
        return {"keys": self.zeros(*shape, like=like), "values": self.zeros(*shape, like=like), "position": position}

    def mix(self, u: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        mixer = self.block.temporal_block
        time = torch.arange(u.shape[1], device=u.device)
        position = state["position"].unsqueeze(1) + time  # (B, T)
        query, key, value = (
            project(u).view(*u.shape[:2], -1, mixer.head_dim) for project in (mixer.q_proj, mixer.k_proj, mixer.v_proj)
        )
        query, key = self._rotate(query, position), self._rotate(key, position)
        keys, last_keys = keep_last(state["keys"], key, lengths)
        values, last_values = keep_last(state["values"], value, lengths)
        window = mixer.sliding_window
        place = torch.arange(keys.shape[1], device=u.device) - (window - 1)  # of a key, relative to the first query
        back = time.unsqueeze(1) - place  # (T, W - 1 + T)
        there = (state["position"].unsqueeze(1) + place >= 0).unsqueeze(1)  # (B, 1, W - 1 + T)
        seen = ((back >= 0) & (back < window)).unsqueeze(0) & there
        y = F.scaled_dot_product_attention(
            query.transpose(1, 2),
            keys.repeat_interleave(mixer.num_key_value_groups, 2).transpose(1, 2),
            values.repeat_interleave(mixer.num_key_value_groups, 2).transpose(1, 2),
            attn_mask=seen.unsqueeze(1),
            scale=mixer.scaling,
        )
        out = mixer.o_proj(y.transpose(1, 2).flatten(2))
        return out, {"keys": last_keys, "values": last_values}, {}

    def _rotate(self, x: Tensor, position: Tensor) -> Tensor:
        """Rotary position embedding (Su et al. 2021, eq. 34) of ``x`` ``(B, T, E, P)`` at ``position`` ``(B, T)``."""
        rotary = self.block.temporal_block.rotary_emb
        angle = position[:, :, None, None] * wide(rotary.inv_freq).to(wide(x).dtype)
        cos, sin = (torch.cat([part, part], -1) * rotary.attention_scaling for part in (angle.cos(), angle.sin()))
        turned, rest = wide(x)[..., : cos.shape[3]], x[..., cos.shape[3] :]
        first, second = turned.chunk(2, -1)
        turned = turned * cos + torch.cat([-second, first], -1) * sin
        return torch.cat([turned.to(x.dtype), rest], -1)


def pieces(model: Any) -> Pieces:
    """A ``RecurrentGemmaForCausalLM``, taken apart."""
    inner, config = model.model, model.config
    kinds = {"linear_attention": GriffinLayer, "sliding_attention": AttentionLayer}
    layers = [
        kinds[kind](block, config.hidden_size, config.rms_norm_eps)
        for kind, block in zip(config.layers_block_type, inner.layers, strict=True)
    ]
    norm = RMSNorm(inner.final_norm, config.rms_norm_eps, offset=1.0)
    scale, cap = float(inner.normalizer), config.logits_soft_cap
    return Pieces(inner.embed_tokens, layers, norm, model.lm_head, scale, cap)
