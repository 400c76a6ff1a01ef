"""Beside the book: The Time Machine, trained by seqdemo and by a plain textbook loop, in one run.

    python tests/benchmarks/time_machine.py timemachine.txt --threads 1 --repeats 3

The set-up is that of Dive into Deep Learning, first edition (d2l 0.17, sections 8.3 to 9.2): each line of the text
without anything but letters, in lower case, lines joined; the first 10,000 characters; 32 streams of 35 steps; one
layer of 256 units on one-hot input; plain gradient descent with learning rate 1, the whole gradient clipped to norm 1;
500 epochs, each beginning at another random character. Train perplexity is the book's: over the last epoch, while
the weights move. The book shows no held-out figure; here the 5,000 characters that follow are read by the trained
model in one piece. Later editions use 1,024 windows of 32 steps and 32 units instead.

``--sampling sequential`` carries the state from window to window, as the book's concise sections do. ``random`` starts
every window blank: the textbook side shuffles windows as the book does, seqdemo keeps them in the text's order.

Both sides start from the same weights (seqdemo's fresh ones, copied), take turns to go first, and see the same
number of tokens. Only seqdemo writes a checkpoint, at the end: seconds count that, tokens per second do not, and the
table names the part. Where other programs run too, read the processor's seconds (``cpu``): with one thread on a quiet
machine they are the clock's. ``--json`` has every repetition.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.devices import processor

STREAMS, STEPS, HIDDEN, RATE, CLIP, EPOCHS = 32, 35, 256, 1.0, 1.0, 500
TRAIN, HELD_OUT = 10_000, 5_000
WIDTHS = (10, 10, 10, 9, 8, 11, 9, 11)
LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@dataclass
class Run:
    """One training.

    Attributes:
        curve: after each epoch: seconds so far, by the clock and by the processor, and perplexity over the epoch.
        tokens: predicted in training.
        seconds: of the whole training.
        saving: seconds of it that went into writing checkpoints, which the textbook loop does not do.
        heldout: perplexity of the text that follows.
    """

    side: str
    model: str
    curve: list[tuple[float, float, float]]
    tokens: int
    seconds: float
    heldout: float
    saving: float = 0.0

    @property
    def speed(self) -> float:
        """Tokens a second, while training and not saving."""
        return self.tokens / (self.seconds - self.saving)

    @property
    def perplexity(self) -> float:
        """Of the last epoch."""
        return self.curve[-1][2]

    @property
    def cpu(self) -> float:
        """The processor's seconds, up to the end of the last epoch."""
        return self.curve[-1][1]

    def seconds_to(self, perplexity: float) -> tuple[float, float]:
        """When an epoch was first this good, by the clock and by the processor."""
        found = ((wall, cpu) for wall, cpu, reached in self.curve if reached <= perplexity)
        return next(found, (math.inf, math.inf))


def book_text(path: Path) -> str:
    """The text as the book prepares it."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return "".join(re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in lines)


# The textbook side: nothing of seqdemo.


class Textbook(nn.Module):
    """One-hot characters -> recurrent layer -> linear layer."""

    def __init__(self, kind: str, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.rnn = LAYERS[kind](vocabulary, HIDDEN)
        self.linear = nn.Linear(HIDDEN, vocabulary)

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Ids (B, T) -> logits (T * B, V) and the state."""
        x = F.one_hot(inputs.T.long(), self.vocabulary).to(torch.float32)
        y, state = self.rnn(x, state)
        return self.linear(y.reshape(-1, y.shape[-1])), state


def sequential_windows(corpus: Tensor, chance: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """32 neighbouring streams, read window by window, from a random start."""
    offset = chance.randint(0, STEPS)
    tokens = ((len(corpus) - offset - 1) // STREAMS) * STREAMS
    xs = corpus[offset : offset + tokens].reshape(STREAMS, -1)
    ys = corpus[offset + 1 : offset + 1 + tokens].reshape(STREAMS, -1)
    for at in range(0, xs.shape[1] // STEPS * STEPS, STEPS):
        yield xs[:, at : at + STEPS], ys[:, at : at + STEPS]


def random_windows(corpus: Tensor, chance: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows that do not overlap, in any order, from a random start."""
    corpus = corpus[chance.randint(0, STEPS - 1) :]
    count = (len(corpus) - 1) // STEPS
    starts = [at * STEPS for at in range(count)]
    chance.shuffle(starts)
    for first in range(0, count // STREAMS * STREAMS, STREAMS):
        chosen = starts[first : first + STREAMS]
        yield (
            torch.stack([corpus[at : at + STEPS] for at in chosen]),
            torch.stack([corpus[at + 1 : at + 1 + STEPS] for at in chosen]),
        )


def cut_from_graph(state: Any) -> Any:
    """The state without its history."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def textbook(kind: str, start: Textbook, ids: Tensor, held_out: Tensor, epochs: int, sampling: str, seed: int) -> Run:
    """Train as the book does."""
    net = start
    chance = random.Random(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    curve: list[tuple[float, float, float]] = []
    seen = 0
    began, begun = time.perf_counter(), time.process_time()
    for _ in range(epochs):
        state = None
        total, count = 0.0, 0
        windows = sequential_windows if sampling == "sequential" else random_windows
        for inputs, targets in windows(ids, chance):
            state = None if state is None or sampling == "random" else cut_from_graph(state)
            logits, state = net(inputs, state)
            loss = F.cross_entropy(logits, targets.T.reshape(-1).long())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.sqrt(
                sum((torch.sum(p.grad**2) for p in net.parameters() if p.grad is not None), torch.zeros(()))
            )
            if norm > CLIP:
                for parameter in net.parameters():
                    if parameter.grad is not None:
                        parameter.grad[:] *= CLIP / norm
            optimizer.step()
            total += loss.item() * targets.numel()
            count += targets.numel()
        seen += count
        curve.append((time.perf_counter() - began, time.process_time() - begun, math.exp(total / count)))
    seconds = time.perf_counter() - began
    with torch.no_grad():
        logits, _ = net(held_out[None, :-1], None)
        heldout = math.exp(F.cross_entropy(logits, held_out[1:].long()).item())
    return Run("textbook", kind, curve, seen, seconds, heldout)


# The seqdemo side: its public names only.


def fresh(kind: str, text: str, seed: int) -> Any:
    """The untrained pipeline that ``seqdemo.train`` starts from with this seed."""
    import seqdemo

    return seqdemo.pipeline(
        "generation",
        model=kind,
        tokenizer="char",
        texts=[text],
        model_config={"hidden_size": HIDDEN, "num_layers": 1},
        task_config={"input": "one-hot"},
        device="cpu",
        seed=seed,
    )


def copied(kind: str, pipe: Any) -> Textbook:
    """A textbook net with the pipeline's weights."""
    net = Textbook(kind, pipe.head.tokenizer.vocab_size)
    net.rnn.load_state_dict(pipe.head.decoder.layers.state_dict())
    net.linear.load_state_dict(pipe.head.output.state_dict())
    return net


def ours(kind: str, train: Path, held_out: Path, epochs: int, sampling: str, seed: int, threads: int) -> Run:
    """Train by ``seqdemo.train`` with its preset for the book."""
    import seqdemo
    from seqdemo.training import Listener

    curve: list[tuple[float, float, float]] = []

    class Curve(Listener):
        saving = begun = 0.0

        def begin(self, *_: Any) -> None:
            self.begun = time.process_time()

        def measured(self, record: Any) -> None:
            curve.append((record["seconds"], time.process_time() - self.begun, math.exp(record["loss"])))

        def phase(self, name: str) -> None:
            self.saving += time.perf_counter() if name == "train" else -time.perf_counter()

    heard = Curve()

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        steps = (TRAIN - STEPS) // STREAMS // STEPS
        done = seqdemo.train(
            "generation",
            data=train,
            out=run,
            preset="timemachine-book",
            model=kind,
            model_config={"hidden_size": HIDDEN, "num_layers": 1},
            listeners=[heard],
            progress=False,
            epochs=float(epochs),
            carry_state=sampling == "sequential",
            log_every=steps,
            sample_tokens=0,
            seed=seed,
            threads=threads,
            device="cpu",
        )
        heldout = seqdemo.evaluate(run, held_out, streams=1, window=512, device="cpu")["perplexity"]
    return Run("seqdemo", kind, curve, done.steps * STREAMS * STEPS, done.seconds, heldout, heard.saving)


# Side by side


def compare(options: argparse.Namespace) -> list[Run]:
    """Every run, sides taking turns to go first."""
    text = book_text(options.text)
    train, held_out = text[:TRAIN], text[TRAIN : TRAIN + HELD_OUT]
    if len(held_out) < HELD_OUT:
        sys.exit(f"{options.text} is too short: the book's text has about 170,000 characters.")
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "train.txt", Path(folder) / "heldout.txt"
        files[0].write_text(train, encoding="utf-8")
        files[1].write_text(held_out, encoding="utf-8")
        for kind in options.models:
            for repeat in range(-1, options.repeats):
                # The first round of each model is short and only warms up.
                epochs = options.epochs if repeat >= 0 else 2
                pipe = fresh(kind, train, max(repeat, 0))
                net = copied(kind, pipe)
                ids, after = (torch.tensor(pipe.head.encode({"text": part})) for part in (train, held_out))
                pair = []
                for side in ("textbook", "seqdemo") if repeat % 2 else ("seqdemo", "textbook"):
                    if side == "textbook":
                        run = textbook(kind, net, ids, after, epochs, options.sampling, max(repeat, 0))
                    else:
                        run = ours(kind, *files, epochs, options.sampling, max(repeat, 0), options.threads)
                    pair.append(run)
                if repeat >= 0:
                    runs += pair
    return runs


def table(runs: list[Run]) -> list[dict[str, Any]]:
    """Medians over repetitions, a row for each model and side.

    ``to_target``: seconds to the worse of the two sides' median last perplexities, which both reach.
    """
    rows: list[dict[str, Any]] = []
    for kind in dict.fromkeys(run.model for run in runs):
        sides = {side: [r for r in runs if r.model == kind and r.side == side] for side in ("textbook", "seqdemo")}
        target = max(statistics.median(r.perplexity for r in side) for side in sides.values())
        rows += [
            {
                "model": kind,
                "side": side,
                "train_perplexity": statistics.median(r.perplexity for r in found),
                "heldout_perplexity": statistics.median(r.heldout for r in found),
                "tokens_per_second": statistics.median(r.speed for r in found),
                "seconds": statistics.median(r.seconds for r in found),
                "saving": statistics.median(r.saving for r in found),
                "target": target,
                "seconds_to_target": statistics.median(r.seconds_to(target)[0] for r in found),
                "cpu_seconds": statistics.median(r.cpu for r in found),
                "cpu_seconds_to_target": statistics.median(r.seconds_to(target)[1] for r in found),
            }
            for side, found in sides.items()
        ]
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="timemachine.txt, the book's copy")
    parser.add_argument("--models", nargs="+", choices=list(LAYERS), default=list(LAYERS))
    parser.add_argument("--sampling", choices=("sequential", "random"), default="sequential")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write every run to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": processor(),
        "threads": options.threads,
        "repeats": options.repeats,
        "epochs": options.epochs,
        "sampling": options.sampling,
    }
    print("  ".join(f"{name} {value}" for name, value in about.items()))
    runs = compare(options)
    rows = table(runs)
    titles = ("train ppl", "held-out", "tokens/s", "seconds", "saving", "to target", "cpu", "to target")
    print(f"{'model':6}{'side':10}" + "".join(f"{title:>{width}}" for title, width in zip(titles, WIDTHS, strict=True)))
    for row in rows:
        print(
            f"{row['model']:6}{row['side']:10}{row['train_perplexity']:10.3f}{row['heldout_perplexity']:10.2f}"
            f"{row['tokens_per_second']:10,.0f}{row['seconds']:9.1f}{row['saving']:8.1f}{row['seconds_to_target']:11.1f}"
            f"{row['cpu_seconds']:9.1f}{row['cpu_seconds_to_target']:11.1f}"
            f"   (target {row['target']:.3f})"
        )
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": rows, "runs": [asdict(run) for run in runs]}, indent=1))


if __name__ == "__main__":
    main()
