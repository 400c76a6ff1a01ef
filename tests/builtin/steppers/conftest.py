"""What the tests of steppers share."""

from __future__ import annotations

from typing import Any

import torch

from seqdemo.plugin import TokenHead


def lively(head: Any) -> TokenHead:
    """A head, its weights twice as large as they start out, so that distributions are not flat."""
    assert isinstance(head, TokenHead)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(2.0)
    return head


def tokens(head: TokenHead, count: int, seed: int = 0) -> list[int]:
    """Random ids."""
    size = head.output_tokenizer.vocab_size
    return torch.randint(size, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def logprobs(logits: torch.Tensor) -> torch.Tensor:
    """Of logits ``(..., V)``."""
    return torch.log_softmax(logits.double(), -1)
