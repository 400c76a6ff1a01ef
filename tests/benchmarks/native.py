"""seqdemo-native beside seqdemo's own steppers, a plain loop and ONNX Runtime: one reader, in one run.

    pip install plugins/seqdemo-native/
    python tests/benchmarks/native.py --threads 2 --repeats 5

The networks, peers, sampler and random numbers are those of ``decode.py`` beside it. ``native, run`` draws within the
library, 32 tokens at a time as seqdemo's engine does between two snapshots; ``native, step`` draws outside, as all
others do. ``full events`` also gives log-probability, entropy and five alternatives. ``native, engine`` is
``generate`` of the whole product: texts, events and snapshots included.

The floor is the time it takes to read as many bytes as a token's weights have, by the same threads, in a loop that does
nothing else; native figures have their share of the rate that it allows beside them, and every side its ratio to ONNX
Runtime int8, where that is installed, and to the plain loop with oneDNN off. Sides take turns within a repetition; the
table has medians and, in brackets, the lowest and highest.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from seqdemo_native.library import level, library, pointer
from seqdemo_native.stepper import THREADS_VARIABLE, NativePrepared

from seqdemo.builtin.steppers.recurrent import RecurrentPrepared
from seqdemo.decoding import Engine, Request, uniform
from seqdemo.plugin import Prepared, RunRow, SamplingOptions, TokenHead

CPU = torch.device("cpu")
RUN = 32
"""Tokens of a run: those between two snapshots of a reply."""

BARE = "plain nn.LSTM, oneDNN off"

Rate = Callable[[int], float]
"""Makes about so many tokens, gives tokens a second."""


def _neighbour(name: str) -> ModuleType:
    """Another benchmark of this folder."""
    known = f"seqdemo_bench_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]


decode = _neighbour("decode")


def running(prepared: Prepared, head: TokenHead, options: SamplingOptions) -> Rate:
    """Runs of the native stepper."""
    stepper = prepared.stepper(head, 1)
    stepper.put(0, head.initial_state(1), {})
    logits = stepper.step([0], [0]).numpy().copy()
    position = 0

    def rate(tokens: int) -> float:
        nonlocal logits, position
        began, end = time.perf_counter(), position + max(tokens, RUN)
        before = position
        while position < end:
            ran = stepper.run(RUN, [RunRow(0, options, 2, position, ())], logits, (), ())
            logits, position = ran.logits.numpy(), position + len(ran.ids)
        return (position - before) / (time.perf_counter() - began)

    return rate


def stepping(prepared: Prepared, head: TokenHead, options: SamplingOptions) -> Rate:
    """Steps of a stepper, drawn from outside."""
    stepper = prepared.stepper(head, 1)
    stepper.put(0, head.initial_state(1), {})
    active = [0]
    return drawn_outside(decode.Side(lambda token: stepper.step([token], active)[0].numpy(), options))


def drawn_outside(side: Any) -> Rate:
    numbers = [uniform(2, position) for position in range(4096)]

    def rate(tokens: int) -> float:
        # Every side is as long at it; numbers made ahead cost none of them anything.
        found: float = decode.generate(side, min(tokens, len(numbers)), numbers)
        return found

    return rate


def through_engine(head: TokenHead, options: SamplingOptions) -> Rate:
    """One request of the engine, read event by event at its end."""
    engine = Engine("cpu")

    def rate(tokens: int) -> float:
        chosen = options.model_copy(update={"max_tokens": max(tokens, RUN), "seed": 2})
        began = time.perf_counter()
        stream = engine.submit(Request(head, [0], chosen, {"text": ""}, anchors_every=RUN))
        made = stream.decoded().done.usage.tokens
        return made / (time.perf_counter() - began)

    return rate


def floor(count: int, width: int, threads: int, seconds: float) -> float:
    """Times a second that the weights of a token, ``count`` of ``width`` bytes, can be read."""
    memory = np.ones(count * width, dtype=np.int8)
    name = level().encode()

    def read(times: int) -> float:
        began = time.perf_counter()
        library().try_read(name, pointer(memory), memory.nbytes, threads, times)
        return time.perf_counter() - began

    read(1)
    times = max(4, int(seconds / max(read(4) / 4, 1e-7)))
    return times / read(times)


def sides_of(network: Any, threads: int, absent: dict[str, str]) -> dict[str, Rate]:
    """Every side by name; what cannot run is added to ``absent``."""
    usual, full = decode.USUAL, decode.FULL
    sides: dict[str, Rate] = {}
    for precision in ("fp32", "int8"):
        head = decode.head_of(network, precision)
        native = NativePrepared(head, CPU, precision)
        print(f"  native {precision}: {native.description}", file=sys.stderr)
        sides[f"native {precision}, run"] = running(native, head, usual)
        sides[f"native {precision}, run, full events"] = running(native, head, full)
        sides[f"native {precision}, step"] = stepping(native, head, usual)
        sides[f"native {precision}, engine"] = through_engine(head, usual)
    for precision in ("fp32", "bf16", "int8"):
        head = decode.head_of(network, precision)
        sides[f"seqdemo {precision}"] = stepping(RecurrentPrepared(head, CPU, precision), head, usual)
    sides["plain nn.LSTM"] = drawn_outside(decode.Side(decode.plain(network), usual))
    sides[BARE] = drawn_outside(decode.Side(decode.plain(network), usual, onednn=False))
    for name, integers in (("ONNX Runtime fp32", False), ("ONNX Runtime int8", True)):
        try:
            sides[name] = drawn_outside(decode.Side(decode.peers.onnx_runtime(network, threads, integers), usual))
        except ImportError as error:
            absent[name] = f"not installed: {error.name}"
    return sides


def measure(size: str, threads: int, repeats: int, seconds: float, absent: dict[str, str]) -> dict[str, Any]:
    """Tokens a second of every side and the floors, by repetition."""
    torch.manual_seed(0)
    network = decode.Network(*decode.SIZES[size]).eval().requires_grad_(False)
    print(size, file=sys.stderr)
    sides = sides_of(network, threads, absent)
    # The first layer's input weights lie in the table: a token reads one row of it.
    hidden = network.lstm.hidden_size
    weights = sum(p.numel() for name, p in network.lstm.named_parameters() if "weight" in name)
    weights += network.output.weight.numel() - 4 * hidden * hidden
    floors = {f"floor {name}": width for name, width in (("fp32", 4), ("int8", 1))}
    counts = {name: max(8, int(seconds * rate(8))) for name, rate in sides.items()}
    speeds: dict[str, list[float]] = {name: [] for name in (*sides, *floors)}
    names = list(speeds)
    for repeat in range(repeats):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            found = floor(weights, floors[name], threads, seconds) if name in floors else sides[name](counts[name])
            speeds[name].append(found)
    return {"speeds": speeds, "weights": weights}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Medians with spread; of each side, its ratios and its share of the floor of its width."""
    names = list(dict.fromkeys(name for result in results.values() for name in result["speeds"]))
    lines = ["| tokens/s, batch 1, sampled | " + " | ".join(results) + " |", "| --- |" + " --- |" * len(results)]
    for name in names:
        cells = []
        for result in results.values():
            speeds = {side: statistics.median(each) for side, each in result["speeds"].items()}
            each = result["speeds"][name]
            cell = f"{speeds[name]:,.0f} [{min(each):,.0f}-{max(each):,.0f}]"
            if "floor" not in name:
                against = [one for one in ("ONNX Runtime int8", BARE) if one in speeds]
                cell += "".join(f" x{speeds[name] / speeds[one]:.2f}" for one in against)
            if name.startswith("native"):
                width = "int8" if "int8" in name else "fp32"
                cell += f", {speeds[name] / speeds[f'floor {width}']:.2f} of the floor"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=list(decode.SIZES), default=["small", "medium", "large"])
    parser.add_argument("--threads", type=int, default=2, help="threads every side may use")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each side in each repetition, about")
    parser.add_argument("--force", action="store_true", help="native uses all threads, whatever its own choice were")
    parser.add_argument("--json", type=Path, help="write every figure here")
    chosen = parser.parse_args(arguments)
    absent: dict[str, str] = {}
    warnings.filterwarnings("ignore", "TF32 acceleration")  # switching oneDNN off sets all of its flags
    if chosen.force:
        os.environ[THREADS_VARIABLE] = str(chosen.threads)
    with decode.threads_of(chosen.threads):
        results = {size: measure(size, chosen.threads, chosen.repeats, chosen.seconds, absent) for size in chosen.sizes}
    about = decode.versions() | {"level": level()}
    print(", ".join(f"{name} {value}" for name, value in about.items()) + f"; {chosen.threads} thread(s)")
    print(f"{chosen.repeats} repetitions, median [lowest-highest], xR: R times ONNX Runtime int8, {BARE}\n")
    print(table(results))
    for name, why in absent.items():
        print(f"\n{name}: {why}")
    found = {"versions": about, "threads": chosen.threads, "absent": absent, "results": results}
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
