"""Prompts: tokens a second that seqdemo reads before the first token is drawn, beside ``nn.LSTM.forward``, in one run.

    python tests/benchmarks/prefill.py --threads 1 --repeats 7

The networks are those of ``decode.py`` beside it. ``nn.LSTM.forward`` reads the whole prompt in one call and puts the
output layer on its last position. seqdemo reads as its engine does: in chunks, each through the stepper that serves the
pipeline in a precision (seqdemo-native's, where that is installed), from a state to a state. Both give the distribution
of the next token; how far log-probabilities are from those of the other side is in the table.

Sides take turns within a repetition; the table has medians and, in brackets, the lowest and highest, and how many times
``nn.LSTM.forward``'s rate each is.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqdemo.decoding import open_stepper, stepping
from seqdemo.decoding.generation import chunk_size

CPU = torch.device("cpu")
WHOLE = "nn.LSTM.forward"


def _neighbour(name: str) -> ModuleType:
    """Another script of this folder."""
    known = f"seqdemo_bench_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[known]


decode = _neighbour("decode")

Read = Callable[[Tensor], Tensor]
"""Ids ``(1, T)`` -> logits ``(1, V)`` after the last."""


class Measured(NamedTuple):
    """Of one size and length: tokens a second of each side by repetition, and how far its log-probabilities are off."""

    rates: dict[str, list[float]]
    off: dict[str, float]


def whole(network: Any) -> Read:
    return lambda ids: network(ids, None)[0]  # type: ignore[no-any-return]


def chunked(network: Any, precision: str) -> tuple[Read, str]:
    """What the engine does with a prompt, and by which stepper."""
    head = decode.head_of(network, precision)
    stepper, grid = open_stepper(head, 1, CPU), chunk_size(head)

    def read(ids: Tensor) -> Tensor:
        state = head.initial_state(1)
        for chunk in ids.split(grid, dim=1):
            logits, state = stepper.read(head, chunk, state, {})
        return logits

    return read, stepping(head, CPU).name


def sides_of(network: Any, precisions: list[str]) -> dict[str, Read]:
    sides = {WHOLE: whole(network)}
    for precision in precisions:
        read, name = chunked(network, precision)
        sides[f"seqdemo {precision}, {name}"] = read
    return sides


def measure(sides: dict[str, Read], length: int, repeats: int) -> Measured:
    """One length."""
    with torch.inference_mode():
        vocabulary = sides[WHOLE](torch.zeros(1, 1, dtype=torch.long)).shape[1]
    ids = torch.randint(vocabulary, (1, length), generator=torch.Generator().manual_seed(0))
    rates: dict[str, list[float]] = {name: [] for name in sides}
    with torch.inference_mode():
        found = {name: read(ids).log_softmax(1) for name, read in sides.items()}
        names = list(sides)
        for repeat in range(repeats):
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
                began = time.perf_counter()
                sides[name](ids)
                rates[name].append(length / (time.perf_counter() - began))
    return Measured(rates, {name: float((one - found[WHOLE]).abs().max()) for name, one in found.items()})


def line(size: str, length: int, name: str, measured: Measured) -> str:
    each = measured.rates[name]
    middle = statistics.median(each)
    times = middle / statistics.median(measured.rates[WHOLE])
    spread = f"[{min(each):,.0f}-{max(each):,.0f}]"
    return f"| {size} | {length:,} | {name} | {middle:,.0f} {spread} | {times:.2f} | {measured.off[name]:.0e} |"


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=list(decode.SIZES), default=["small", "medium", "large"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[16, 256, 2048], help="tokens of a prompt")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument("--threads", type=int, default=1, help="threads every side may use")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write every figure here")
    chosen = parser.parse_args(arguments)
    about = decode.versions()
    print(", ".join(f"{name} {value}" for name, value in about.items()) + f"; {chosen.threads} thread(s)")
    print(f"{chosen.repeats} repetitions, median [lowest-highest]\n")
    print(f"| size | prompt | | tokens/s | times {WHOLE} | off |\n| --- | --- | --- | --- | --- | --- |")
    results: dict[str, dict[str, Any]] = {}
    with decode.threads_of(chosen.threads):
        for size in chosen.sizes:
            torch.manual_seed(0)
            network = decode.Network(*decode.SIZES[size]).eval().requires_grad_(False)
            sides = sides_of(network, chosen.precisions)
            for length in chosen.lengths:
                measured = measure(sides, length, chosen.repeats)
                results.setdefault(size, {})[str(length)] = measured._asdict()
                for name in sides:
                    print(line(size, length, name, measured), flush=True)
    found = {"versions": about, "threads": chosen.threads, "results": results}
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), "utf-8")
    return found


if __name__ == "__main__":
    main()
