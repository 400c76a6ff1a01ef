"""A batch job beside a stream: what each has of the rate it has alone, and how long the stream's reader waits.

    python tests/benchmarks/beside.py --jobs sentiment-en translate-en-zh --rows 1000

One process, one device, models that ship. The rows are lines that the generator wrote. For each job three things take
turns: the generator's stream alone, the rows alone, and both at once. A pause is the time between two times that the
stream's reader was handed tokens. Medians over the rounds; pauses of all rounds together.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

import seqdemo
from seqdemo.devices import processor
from seqdemo.plugin import Token

_HANDED = 0.001
"""Tokens closer than this many seconds were handed over together."""


@dataclass
class Side:
    """What was measured of one way of running.

    Attributes:
        tokens: of the stream, a second, by round.
        rows: of the job, a second, by round.
        pauses: between hand-overs, seconds, of all rounds.
    """

    tokens: list[float] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)


def texts(pipe: Any, count: int) -> list[str]:
    """Lines that the generator wrote, each of some thirty tokens."""
    prompts = [f"{one} " for one in ("The", "A", "My", "Once", "When", "He", "She", "They")]
    given = [prompts[place % len(prompts)] for place in range(count)]
    return [str(one).replace("\n", " ") for one in pipe.generate(given, max_tokens=30, seed=1)]


def read(pipe: Any, side: Side, seconds: float, stop: threading.Event | None = None) -> None:
    """Read a stream for so long, or until ``stop``."""
    arrivals: list[float] = []
    with pipe.stream("Once upon a time", max_tokens=10_000_000, seed=1) as stream:
        began = time.perf_counter()
        for event in stream:
            now = time.perf_counter()
            if isinstance(event, Token):
                arrivals.append(now)
            if stop.is_set() if stop is not None else now - began > seconds:
                break
    took = arrivals[-1] - arrivals[0]
    side.tokens.append((len(arrivals) - 1) / took)
    side.pauses += [b - a for a, b in pairwise(arrivals) if b - a > _HANDED]


def work(job: Any, given: Sequence[str], side: Side) -> None:
    """Answer all rows."""
    began = time.perf_counter()
    job(list(given))
    side.rows.append(len(given) / (time.perf_counter() - began))


def measure(pipe: Any, job: Any, given: Sequence[str], rounds: int, seconds: float) -> dict[str, Side]:
    """Stream alone, rows alone, and both."""
    alone, both = Side(), Side()
    job(list(given[:32]))
    for _ in range(rounds):
        read(pipe, alone, seconds)
        work(job, given, alone)
        done = threading.Event()
        reader = threading.Thread(target=read, args=(pipe, both, seconds, done))
        reader.start()
        try:
            work(job, given, both)
        finally:
            done.set()
            reader.join()
    return {"alone": alone, "together": both}


def table(name: str, found: dict[str, Side]) -> str:
    """Lines of the table."""
    rows = []
    for what, side in found.items():
        pauses = sorted(side.pauses) or [0.0]
        last = pauses[min(int(0.95 * len(pauses)), len(pauses) - 1)]
        rates = [statistics.median(each) for each in (side.tokens, side.rows)]
        firsts = [statistics.median(each) for each in (found["alone"].tokens, found["alone"].rows)]
        shares = [rate / first for rate, first in zip(rates, firsts, strict=True)]
        rows.append(
            f"{name:18}{what:10}{rates[0]:11,.0f}{shares[0]:7.2f}{rates[1]:11,.1f}{shares[1]:7.2f}"
            f"{1000 * statistics.median(pauses):9.1f}{1000 * last:7.1f}{1000 * pauses[-1]:7.1f}"
        )
    return "\n".join(rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="stories")
    parser.add_argument("--jobs", nargs="+", default=["sentiment-en", "translate-en-zh"])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of the stream alone")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pipe = seqdemo.load(options.generator, device="cpu")
    given = texts(pipe, options.rows)
    print(
        f"{processor()}, {options.threads} threads; Python {platform.python_version()}, torch {torch.__version__}; "
        f"median of {options.rounds}; stream of {options.generator}, {options.rows} rows; pauses in ms"
    )
    print(f"{'job':18}{'':10}{'tokens/s':>11}{'share':>7}{'rows/s':>11}{'share':>7}{'pause':>9}{'p95':>7}{'most':>7}")
    for name in options.jobs:
        print(table(name, measure(pipe, seqdemo.load(name, device="cpu"), given, options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
