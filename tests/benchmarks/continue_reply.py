"""The first token after "continue", with little and with much said before it.

    python tests/benchmarks/continue_reply.py --checkpoint shakespeare --tokens 100000

Two conversations of one checkpoint, kept on disk: one of some ten tokens and one of ``--tokens``. They take turns;
each time a reply is begun where the conversation stands, its first token is waited for, and the reply is closed. Once
in the process that held them, and once after opening both again from disk with empty memory; opening is timed too.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seqdemo.devices import processor
from seqdemo.plugin import Token

_PIECE = 2_000


def converse(library: Any, pipe: Any, text: str, tokens: int) -> Any:
    """A conversation of about so many tokens."""
    talk = library.begin(pipe, max_tokens=4, seed=1, alternatives=5)
    while talk.tokens_read < tokens:
        talk.send(text[: min(_PIECE, tokens - talk.tokens_read)])
    return talk


def first_token(talk: Any) -> float:
    """Seconds from asking to the first token; the conversation stands where it stood afterwards."""
    here = talk.here
    began = time.perf_counter()
    with talk.stream_continue(max_tokens=4) as reply:
        next(event for event in reply if isinstance(event, Token))
        seconds = time.perf_counter() - began
    talk.stand(*here)
    return seconds


def percentile(values: list[float], share: float) -> float:
    """The value below which so large a share lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def measure(talks: Sequence[Any], rounds: int) -> list[list[float]]:
    """Seconds to the first token of both, taking turns to go first."""
    for talk in talks:
        first_token(talk)
    found: list[list[float]] = [[], []]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            found[side].append(first_token(talks[side]))
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="shakespeare")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    import seqdemo
    from seqdemo.library import Library
    from seqdemo.store import Database

    print(
        f"python {platform.python_version()}  torch {torch.__version__}  machine "
        f"{processor()}  threads {options.threads}  rounds {options.rounds}"
    )
    pipe = seqdemo.load(options.checkpoint, device="cpu")
    text = pipe.generate("", max_tokens=_PIECE, seed=0).text
    with tempfile.TemporaryDirectory() as folder:

        def library() -> Any:
            return Library(Database(Path(folder) / "conversations.db"), "benchmark")

        held = library()
        talks = [converse(held, pipe, text, tokens) for tokens in (10, options.tokens)]
        print(f"{'':18}{'tokens':>9}{'p50 ms':>9}{'p95 ms':>9}{'p95 ratio':>11}{'open ms':>9}{'on disk':>10}")
        for title in ("in memory", "after a restart"):
            opened = [0.0, 0.0]
            if title == "after a restart":
                for side, talk in enumerate(talks):
                    began = time.perf_counter()
                    talks[side] = library().open(pipe, talk.id)
                    opened[side] = 1e3 * (time.perf_counter() - began)
            found = measure(talks, options.rounds)
            base = percentile(found[0], 0.95)
            for side, talk in enumerate(talks):
                p95 = percentile(found[side], 0.95)
                print(
                    f"{title:18}{talk.tokens_read:9,}{1e3 * statistics.median(found[side]):9.2f}{1e3 * p95:9.2f}"
                    f"{p95 / base:11.2f}{opened[side]:9.1f}{held.nbytes(talk.id):10,}"
                )


if __name__ == "__main__":
    main()
