"""The benchmark of translation measures what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from .conftest import script


class Flat(nn.Module):
    """A decoder that never ends by itself."""

    def forward(self, ids: Tensor, encoder_output: Tensor) -> tuple[Tensor, None]:
        return torch.zeros(len(ids), 1, 7), None


def test_a_small_run_prints_both_sides_with_the_same_texts() -> None:
    """Greedy and a beam, sentences a second of both sides, and every text alike."""
    script = Path(__file__).with_name("translation.py")
    arguments = ["--sentences", "5", "--rounds", "1", "--beams", "1", "3", "--max-tokens", "8"]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "3"]
    assert all(float(value) > 0 for row in rows for value in row[1:4])
    assert [row[4:] for row in rows] == [["5", "of", "5"]] * 2


def test_the_peers_translations_end_where_they_are_told_to() -> None:
    """Two sentences of a beam of two, whose rows change places, end after two tokens and after four."""
    joey, decoder = script("joey"), Flat()
    ends = joey.Ends(decoder)
    ends.lengths = [4, 2]
    memory = torch.tensor([0.1, 0.1, 0.7, 0.7]).reshape(4, 1, 1)
    found = []
    for order in ([0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 3]):
        memory = memory[order]
        logits, _ = decoder(torch.zeros(len(order)), encoder_output=memory)
        found.append((logits[:, 0].argmax(1) == joey.END).tolist())
    assert found == [[False] * 4, [False, True, False, True], [False, False, True]]
