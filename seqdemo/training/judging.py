"""What a head's predictions are worth, beside what its loss tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from seqdemo.decoding import engine, search
from seqdemo.plugin import BeamOptions, Judged, Result, TaskHead, TokenHead
from seqdemo.plugin.config import build

from .data import Row

__all__ = ["Evaluated", "judge"]


class Evaluated(dict[str, float]):
    """Metric values by name.

    Attributes:
        notes: how some of them were computed, a line each.
    """

    notes: tuple[str, ...] = ()


def judge(head: TaskHead, rows: Sequence[Row], options: Mapping[str, Any], device: torch.device) -> Judged:
    """Predict from the input columns of some rows, and have the head compare the results with the rows.

    Raises:
        ConfigError: an option that the task does not have.
    """
    if type(head).judge is TaskHead.judge:
        return Judged({})
    chosen = build(head.config.options, options, "the predictions")
    names = [column.name for column in head.config.columns if column.role == "input"]
    inputs = [{name: row[name] for name in names if name in row} for row in rows]
    results: list[Result]
    if not isinstance(head, TokenHead):
        results = [one for one in engine(device).work(head.predicting(inputs, chosen)) if one is not None]
    elif isinstance(chosen, BeamOptions):
        results = [head.result(decoded) for decoded in search(head, inputs, chosen, device)]
    else:
        return Judged({})
    return head.judge(rows, results)
