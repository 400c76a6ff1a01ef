"""A task head as the module that is trained: batch and state in, loss out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seqdemo.plugin import Batch, Metrics, State, TaskHead

from .config import TrainingConfig
from .launch import Team

__all__ = ["Objective", "measure", "optimizer"]


class Objective(nn.Module):
    """``head.loss`` as a forward pass, which is what accelerate and data-parallel training wrap."""

    def __init__(self, head: TaskHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: Batch, state: State | None) -> tuple[Tensor, Tensor, State | None]:
        """Sum, count and the state after the batch, cut from the graph, every entry in the dtype it came in."""
        out = self.head.loss(batch, state)
        return out.sum, out.count, _carried(out.state, state)


def _carried(after: State | None, before: State | None) -> State | None:
    if after is None or before is None:
        return None
    return {name: tensor.detach().to(before[name].dtype) for name, tensor in after.items()}


def optimizer(head: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimizer of a config; vectors and scalars (biases, gains) have no weight decay."""
    matrices = [p for p in head.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in head.parameters() if p.requires_grad and p.dim() < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    fused = all(p.device.type in ("cpu", "cuda") for p in (*matrices, *others))
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=fused)


@torch.no_grad()
def measure(head: TaskHead, batches: Iterable[Batch], carries: bool, team: Team) -> Metrics:
    """The head's metrics over batches of all processes, in evaluation mode.

    Args:
        carries: whether the state goes on from one batch to the next.
    """
    training = head.training
    head.eval()
    metrics = head.metrics()
    state: State | None = None
    try:
        for batch in batches:
            if carries and state is None:
                state = head.initial_state(len(batch["inputs"]))
            with team.autocast():
                out = head.loss(batch, state)
            metrics.update(batch, replace(out, state=None))
            state = _carried(out.state, state)
    finally:
        head.train(training)
    if team.world > 1:
        names = sorted(metrics.totals)
        merged = team.sum(torch.tensor([metrics.totals[n] for n in names], dtype=torch.float64, device=team.device))
        metrics.totals = dict(zip(names, merged.tolist(), strict=True))
    return metrics
