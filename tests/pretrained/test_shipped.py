"""The checkpoints that ship: small, honest, and better than noise."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqdemo
from seqdemo.pretrained import CheckpointRecord, checkpoints

SHIPPED = [record for record in checkpoints() if record.source == "shipped"]
LARGEST = 12_000_000

PASSAGES = {
    "shakespeare": "To die, to sleep;\nNo more; and by a sleep to say we end\nThe heart-ache and the thousand shocks",
    "stories": "Once upon a time there was a little girl who lived with her mother in a small house near the forest.",
}


def test_the_first_two_are_there() -> None:
    """A character model and a subword model ship, each with prompts worth trying."""
    assert {record.name for record in SHIPPED} >= {"shakespeare", "stories"}
    assert all(record.task == "generation" and record.summary and record.examples for record in SHIPPED)


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_size_and_card(record: CheckpointRecord) -> None:
    """At most 12 MB; the card gives data with hashes, licence, the exact command and metrics; no machine path."""
    files = [path for path in record.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    pipe = seqdemo.load(record.name, device="cpu")
    assert pipe.manifest is not None
    assert pipe.manifest.license
    assert pipe.manifest.metrics["loss"] > 0
    for part in ("## Data", "## Licence", "## Metrics", "seqdemo train --preset", "SHA-256", pipe.manifest.license):
        assert part in pipe.card, part
    assert str(pipe.manifest.metrics["loss"])[:5] in pipe.card
    assert str(Path.home()) not in pipe.card


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_it_knows_its_language(record: CheckpointRecord) -> None:
    """A passage of its kind costs under 2.5 bits a character; its words shuffled cost more, reversed far more."""
    pipe = seqdemo.load(record.name, device="cpu")
    passage = PASSAGES[record.name]
    bits = pipe.score(passage).bits_per_character
    assert bits < 2.5
    assert pipe.score(" ".join(sorted(passage.split()))).bits_per_character > bits + 0.2
    assert pipe.score(passage[::-1]).bits_per_character > 1.6 * bits


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_its_prompts_work(record: CheckpointRecord) -> None:
    """Every suggested prompt continues, and the same seed says the same."""
    pipe = seqdemo.load(record.name, device="cpu")
    for prompt in record.examples:
        text = str(pipe.generate(prompt, max_tokens=30, seed=1))
        assert text.strip()
        assert text == str(pipe.generate(prompt, max_tokens=30, seed=1))
