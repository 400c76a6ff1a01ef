"""The loop against a textbook's, and what ends it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqdemo import checkpoint
from seqdemo.errors import ConfigError, DivergedError
from seqdemo.training import Listener
from seqdemo.training.average import Average

Run = Callable[..., Any]


class Textbook(nn.Module):
    """Embedding, nn.LSTM or nn.GRU, linear: nothing of ours."""

    def __init__(self, vocab: int, embedding: int, hidden: int, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, embedding)
        self.rnn = kind(embedding, hidden, batch_first=True)
        self.output = nn.Linear(hidden, vocab)


def initial(folder: Path, text: str, kind: type[nn.RNNBase], seed: int = 0) -> Textbook:
    """A textbook model with the weights a run starts from."""
    parts = checkpoint.load(folder).parts
    from seqdemo.parts import assemble

    torch.manual_seed(seed)
    tokenizers = {role: (spec, parts.head.tokenizers[role]) for role, spec in parts.tokenizers.items()}
    head: Any = assemble(parts.task, parts.models, tokenizers).head
    model = Textbook(head.output.out_features, head.embedding.embedding_dim, head.decoder.output_size, kind)
    model.embedding.load_state_dict(head.embedding.state_dict())
    model.output.load_state_dict(head.output.state_dict())
    model.rnn.load_state_dict(next(m for m in head.modules() if isinstance(m, kind)).state_dict())
    return model


def textbook_losses(
    model: Textbook, text: str, steps: int, optimizer: torch.optim.Optimizer, clip: float, rates: Callable[[int], float]
) -> list[float]:
    """Truncated BPTT as every tutorial writes it: 4 streams, windows of 8, state carried and detached."""
    characters = sorted(set(text))
    ids = torch.tensor([characters.index(c) for c in text])
    length = (len(ids) - 1) // 4
    inputs, targets = ids[: 4 * length].view(4, length), ids[1 : 4 * length + 1].view(4, length)
    state: Any = None
    losses = []
    windows = length // 8
    for step in range(steps):
        at = step % windows * 8
        if at == 0:
            state = None
        y, state = model.rnn(model.embedding(inputs[:, at : at + 8]), state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        logits = model.output(y)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, at : at + 8].flatten())
        for group in optimizer.param_groups:
            group["lr"] = rates(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("model", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn", nn.RNN)])
def test_descent_equals_a_textbook_loop(
    run: Run, text_file: Path, lines: Any, model: str, kind: type[nn.RNNBase]
) -> None:
    """Plain descent from the same weights gives the same loss at every step, over more than one epoch."""
    text = text_file.read_text()[:400]
    text_file.write_text(text)
    options = {"optimizer": "sgd", "schedule": "constant", "warmup_steps": 0, "learning_rate": 0.5, "weight_decay": 0.0}
    found = run(model=model, steps=30, log_every=1, validation_fraction=0.0, shift_windows=False, **options)
    ours = [record["loss"] for record in lines(found.folder, "train")]
    book = initial(found.folder, text, kind)
    theirs = textbook_losses(book, text, 30, torch.optim.SGD(book.parameters(), 0.5), 1.0, lambda step: 0.5)
    assert len(ours) == 30
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_adamw_equals_a_textbook_loop(run: Run, text_file: Path, lines: Any) -> None:
    """AdamW with warm-up and cosine decay, decay on matrices only, gives the same loss at every step."""
    text = text_file.read_text()
    found = run(steps=40, log_every=1, validation_fraction=0.0, shift_windows=False, weight_decay=0.1)
    ours = [record["loss"] for record in lines(found.folder, "train")]
    book = initial(found.folder, text, nn.LSTM)
    groups = [
        {"params": [p for p in book.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in book.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), foreach=False)

    def rate(step: int) -> float:
        fall = 0.02 + 0.98 * (1 + math.cos(math.pi * step / 40)) / 2
        return 1e-2 * min(1.0, (step + 1) / 4) * fall

    assert ours == pytest.approx(textbook_losses(book, text, 40, optimizer, 1.0, rate), abs=2e-6)


def test_training_learns_and_the_best_checkpoint_is_a_checkpoint(run: Run, text_file: Path, lines: Any) -> None:
    """The loss falls; the folder loads; its metrics are those of the best validation and of evaluating it again."""
    from seqdemo.training import evaluate

    found = run(steps=120, validate_every=20, about={"license": "CC0-1.0", "summary": "A test."})
    validations = lines(found.folder, "validation")
    assert [record["step"] for record in validations] == [20, 40, 60, 80, 100, 120]
    assert validations[-1]["metrics"]["loss"] < 0.8 * validations[0]["metrics"]["loss"]
    best = min(validations, key=lambda record: record["metrics"]["loss"])
    assert found.best_step == best["step"]
    loaded = checkpoint.load(found.folder)
    assert loaded.manifest.metrics == pytest.approx(best["metrics"])
    assert (loaded.manifest.license, loaded.manifest.summary) == ("CC0-1.0", "A test.")
    again = evaluate(found.folder, text_file, part="validation", device="cpu")
    assert again["loss"] == pytest.approx(found.metrics["loss"], abs=1e-5)
    digest = json.loads((found.folder / "training" / "run.json").read_text())["choices"]["data"]["files"]["text.txt"]
    for said in ("license: CC0-1.0", digest, "text.txt", "perplexity", "seqdemo.train(...)", "the state carried"):
        assert said in loaded.card
    assert sorted(path.name for path in (found.folder / "training").iterdir()) == ["metrics.jsonl", "run.json"]


def test_without_a_held_out_part_the_last_weights_are_kept(run: Run) -> None:
    """With validation_fraction 0 the checkpoint is the newest, and claims no metrics."""
    found = run(validation_fraction=0.0)
    assert found.best_step == found.steps == 24
    assert found.metrics == {}
    assert checkpoint.load(found.folder).manifest.metrics == {}


def test_early_stopping(run: Run, tmp_path: Path, lines: Any) -> None:
    """Training stops after `patience` validations that are no better, and keeps the best checkpoint."""
    other = tmp_path / "other.txt"
    other.write_text("zzzyyyxxx" * 40)
    more = tmp_path / "more.txt"
    more.write_text("xyz")
    found = run(validation=[other], data=[tmp_path / "text.txt", more], steps=4000, validate_every=5, patience=3)
    losses = [record["metrics"]["loss"] for record in lines(found.folder, "validation")]
    assert found.steps < 4000
    assert losses.index(min(losses)) == len(losses) - 4
    assert found.metrics["loss"] == min(losses)


def test_time_limit(run: Run) -> None:
    """A run limited by time ends, validates at the end, and is kept."""
    found = run(steps=None, max_seconds=1.0, validate_every=None)
    assert 0 < found.seconds < 20
    assert found.metrics["loss"] > 0


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_diverging_runs_stop_and_keep_the_last_good_checkpoint(run: Run, average: float, tmp_path: Path) -> None:
    """A loss that is not a number ends the run with a word; the checkpoint from before is whole."""

    class Poison(Listener):
        def validated(self, record: Any) -> None:
            if record["step"] == 16:
                for parameter in poisoned:
                    parameter.data.fill_(math.nan)

    poisoned: list[nn.Parameter] = []
    from seqdemo.training import loop

    original = loop.Trainer.fit

    def fit(self: Any, interrupt: Any) -> Any:
        poisoned.extend(self.head.parameters())
        return original(self, interrupt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "fit", fit)
        with pytest.raises(DivergedError, match=r"step 16, loss .* is in .*--overwrite"):
            run(steps=100, listeners=[Poison()], average=average)
    loaded = checkpoint.load(tmp_path / "out")
    assert all(torch.isfinite(p).all() for p in loaded.parts.head.parameters())
    with pytest.raises(ConfigError, match="diverged"):
        run(steps=100, average=average)


def test_divergence_before_the_first_validation(run: Run, tmp_path: Path) -> None:
    """A learning rate far too high is said to be so, and no checkpoint pretends to be one."""
    with pytest.raises(DivergedError, match="No checkpoint was kept"):
        run(optimizer="sgd", learning_rate=1e4, clip_norm=0.0, warmup_steps=0, steps=200, validate_every=200)
    assert not (tmp_path / "out" / "seqdemo.json").exists()


def test_average_follows_its_formula() -> None:
    """The average is a <- d a + (1 - d) w with the stated warm-up, and is put on and taken off exactly."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    average = Average(layer, 0.99)
    expected = [p.detach().double().clone() for p in layer.parameters()]
    for step in range(50):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(step)
        decay = min(0.99, (1 + step) / (10 + step))
        expected = [decay * a + (1 - decay) * p.detach() for a, p in zip(expected, layer.parameters(), strict=True)]
    own = [p.detach().clone() for p in layer.parameters()]
    with average.applied():
        for parameter, want in zip(layer.parameters(), expected, strict=True):
            assert torch.allclose(parameter.double(), want, atol=1e-5)
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), own, strict=True))
    assert Average(layer, 0.0).state() == {}


def test_the_averaged_weights_are_validated_and_kept(run: Run, text_file: Path, lines: Any) -> None:
    """With an average, the checkpoint holds the averaged weights and its metrics are theirs."""
    from seqdemo.training import evaluate

    found = run(average=0.95, steps=40, validate_every=40)
    plain = run(average=0.0, steps=40, validate_every=40, out=found.folder.parent / "plain")
    trained = [record["loss"] for record in lines(found.folder, "train")]
    assert trained == [record["loss"] for record in lines(plain.folder, "train")]
    assert found.metrics["loss"] != plain.metrics["loss"]
    again = evaluate(found.folder, text_file, part="validation", device="cpu")
    assert again["loss"] == pytest.approx(found.metrics["loss"], abs=1e-5)


def test_state_is_carried_only_when_asked(run: Run, lines: Any, tmp_path: Path) -> None:
    """The first window does not depend on carrying; the second does."""
    options = {"steps": 3, "log_every": 1, "learning_rate": 1e-9, "validate_every": 3}
    carried = lines(run(**options).folder, "train")
    reset = lines(run(carry_state=False, out=tmp_path / "reset", **options).folder, "train")
    assert carried[0]["loss"] == reset[0]["loss"]
    assert carried[1]["loss"] != reset[1]["loss"]


def test_tensorboard_holds_what_the_lines_hold(run: Run, lines: Any) -> None:
    """The event file has the validation losses of metrics.jsonl."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = run(tensorboard=True)
    events = accumulator.EventAccumulator(str(found.folder / "training" / "tensorboard"))
    events.Reload()
    written = [(event.step, event.value) for event in events.Scalars("validation/loss")]
    expected = [(record["step"], record["metrics"]["loss"]) for record in lines(found.folder, "validation")]
    assert [step for step, _ in written] == [step for step, _ in expected]
    assert [value for _, value in written] == pytest.approx([value for _, value in expected])
