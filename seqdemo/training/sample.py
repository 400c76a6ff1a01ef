"""A short text from the model as it stands, shown at each validation."""

from __future__ import annotations

import torch

from seqdemo.plugin import TokenHead

from .config import TrainingConfig
from .launch import Team

__all__ = ["sample"]


@torch.no_grad()
def sample(head: TokenHead, config: TrainingConfig, team: Team) -> str:
    """Continue ``config.sample_prompt``. The same weights and seed give the same text; no global generator is used."""
    training = head.training
    head.eval()
    try:
        generator = torch.Generator().manual_seed(config.seed)
        context, state = head.start([{"text": config.sample_prompt}])
        ids = torch.tensor([head.prompt({"text": config.sample_prompt})], device=team.device)
        chosen: list[int] = []
        barred = sorted(head.forbidden_ids)
        for _ in range(config.sample_tokens):
            with team.autocast():
                logits, state, _ = head.next(ids, state, context)
            scores = logits[0].float().cpu()
            scores[barred] = -torch.inf
            if config.sample_temperature == 0:
                token = int(scores.argmax())
            else:
                odds = torch.softmax(scores / config.sample_temperature, -1)
                token = int(torch.multinomial(odds, 1, generator=generator))
            if token in head.end_ids:
                break
            chosen.append(token)
            ids = torch.tensor([[token]], device=team.device)
        return head.output_tokenizer.decode(chosen)
    finally:
        head.train(training)
