"""The two sides beside the book train the same thing."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import pytest
import torch

import seqdemo

from .conftest import script


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return script("time_machine")


class NoOffset(random.Random):
    """Begins every epoch at the first character."""

    def randint(self, a: int, b: int) -> int:
        return a


def text(seed: int) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(["time", "machine", "weena", "went", "on", "dark"]) for _ in range(900))


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_an_epoch_ends_in_the_same_weights(
    bench: ModuleType, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From copied weights, with windows cut in the same places, both loops reach the same weights and perplexity."""
    monkeypatch.setattr(bench.random, "Random", NoOffset)
    file = tmp_path / "train.txt"
    file.write_text(text(1), encoding="utf-8")
    pipe = bench.fresh(kind, text(1), seed=3)
    net = bench.copied(kind, pipe)
    ids = torch.tensor(pipe.head.encode({"text": text(1)}))
    run = bench.textbook(kind, net, ids, ids[:200], 1, "sequential", 0)
    seqdemo.train(
        data=file,
        out=tmp_path / "run",
        preset="timemachine-book",
        model=kind,
        model_config={"hidden_size": bench.HIDDEN, "num_layers": 1},
        epochs=1.0,
        shift_windows=False,
        sample_tokens=0,
        progress=False,
        seed=3,
        device="cpu",
    )
    trained = seqdemo.load(tmp_path / "run", device="cpu").head
    for name, theirs in net.rnn.state_dict().items():
        torch.testing.assert_close(trained.decoder.layers.state_dict()[name], theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(trained.output.weight, net.linear.weight, rtol=1e-4, atol=1e-5)
    found = seqdemo.evaluate(tmp_path / "run", file, streams=1, device="cpu")["perplexity"]
    with torch.no_grad():
        logits, _ = net(ids[None, :-1], None)
        wanted = torch.nn.functional.cross_entropy(logits, ids[1:].long()).exp().item()
    assert found == pytest.approx(wanted, rel=1e-3)
    assert run.tokens == len(run.curve) * (len(ids) - 1) // bench.STREAMS // bench.STEPS * bench.STEPS * bench.STREAMS


def test_the_text_is_prepared_as_in_the_book(bench: ModuleType, tmp_path: Path) -> None:
    """Only letters stay, in lower case, lines are stripped and joined without a space."""
    file = tmp_path / "t.txt"
    file.write_text("The Time, by H.\n\n I went--on\n", encoding="utf-8")
    assert bench.book_text(file) == "the time by hi went on"


@pytest.mark.parametrize("name", ["sequential_windows", "random_windows"])
def test_windows_predict_the_next_character(bench: ModuleType, name: str) -> None:
    """Targets are the inputs one character on, and no character is predicted twice in an epoch."""
    corpus = torch.arange(5000)
    seen: list[int] = []
    for inputs, targets in getattr(bench, name)(corpus, random.Random(0)):
        assert inputs.shape == targets.shape == (bench.STREAMS, bench.STEPS)
        assert torch.equal(inputs + 1, targets)
        seen += targets.flatten().tolist()
    assert len(seen) == len(set(seen)) > 3000
