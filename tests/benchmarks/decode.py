"""One reader: tokens a second at batch 1, seqdemo beside the loops and engines others use, in one run.

    python tests/benchmarks/decode.py --threads 1 --repeats 5

Three LSTMs with random weights: small 1x512 with 256 tokens, medium 2x1024 with 4,096, large 3x1536 with 8,192. Every
side holds the same weights and draws with the same sampler (temperature 0.8, top-k 40, top-p 0.95, alternatives off)
and the same random numbers, made ahead. ``plain`` is ``nn.Embedding``, ``nn.LSTM``, ``nn.Linear`` called once a token
in inference mode; ``plain, oneDNN off`` the same with ``torch.backends.mkldnn`` disabled, which repacks no weights and
is the best such a loop can do. Other engines are those of ``peers.py`` beside this. ``full events`` also reports
log-probability, entropy and five alternatives.

Sides take turns within a repetition, so that whatever else the machine does meets all of them; the table has medians
over repetitions and, in brackets, the lowest and highest, of tokens a second; then each side's ratio to ``seqdemo
auto``, of medians. Peers that are not installed are named; ``pip install onnx onnxruntime openvino rwkv`` has all of
them. ``--json`` has every figure.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqdemo.decoding import choose, open_stepper, stepping
from seqdemo.decoding.random import uniforms
from seqdemo.devices import processor
from seqdemo.pipeline import pipeline
from seqdemo.plugin import SamplingOptions, TokenHead

SIZES: dict[str, tuple[int, int, int]] = {
    "tiny": (1, 32, 64),
    "small": (1, 512, 256),
    "medium": (2, 1024, 4096),
    "large": (3, 1536, 8192),
}
"""Layers, hidden size (also the embedding's), vocabulary."""

USUAL = SamplingOptions(top_k=40, top_p=0.95, alternatives=0)
FULL = SamplingOptions(top_k=40, top_p=0.95, alternatives=5)

Step = Callable[[int], Any]
"""Reads a token, gives logits ``(V,)`` float32 of the next one."""


def _neighbour(name: str) -> ModuleType:
    """Another script of this folder."""
    spec = importlib.util.spec_from_file_location(f"seqdemo_bench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


peers = _neighbour("peers")


class Side(NamedTuple):
    """What is measured: how it reads a token, the options it draws by, whether torch may use oneDNN, and whether it
    computes the same network."""

    step: Step
    options: SamplingOptions
    onednn: bool = True
    same: bool = True


class Network(nn.Module):
    """The tutorials' language model."""

    def __init__(self, layers: int, hidden: int, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.lstm(self.embedding(ids), state)
        return self.output(y[:, -1]), state


def head_of(network: Network, precision: str) -> TokenHead:
    """A seqdemo pipeline with the same weights."""
    layers, hidden, vocabulary = network.lstm.num_layers, network.lstm.hidden_size, network.output.out_features
    made: Any = pipeline(
        tokenizer="char",
        tokenizer_config={"unknown": "unk"},
        texts=["".join(chr(0x4E00 + at) for at in range(vocabulary - 1))],
        model_config={"hidden_size": hidden, "num_layers": layers},
        task_config={"embedding_size": hidden},
        device="cpu",
        precision=precision,
    ).head
    with torch.no_grad():
        for name in ("embedding", "output"):
            getattr(made, name).load_state_dict(getattr(network, name).state_dict())
        made.decoder.layers.load_state_dict(network.lstm.state_dict())
    head: TokenHead = made
    return head


# --- sides -------------------------------------------------------------------------------------------------------


def plain(network: Network) -> Step:
    state: Any = None

    def step(token: int) -> Any:
        nonlocal state
        logits, state = network(torch.tensor([[token]]), state)
        return logits[0].numpy()

    return step


def ours(network: Network, precision: str) -> tuple[Step, str]:
    head = head_of(network, precision)
    stepper = open_stepper(head, 1, torch.device("cpu"))
    slot = stepper.claim()
    stepper.put(slot, head.initial_state(1), {})
    active = [slot]

    def step(token: int) -> Any:
        return stepper.step([token], active)[0].numpy()

    return step, stepping(head, torch.device("cpu")).description


# --- measuring ---------------------------------------------------------------------------------------------------


def generate(side: Side, tokens: int, numbers: list[float]) -> float:
    """Tokens a second."""
    token, step, options = 0, side.step, side.options
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=side.onednn):
        began = time.perf_counter()
        for position in range(tokens):
            token = choose(step(token), options, numbers[position]).id
        return tokens / (time.perf_counter() - began)


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sides_of(network: Network, threads: int, absent: dict[str, str]) -> dict[str, Side]:
    """Every side by name; what cannot run is added to ``absent``."""
    automatic, why = ours(network, "auto")
    print(f"  seqdemo auto: {why}", file=sys.stderr)
    sides = {"seqdemo auto": Side(automatic, USUAL), "seqdemo auto, full events": Side(ours(network, "auto")[0], FULL)}
    for precision in ("fp32", "bf16", "int8"):
        sides[f"seqdemo {precision}"] = Side(ours(network, precision)[0], USUAL)
    sides["plain nn.LSTM"] = Side(plain(network), USUAL)
    sides["plain nn.LSTM, full events"] = Side(plain(network), FULL)
    sides["plain nn.LSTM, oneDNN off"] = Side(plain(network), USUAL, onednn=False)
    for peer in peers.PEERS:
        try:
            sides[peer.name] = Side(peer.build(network, threads), USUAL, same=peer.same)
        except ImportError as error:
            absent[peer.name] = f"not installed: {error.name}"
    return sides


def agree(sides: dict[str, Side]) -> dict[str, float]:
    """The largest difference in log-probability from the plain loop, after the same four tokens, of each side that
    computes the same network."""
    found: dict[str, Tensor] = {}
    for name, side in sides.items():
        if not side.same:
            continue
        with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=side.onednn):
            for token in (1, 2, 3, 4):
                logits = side.step(token)
        found[name] = torch.log_softmax(torch.from_numpy(np.array(logits)).double(), -1)
    return {name: float((one - found["plain nn.LSTM"]).abs().max()) for name, one in found.items()}


def measure(size: str, threads: int, repeats: int, seconds: float, absent: dict[str, str]) -> dict[str, Any]:
    """Tokens a second of every side, by repetition, and how far each is from the plain loop."""
    torch.manual_seed(0)
    network = Network(*SIZES[size]).eval().requires_grad_(False)
    print(size, file=sys.stderr)
    sides = sides_of(network, threads, absent)
    off = agree(sides)
    for side in sides.values():
        generate(side, 8, uniforms(1, 0, 8))  # whoever compiles in the first calls has done so
    counts = {name: max(8, int(seconds * generate(side, 8, uniforms(1, 0, 8)))) for name, side in sides.items()}
    numbers = uniforms(2, 0, max(counts.values()))
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for repeat in range(repeats):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            speeds[name].append(generate(sides[name], counts[name], numbers))
    return {"speeds": speeds, "off": off}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
    for name in ("onnxruntime", "onnx", "openvino", "rwkv"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found | {"cpu": processor(), "cores": str(os.cpu_count())}


def table(results: dict[str, dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for result in results.values() for name in result["speeds"]))
    lines = [
        "| tokens/s, batch 1, sampled | " + " | ".join(results) + " |",
        "| --- |" + " --- |" * len(results),
    ]
    for name in names:
        cells = []
        for result in results.values():
            if name not in result["speeds"]:
                cells.append("absent")
                continue
            each, own = result["speeds"][name], statistics.median(result["speeds"]["seqdemo auto"])
            middle = statistics.median(each)
            ratio = "" if name == "seqdemo auto" else f" x{own / middle:.2f}"
            cells.append(f"{middle:,.0f} [{min(each):,.0f}-{max(each):,.0f}]{ratio}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["small", "medium", "large"])
    parser.add_argument("--threads", type=int, default=1, help="threads every side may use")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each side in each repetition, about")
    parser.add_argument("--json", type=Path, help="write every figure here")
    chosen = parser.parse_args(arguments)
    absent: dict[str, str] = {}
    warnings.filterwarnings("ignore", "TF32 acceleration")  # switching oneDNN off sets all of its flags
    with threads_of(chosen.threads):
        results = {size: measure(size, chosen.threads, chosen.repeats, chosen.seconds, absent) for size in chosen.sizes}
    about = versions()
    print(", ".join(f"{name} {value}" for name, value in about.items()) + f"; {chosen.threads} thread(s)")
    print(f"{chosen.repeats} repetitions, median [lowest-highest], xR: seqdemo auto is R times as fast\n")
    print(table(results))
    for name, why in absent.items():
        print(f"\n{name}: {why}")
    print("\nlargest difference in log-probability from the plain loop:")
    for size, result in results.items():
        print(f"  {size}: " + ", ".join(f"{name} {value:.1e}" for name, value in result["off"].items()))
    found = {"versions": about, "threads": chosen.threads, "absent": absent, "results": results}
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return found


if __name__ == "__main__":
    main()
