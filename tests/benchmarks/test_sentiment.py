"""The sentiment benchmark runs, and its baselines are what they are called."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from .conftest import script


@pytest.fixture(scope="module")
def sentiment() -> ModuleType:
    return script("sentiment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set in which pairs of words tell: "not good" is negative."""
    chance = random.Random(0)
    for part, count in (("train", 200), ("dev", 40), ("test", 50)):
        rows = []
        for n in range(count):
            words = ["a", "film"] * chance.randint(1, 4) + [("not good", "good", "not bad", "bad")[n % 4]]
            rows.append({"text": " ".join(words), "label": ("negative", "positive")[n % 4 in (1, 2)]})
        (tmp_path / f"{part}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return tmp_path


def test_baselines(sentiment: ModuleType, folder: Path) -> None:
    """Majority is as good as its share; pairs of words tell what single ones cannot."""
    train, dev, test = (sentiment.read(folder / f"{part}.jsonl") for part in ("train", "dev", "test"))
    names = ["negative", "positive"]
    assert sentiment.majority(train, names, test)["accuracy"] == test.labels.count("negative") / 50
    assert sentiment.words_and_pairs("It isn't 好 !") == ["it", "isn't", "好", "!", "it isn't", "isn't 好", "好 !"]
    for found in sentiment.bag_of_words(train, names, dev, [test, dev]):
        assert found["accuracy"] == 1.0
    sure = np.array([[0.8, 0.2], [0.3, 0.7]])
    part = sentiment.Part(["x", "y"], ["negative", "positive"])
    assert sentiment.measured(sure, names, part)["calibration_error"] == pytest.approx((0.2 + 0.3) / 2)
    unsure = np.array([[0.1, 0.8, 0.1], [0.1, 0.7, 0.2]])
    two = sentiment.Part(["x", "y"], ["negative", "positive"])
    restricted = sentiment.measured(unsure, ["negative", "neutral", "positive"], two)
    assert (restricted["accuracy"], restricted["calibration_error"]) == (1.0, pytest.approx((0.5 + 1 / 3) / 2))


def test_the_table(
    sentiment: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One command trains each seed with the flags it was given, and prints three rows; again, it only measures."""
    flags = ["--tokenizer", "words", "--hidden", "6", "--steps", "2", "--device", "cpu", "--quiet"]
    arguments = ["sentiment.py", str(folder), "--out", str(folder / "runs"), "--seeds", "3", "4"]
    arguments += ["--unseen", str(folder), "--", *flags]
    monkeypatch.setattr(sys, "argv", arguments)
    sentiment.main()
    printed = capfd.readouterr().out
    assert len(re.findall(r"\| majority \| 0\.5", printed)) == 2
    assert len(re.findall(r"\| bag of words \| 1\.0000", printed)) == 2
    row, unseen = re.findall(r"\| recurrent \| .*", printed)
    assert row == unseen
    assert row.count("±") == 4
    assert row.endswith("| seeds 3, 4 |")
    monkeypatch.setattr(sentiment.subprocess, "run", None)
    sentiment.main()
    assert row in capfd.readouterr().out
