"""Metrics against figures worked out by hand and plain loops."""

from __future__ import annotations

import math

import pytest
import torch

from seqdemo.builtin.classification.metrics import BINS, ClassificationMetrics, ClassifiedLoss


def counted(probabilities: list[list[float]], labels: list[int], parts: int = 1) -> dict[str, float]:
    """The metrics of rows, counted in so many counters that are merged."""
    logits = torch.tensor(probabilities, dtype=torch.float64).log()
    counters = [ClassificationMetrics(logits.shape[1]) for _ in range(parts)]
    for at, counter in enumerate(counters):
        rows, truth = logits[at::parts], torch.tensor(labels[at::parts], dtype=torch.long)
        total = torch.nn.functional.cross_entropy(rows, truth, reduction="sum")
        counter.update({"labels": truth}, ClassifiedLoss(total, torch.tensor(len(rows)), None, rows))
    for other in counters[1:]:
        counters[0].merge(other.totals)
    return counters[0].compute()


def test_worked_by_hand() -> None:
    """Five rows of three classes: two of class 0 (one taken for 1), two of class 1, one of class 2 taken for 1."""
    probabilities = [[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.2, 0.5, 0.3]]
    found = counted(probabilities, [0, 0, 1, 1, 2])
    assert found["accuracy"] == pytest.approx(3 / 5)
    # F1: class 0 has 1 of 2 found and none wrong, 2/3; class 1 has 2 found and 2 wrong, 4/6; class 2 has none, 0.
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    # Bins of width 1/15: 0.5 twice (both wrong), 0.6 (right), 0.7 (right), 0.8 (right).
    assert found["calibration_error"] == pytest.approx((2 * 0.5 + 0.4 + 0.3 + 0.2) / 5)
    wanted = -sum(math.log(row[label]) for row, label in zip(probabilities, [0, 0, 1, 1, 2], strict=True)) / 5
    assert found["loss"] == pytest.approx(wanted)


def test_a_class_that_is_nowhere_does_not_count() -> None:
    """A class that is neither there nor predicted is no part of macro-F1."""
    assert counted([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1]], [0, 1])["macro_f1"] == 1.0


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_plain_loops_agree_however_many_processes(parts: int) -> None:
    """Random predictions give what loops over rows, classes and bins give, merged or not."""
    draw = torch.Generator().manual_seed(4)
    probabilities = torch.softmax(2 * torch.randn(200, 4, generator=draw, dtype=torch.float64), 1)
    labels = torch.randint(4, (200,), generator=draw)
    rows = [
        (max(row), row.index(max(row)), label)
        for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
    ]
    f1 = []
    for one in range(4):
        hit = sum(chosen == one == label for _, chosen, label in rows)
        wrong = sum((chosen == one) != (label == one) for _, chosen, label in rows)
        f1.append(2 * hit / (2 * hit + wrong))
    error = 0.0
    for at in range(BINS):
        inside = [(p, chosen == label) for p, chosen, label in rows if at / BINS < p <= (at + 1) / BINS]
        if inside:
            mean = sum(p for p, _ in inside) / len(inside)
            right = sum(hit for _, hit in inside) / len(inside)
            error += len(inside) / len(rows) * abs(mean - right)
    found = counted(probabilities.tolist(), labels.tolist(), parts)
    assert found["accuracy"] == pytest.approx(sum(chosen == label for _, chosen, label in rows) / 200)
    assert found["macro_f1"] == pytest.approx(sum(f1) / 4)
    assert found["calibration_error"] == pytest.approx(error)


def test_every_process_has_the_same_totals() -> None:
    """Processes add totals up by name, so a counter that saw one class has the names of all."""
    one = ClassificationMetrics(3)
    names = set(one.totals)
    rows = torch.tensor([[2.0, 0.0, 0.0]])
    one.update({"labels": torch.tensor([0])}, ClassifiedLoss(torch.tensor(0.1), torch.tensor(1), None, rows))
    assert set(one.totals) == names | {"loss", "count"}
