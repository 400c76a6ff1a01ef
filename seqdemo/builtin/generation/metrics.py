"""What a language model is judged by, comparable across tokenizers."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from seqdemo.plugin import Batch, LossOutput, Metrics, Tokenizer

__all__ = ["LanguageMetrics"]


class LanguageMetrics(Metrics):
    """Nats and perplexity per token, bits per character and per byte.

    Bits are counted over everything that was predicted, end tokens included, and divided by the characters and
    bytes the tokens stand for; so two models can be compared whatever their tokenizers.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    @cached_property
    def _sizes(self) -> tuple[Tensor, Tensor]:
        """Bytes and characters each id stands for, ``(V,)`` each. A character counts where its first byte is."""
        texts = [self._tokenizer.token_bytes(token) for token in range(self._tokenizer.vocab_size)]
        characters = [sum(byte & 0xC0 != 0x80 for byte in text) for text in texts]
        return torch.tensor([len(text) for text in texts]), torch.tensor(characters)

    def update(self, batch: Batch, output: LossOutput) -> None:
        super().update(batch, output)
        targets = batch["targets"].flatten().cpu()
        targets = targets[targets >= 0]
        sizes, characters = self._sizes
        self.add(bytes=sizes[targets].sum().item(), characters=characters[targets].sum().item())
        unknown = self._tokenizer.special_tokens.get("unk")
        if unknown is not None:
            self.add(unknown=(targets == unknown).sum().item())

    def compute(self) -> dict[str, float]:
        loss = super().compute()["loss"]
        bits = self.totals.get("loss", 0.0) / math.log(2)
        values = {
            "loss": loss,
            "perplexity": math.exp(loss) if loss < 700 else math.inf,
            "bits_per_character": bits / max(self.totals.get("characters", 0.0), 1.0),
            "bits_per_byte": bits / max(self.totals.get("bytes", 0.0), 1.0),
            "tokens": self.totals.get("count", 0.0),
        }
        if "unknown" in self.totals:
            values["unknown_tokens"] = self.totals["unknown"]
        return values
