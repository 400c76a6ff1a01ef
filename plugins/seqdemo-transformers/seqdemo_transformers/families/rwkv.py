"""RWKV-4: time mixing and channel mixing (Peng et al. 2023, section 3).

Shape letters: ``B`` batch, ``T`` time, ``H`` hidden, ``A`` attention width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqdemo.plugin import State, Trace
from seqdemo.plugin.sequence import valid
from seqdemo_transformers.layer import Layer, Pieces, keep_last, wide

__all__ = ["RwkvLayer", "pieces", "weighted_average"]

Average = tuple[Tensor, Tensor, Tensor]

_NOTHING = -1e38
"""Logarithm of the largest weight before anything was read."""


def weighted_average(
    key: Tensor, value: Tensor, decay: Tensor, first: Tensor, state: Average, inside: Tensor | None
) -> tuple[Tensor, Average]:
    """Equation 16, with numerator and denominator scaled by ``exp(-top)`` (appendix D).

    Args:
        key, value: ``(B, T, A)``.
        decay: ``(A,)``, negative: what a position loses in log weight with each step.
        first: ``(A,)``, the extra log weight of the present position.
        state: numerator, denominator and ``top``, ``(B, A)`` each.
        inside: ``(B, T)`` bool; elsewhere the state stays as it is. All of it when None.

    Returns:
        ``(B, T, A)`` and the state after.
    """
    outputs: list[Tensor] = []
    number, weight, top = state
    for t in range(key.shape[1]):
        k, v = key[:, t], value[:, t]
        high = torch.maximum(top, k + first)
        old, new = torch.exp(top - high), torch.exp(k + first - high)
        outputs.append((old * number + new * v) / (old * weight + new))
        high = torch.maximum(top + decay, k)
        old, new = torch.exp(top + decay - high), torch.exp(k - high)
        after = (old * number + new * v, old * weight + new, high)
        if inside is not None:
            row = inside[:, t : t + 1]
            number, weight, top = (torch.where(row, a, b) for a, b in zip(after, (number, weight, top), strict=True))
        else:
            number, weight, top = after
    return torch.stack(outputs, 1), (number, weight, top)


class RwkvLayer(Layer):
    """State: ``shift`` and ``channel_shift`` ``(B, H)``, the last inputs; ``number``, ``weight``, ``top`` ``(B, A)``.

    ``number / weight`` is the average so far; ``top`` the log by which both are scaled, not zero at the beginning.

    Args:
        first: this is the lowest layer, which norms its input.
        scale: the powers of two by which the layers so far halved the vectors, against overflow in float16.
        halve: this layer halves them once more.
    """

    def __init__(self, block: Any, size: int, first: bool, scale: int, halve: bool) -> None:
        super().__init__(block, size)
        self.first = first
        self.scale = scale
        self.halve = halve

    def initial_state(self, batch_size: int) -> State:
        like, width = self.block.attention.key.weight, self.block.attention.attention_hidden_size
        number = self.zeros(batch_size, width, like=like, summed=True)
        return {
            "shift": self.zeros(batch_size, self.input_size, like=like),
            "channel_shift": self.zeros(batch_size, self.input_size, like=like),
            "number": number,
            "weight": number.clone(),
            "top": torch.full_like(number, _NOTHING),
        }

    def read(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State, Trace]:
        block = self.block
        if self.first:
            x = block.pre_ln(x)
        mixer, u = block.attention, block.ln1(x)
        before, shift = keep_last(state["shift"].unsqueeze(1), u, lengths)
        before = before[:, :-1]
        key = mixer.key(torch.lerp(before, u, mixer.time_mix_key))
        value = mixer.value(torch.lerp(before, u, mixer.time_mix_value))
        receptance = torch.sigmoid(mixer.receptance(torch.lerp(before, u, mixer.time_mix_receptance)))
        y, after = weighted_average(
            wide(key),
            wide(value),
            -torch.exp(wide(mixer.time_decay)),
            wide(mixer.time_first),
            (state["number"], state["weight"], state["top"]),
            None if lengths is None else valid(lengths.to(x.device), x.shape[1]),
        )
        x = x + mixer.output(receptance * y.to(x.dtype) / self.scale)

        mixer, u = block.feed_forward, block.ln2(x)
        before, channel_shift = keep_last(state["channel_shift"].unsqueeze(1), u, lengths)
        before = before[:, :-1]
        key = torch.relu(mixer.key(torch.lerp(before, u, mixer.time_mix_key))).square()
        gate = torch.sigmoid(mixer.receptance(torch.lerp(before, u, mixer.time_mix_receptance)))
        x = x + gate * mixer.value(key / self.scale)
        names = ("number", "weight", "top")
        new = {"shift": shift[:, 0], "channel_shift": channel_shift[:, 0], **dict(zip(names, after, strict=True))}
        return x / 2 if self.halve else x, new, {"receptance": receptance, "channel_receptance": gate}


def pieces(model: Any) -> Pieces:
    """A ``RwkvForCausalLM`` whose weights were not rescaled, taken apart."""
    inner, size = model.rwkv, model.config.hidden_size
    every = model.config.rescale_every
    layers = [
        RwkvLayer(block, size, k == 0, 2 ** (k // every) if every > 0 else 1, every > 0 and (k + 1) % every == 0)
        for k, block in enumerate(inner.blocks)
    ]
    return Pieces(inner.embeddings, layers, inner.ln_out, model.head)
