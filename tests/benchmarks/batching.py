"""Many streams at once: the engine beside the plain loop and beside its own bare step, in one run.

    python tests/benchmarks/batching.py --threads 2 --repeats 5

For each size and precision, tokens a second of

- ``plain``: a loop over ``nn.LSTM``, one stream, one token at a time, with the usual top-k and top-p sampling in torch,
  oneDNN on (as everybody has it) and off (faster at one step);
- ``bare``: the stepper's batched step alone, the same ids again and again, nothing drawn;
- ``engine``: that many streams through the engine, each with its seed, top-k and top-p, read to their ends; without
  alternatives, with five of them, and with ``exact=True``.

Random weights; both sides have the same ones. What is measured takes turns, and a figure is the median of its
repetitions, with their spread. ``least`` is what the least served of 64 streams had of the mean when the first ended.
``differ`` counts streams that left their solo run because of their neighbours, for each million tokens up to there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqdemo.builtin.generation.config import GenerationConfig
from seqdemo.builtin.generation.head import GenerationHead
from seqdemo.builtin.models.config import LSTMConfig
from seqdemo.builtin.models.fused import LSTM
from seqdemo.decoding import Engine, Request, Stream
from seqdemo.decoding.prepare import open_stepper
from seqdemo.devices import processor
from seqdemo.plugin import SamplingOptions, Token, Tokenizer, TokenizerConfig

CPU = torch.device("cpu")
TOP_K, TOP_P, TEMPERATURE = 40, 0.95, 0.9
SIZES = {"tiny": (32, 1, 64), "small": (512, 1, 256), "medium": (1024, 2, 4096), "large": (1536, 3, 8192)}
"""Hidden units, layers, vocabulary."""


class Numbered(Tokenizer):
    """A vocabulary of any size: every token is a two-byte character."""

    def __init__(self, size: int) -> None:
        self._size = size

    @classmethod
    def train(cls, texts: Any, config: TokenizerConfig) -> Numbered:
        return cls(256)

    @classmethod
    def load(cls, folder: Path, config: TokenizerConfig) -> Numbered:
        return cls(256)

    def save(self, folder: Path) -> None:
        """Nothing to write."""

    @property
    def vocab_size(self) -> int:
        return self._size

    def encode(self, text: str) -> list[int]:
        return [ord(character) % self._size for character in text]

    def token_bytes(self, token: int) -> bytes:
        return chr(0x100 + token).encode()


@dataclass
class Row:
    """One line of the table.

    Attributes:
        rates: tokens a second of each repetition.
        times_plain: of the plain loop's median.
        of_bare: share of the bare step's median.
    """

    size: str
    precision: str
    what: str
    streams: int
    rates: list[float] = field(default_factory=list)
    times_plain: float = 0.0
    of_bare: float = 0.0

    @property
    def rate(self) -> float:
        """Median."""
        return statistics.median(self.rates)


def build(size: str) -> GenerationHead:
    """A head with random weights, large enough that what it says is not all the same."""
    hidden, layers, vocabulary = SIZES[size]
    torch.manual_seed(0)
    config = GenerationConfig(embedding_size=min(hidden, 256))
    head = GenerationHead(
        config,
        {"text": Numbered(vocabulary)},
        lambda role, width: LSTM(LSTMConfig(hidden_size=hidden, num_layers=layers), width),
    )
    with torch.no_grad():
        head.output.weight.mul_(4.0)
    return head.eval()


def plain(head: GenerationHead, tokens: int, onednn: bool) -> float:
    """The loop of every tutorial, one stream: tokens a second."""
    embedding, output, lstm = head.embedding, head.output, head.decoder.layers
    assert embedding is not None
    assert isinstance(lstm, nn.LSTM)
    state: tuple[Tensor, Tensor] | None = None
    token = torch.zeros(1, 1, dtype=torch.long)
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=onednn):
        began = time.perf_counter()
        for _ in range(tokens):
            y, state = lstm(embedding(token), state)
            logits = output(y[:, -1]) / TEMPERATURE
            best, ids = torch.topk(logits, min(TOP_K, logits.shape[-1]))
            odds = torch.softmax(best, -1)
            odds = torch.where(odds.cumsum(-1) - odds > TOP_P, 0.0, odds)
            token = ids.gather(1, torch.multinomial(odds, 1))
        return tokens / (time.perf_counter() - began)


def bare(head: GenerationHead, streams: int, tokens: int) -> float:
    """The stepper's step and nothing else: tokens a second of all rows."""
    with torch.inference_mode():
        stepper = open_stepper(head, streams, CPU)
        slots = [stepper.claim() for _ in range(streams)]
        for slot in slots:
            stepper.put(slot, head.initial_state(1), {})
        ids = [slot % head.tokenizer.vocab_size for slot in slots]
        stepper.step(ids, slots)
        began = time.perf_counter()
        for _ in range(tokens):
            stepper.step(ids, slots)
        return streams * tokens / (time.perf_counter() - began)


def ask(head: GenerationHead, seed: int, tokens: int, **options: Any) -> Request:
    """A request with a prompt of its own."""
    chosen = {"temperature": TEMPERATURE, "top_k": TOP_K, "top_p": TOP_P, "alternatives": 0, **options}
    prompt = [(seed * 7 + k) % head.tokenizer.vocab_size for k in range(4)]
    return Request(head, prompt, SamplingOptions(max_tokens=tokens, seed=seed, **chosen))


def together(engine: Engine, requests: list[Request]) -> list[Stream]:
    """Streams that begin with the same turn."""
    return engine.each(lambda one: [engine.submit(request) for request in one], [requests])[0]


def served(engine: Engine, head: GenerationHead, streams: int, tokens: int, **options: Any) -> float:
    """Streams through the engine, read to their ends: tokens a second of all of them."""
    began = time.perf_counter()
    made = [stream.decoded() for stream in together(engine, [ask(head, k, tokens, **options) for k in range(streams)])]
    return sum(len(one.tokens) for one in made) / (time.perf_counter() - began)


def least(engine: Engine, head: GenerationHead, tokens: int, streams: int = 64) -> float:
    """What the least served of many streams had of the mean, when one of them had all its tokens."""
    requests = [ask(head, k, tokens if k == 0 else 1_000_000) for k in range(streams)]
    running = together(engine, requests)
    running[0].decoded()
    for stream in running[1:]:
        stream.close()
    counts = [len(stream.decoded().tokens) for stream in running[1:]]
    return min(counts) / statistics.mean(counts)


def differ(engine: Engine, head: GenerationHead, streams: int, tokens: int, **options: Any) -> float:
    """Streams that leave their solo run, for each million tokens up to where they do."""
    requests = [ask(head, k, tokens, **options) for k in range(streams)]
    solo = [_ids(engine.submit(request)) for request in requests]
    beside = [_ids(stream) for stream in together(engine, requests)]
    left, same = 0, 0
    for one, other in zip(solo, beside, strict=True):
        agreed = next((k for k, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
        left += agreed < len(one)
        same += agreed
    return left * 1e6 / max(same, 1)


def _ids(stream: Stream) -> list[int]:
    return [token.id for token in stream.decoded().tokens if isinstance(token, Token)]


def measure(size: str, precisions: list[str], streams: int, tokens: int, repeats: int) -> tuple[list[Row], list[str]]:
    """All rows of a size, and what else was found out."""
    head, engine = build(size), Engine("cpu")
    loops = [Row(size, "fp32", name, 1) for name in ("plain loop", "plain loop, oneDNN off")]
    sides: list[tuple[Row, str, Callable[..., float]]] = [
        (loops[0], "auto", lambda: plain(head, max(tokens // 4, 8), True)),
        (loops[1], "auto", lambda: plain(head, max(tokens // 4, 8), False)),
    ]
    for precision in precisions:
        sides.append((Row(size, precision, "bare step", streams), precision, lambda: bare(head, streams, tokens)))
        kinds: list[tuple[str, dict[str, Any]]] = [("engine", {}), ("engine, 5 alternatives", {"alternatives": 5})]
        kinds.append(("engine, exact", {"exact": True}))
        for what, options in kinds:
            row = Row(size, precision, what, streams)
            sides.append((row, precision, partial(served, engine, head, streams, tokens, **options)))
    for _ in range(repeats):
        for row, precision, side in sides:
            head.precision = precision
            row.rates.append(side())
    rows = [row for row, _, _ in sides]
    step = {row.precision: row.rate for row in rows if row.what == "bare step"}
    for row in rows:
        row.times_plain = row.rate / loops[0].rate
        row.of_bare = row.rate / step[row.precision] if row.what.startswith("engine") else 0.0
    found = []
    for precision in precisions:
        head.precision = precision
        apart = differ(engine, head, streams, tokens)
        exact = differ(engine, head, streams, tokens, exact=True)
        share = least(engine, head, tokens)
        found.append(
            f"{size} {precision}: least served of 64 streams {share:.2f} of the mean; differ per million tokens "
            f"{apart:.1f}, exact {exact:.1f}"
        )
    engine.close()
    return rows, found


def main(arguments: list[str] | None = None) -> list[Row]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["small", "medium"], choices=SIZES)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=400, help="of each stream; its prompt of four is in the time")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    warnings.filterwarnings("ignore", "TF32 acceleration")  # torch says so whenever oneDNN is turned off
    print(
        f"{processor()}, {chosen.threads} threads; Python {platform.python_version()}, "
        f"torch {torch.__version__}, numpy {np.__version__}; median of {chosen.repeats}, tokens/s (least - most)"
    )
    rows: list[Row] = []
    for size in chosen.sizes:
        measured, found = measure(size, chosen.precisions, chosen.streams, chosen.tokens, chosen.repeats)
        rows += measured
        print(f"\n{'size':8}{'precision':11}{'what':26}{'streams':>8}{'tokens/s':>11}{'plain':>9}{'of bare':>9}")
        for row in measured:
            share = f"{row.of_bare:9.2f}" if row.of_bare else f"{'':9}"
            spread = f"  ({min(row.rates):,.0f} - {max(row.rates):,.0f})"
            print(
                f"{row.size:8}{row.precision:11}{row.what:26}{row.streams:8}{row.rate:11,.0f}"
                f"{row.times_plain:8.1f}x{share}{spread}"
            )
        print(*found, sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    return rows


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
