"""Training and decoding speeds, taken in rounds: every model once in each round, so that a slow minute hits them all.

::

    OUT/speed.json    the machine, and tokens a second of each model in each round
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import seqdemo
from seqdemo.devices import processor
from seqdemo.errors import SeqdemoError
from seqdemo.files import write_atomic
from seqdemo.training import Listener

from .rule import Rule
from .runs import Result, folder_name

__all__ = ["machine", "measure", "medians", "spreads"]

WARM_STEPS, TIMED_STEPS = 3, 8
"""Training steps of a round that do not count, and that do."""

WARM_TOKENS, TIMED_TOKENS = 50, 400
"""Decoded tokens of a round that do not count, and that do."""

KINDS = ("training", "decoding")

Rounds = list[dict[str, dict[str, float]]]


class Laps(Listener):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def step(self, step: int, progress: float, seconds: float) -> None:
        self.ends.append(time.perf_counter())


def machine(threads: int) -> dict[str, Any]:
    """What the speeds depend on."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seqdemo": seqdemo.__version__,
    }


def training_speed(rule: Rule, result: Result, data: Path, text: str, threads: int) -> float:
    """Tokens a second of the median training step, saving and validation not counted."""
    laps = Laps()
    steps = WARM_STEPS + TIMED_STEPS
    with tempfile.TemporaryDirectory() as scratch:
        held = Path(scratch) / "held.txt"
        held.write_text(text[-2_000:], "utf-8")
        seqdemo.train(
            data=data,
            validation=held,
            out=Path(scratch) / "run",
            **rule.pipeline(result.model, result.hidden_size),
            **rule.schedule(steps, result.learning_rate, 1),
            threads=threads,
            progress=False,
            listeners=[laps],
        )
    intervals = [after - before for before, after in pairwise(laps.ends)][WARM_STEPS - 1 :]
    return rule.tokens_per_step / statistics.median(intervals)


def decoding_speed(pipe: seqdemo.Pipeline, prompt: str) -> float:
    """Tokens a second of one stream, as any reader of the product gets them; reading the prompt is not counted."""
    for tokens in (WARM_TOKENS, TIMED_TOKENS):
        with pipe.stream(prompt, max_tokens=tokens, alternatives=0, seed=0) as stream:
            *_, done = stream
    if not isinstance(done, seqdemo.Done) or done.reason != "length":
        raise SeqdemoError(f"The stream ended with {done!r} instead of its {TIMED_TOKENS} tokens.")
    return done.usage.tokens_per_second


def measure(
    rule: Rule,
    found: Sequence[Result],
    data: Path,
    text: str,
    out: Path,
    threads: int,
    rounds: int,
    console: Console,
    again: bool = False,
) -> None:
    """Fill up to ``rounds`` rounds and write each one when it is done.

    Those on disk count if they are of the same models on the same machine, and unless they are to be taken ``again``.
    """
    file, here = out / "speed.json", machine(threads)
    models = sorted(result.model for result in found)
    done: Rounds = []
    if file.is_file() and not again:
        stored = json.loads(file.read_text("utf-8"))
        if stored["machine"] == here and stored["models"] == models:
            done = [one for one in stored["rounds"] if sorted(one) == models]
    if len(done) >= rounds or not models:
        return
    pipes = {result.model: seqdemo.load(out / "models" / folder_name(result.model), device="cpu") for result in found}
    while len(done) < rounds:
        turn = len(done) % len(found)
        speeds: dict[str, dict[str, float]] = {}
        for result in [*found[turn:], *found[:turn]]:
            try:
                speeds[result.model] = {
                    "training": training_speed(rule, result, data, text, threads),
                    "decoding": decoding_speed(pipes[result.model], text[:64]),
                }
            except Exception as error:  # noqa: BLE001 - a model that fails takes nothing else down
                console.print(f"{result.model} has no speed: {error}", style="red", highlight=False, markup=False)
                continue
            shown = ", ".join(f"{name} {value:,.0f}" for name, value in speeds[result.model].items())
            console.print(f"round {len(done) + 1}/{rounds}  {result.model}  tokens a second: {shown}", highlight=False)
        done.append(speeds)
        write_atomic(file, json.dumps({"machine": here, "models": models, "rounds": done}, indent=1) + "\n")


def medians(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Tokens a second by model and kind."""
    return {
        model: {kind: statistics.median(values) for kind, values in kinds.items()} for model, kinds in _by_model(rounds)
    }


def spreads(rounds: Rounds) -> dict[str, dict[str, float]]:
    """The slowest and fastest round's distance, as a share of the median."""
    return {
        model: {kind: (max(values) - min(values)) / statistics.median(values) for kind, values in kinds.items()}
        for model, kinds in _by_model(rounds)
    }


def _by_model(rounds: Rounds) -> list[tuple[str, Mapping[str, list[float]]]]:
    models = sorted({model for one in rounds for model in one})
    return [(model, {kind: [one[model][kind] for one in rounds if model in one] for kind in KINDS}) for model in models]
