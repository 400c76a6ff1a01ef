"""What a classifier is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seqdemo.plugin import Batch, LossOutput, Metrics

__all__ = ["BINS", "ClassificationMetrics", "ClassifiedLoss"]

BINS = 15
"""Of the calibration error, as in Guo et al. 2017."""


@dataclass(frozen=True, slots=True)
class ClassifiedLoss(LossOutput):
    """A loss and what it was computed from.

    Attributes:
        logits: ``(B, C)``, without gradient.
    """

    logits: Tensor


class ClassificationMetrics(Metrics):
    """Accuracy, macro-F1, calibration error and loss.

    ``macro_f1`` is the mean over the classes of ``2 TP / (2 TP + FP + FN)``; a class that is neither there nor
    predicted is left out. ``calibration_error`` is the expected calibration error (Guo et al. 2017, equation 3): rows
    are put into 15 bins of equal width by their highest probability, and the distance between mean probability and
    accuracy in each bin is averaged, weighted by its rows.

    Args:
        classes: ``C``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self._classes = classes
        # Every total is there from the start: processes add theirs up by name.
        for kind in ("right", "actual", "predicted"):
            self.add(**{f"{kind}.{at}": 0.0 for at in range(classes)})
        for kind in ("rows", "confidence", "hits"):
            self.add(**{f"{kind}.{at}": 0.0 for at in range(BINS)})

    def update(self, batch: Batch, output: LossOutput) -> None:
        super().update(batch, output)
        assert isinstance(output, ClassifiedLoss)
        labels = batch["labels"].cpu()
        confidence, chosen = torch.softmax(output.logits.detach().double().cpu(), 1).max(1)
        right = chosen == labels
        self._count("right", labels[right], self._classes)
        self._count("actual", labels, self._classes)
        self._count("predicted", chosen, self._classes)
        bins = (confidence * BINS).ceil().long() - 1  # bin k is (k / 15, (k + 1) / 15]
        bins = bins.clamp(0, BINS - 1)
        self._count("rows", bins, BINS)
        self._count("hits", bins[right], BINS)
        self._count("confidence", bins, BINS, confidence)

    def _count(self, kind: str, places: Tensor, size: int, weights: Tensor | None = None) -> None:
        counted = torch.bincount(places, weights, minlength=size).tolist()
        self.add(**{f"{kind}.{at}": value for at, value in enumerate(counted)})

    def compute(self) -> dict[str, float]:
        totals: Mapping[str, float] = self.totals
        rows = max(totals.get("count", 0.0), 1.0)
        scores = []
        for at in range(self._classes):
            either = totals[f"actual.{at}"] + totals[f"predicted.{at}"]
            if either:
                scores.append(2 * totals[f"right.{at}"] / either)
        gaps = [abs(totals[f"hits.{at}"] - totals[f"confidence.{at}"]) for at in range(BINS)]
        return {
            "loss": super().compute()["loss"],
            "accuracy": sum(totals[f"right.{at}"] for at in range(self._classes)) / rows,
            "macro_f1": sum(scores) / max(len(scores), 1),
            "calibration_error": sum(gaps) / rows,
        }
