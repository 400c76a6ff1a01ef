"""A short text from the model as it stands, shown at each validation."""

from __future__ import annotations

import torch

from seqdemo.decoding import Request, engine
from seqdemo.plugin import SamplingOptions, TokenHead
from seqdemo.plugin.config import build

from .config import TrainingConfig

__all__ = ["sample"]


def sample(head: TokenHead, config: TrainingConfig, device: torch.device) -> str:
    """Continue ``config.sample_prompt``. The same weights and seed give the same text; no global generator is used."""
    schema = head.config.options if issubclass(head.config.options, SamplingOptions) else SamplingOptions
    values = {
        "max_tokens": config.sample_tokens,
        "temperature": config.sample_temperature,
        "seed": config.seed,
        "alternatives": 0,
    }
    row = {head.config.columns[0].name: config.sample_prompt}
    training = head.training
    head.eval()
    try:
        request = Request(head, head.prompt(row), build(schema, values, "the sample"), row)
        return engine(device).submit(request).decoded().text
    finally:
        head.train(training)
