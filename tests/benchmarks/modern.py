"""Reading a sequence at once against reading it step by step, and training beside ``nn.GRU``, in one run.

    pip install ./plugins/seqdemo-modern
    python tests/benchmarks/modern.py --threads 2 --repeats 5

First table: each model reads ``--length`` positions from its initial state, once through ``forward`` and once by
calling ``step`` as often, without gradients, batch 1, one layer. ``speedup`` is the median of the steps over the
median of ``forward``. How far the two outputs are apart is printed beside it.

Second table: forward, backward and an AdamW step at length ``--train-length``, for ``nn.GRU`` of one layer and for
layers of equal width, at each batch size.

``mingru cell`` is the bare recurrent layer, that is, what ``nn.GRU`` is; the registered models hold more beside it
(norms, a convolution, an MLP), as their configs say.

Sides take turns within each repetition, every other repetition backwards, and the first one is thrown away. Spreads are
the fastest and the slowest repetition. Models that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqdemo.devices import processor
from seqdemo.manager import manager
from seqdemo.plugin import RecurrentModel, build_model

MODELS = ("mingru", "minlstm", "sru", "qrnn", "rg-lru", "lru", "slstm", "mlstm", "mamba")
CELL = "mingru cell"


def built(name: str, width: int) -> RecurrentModel:
    """A registered model of one layer, as its config's defaults make it, on vectors of its own width; or a cell."""
    if name == CELL:
        from seqdemo_modern.mingru import MinGRUCell

        return MinGRUCell(width, width)
    schema: Any = manager().config_class("models", name)
    config = schema(hidden_size=width, num_layers=1)
    return build_model(manager().implementation("models", name), config, width)


def with_cell(names: list[str]) -> list[str]:
    """minGRU's bare layer too, where minGRU is asked for."""
    return [CELL, *names] if "mingru" in names else names


def stepped(model: RecurrentModel, x: Tensor) -> Tensor:
    """``(B, T, I)`` -> ``(B, T, O)``, one position at a time."""
    state = model.initial_state(x.shape[0])
    outputs = []
    for position in x.unbind(1):
        y, state = model.step(position, state)
        outputs.append(y)
    return torch.stack(outputs, 1)


def training(model: nn.Module, batch: int, length: int, width: int) -> Callable[[], None]:
    """One training step on random vectors."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    x = torch.randn(batch, length, width)

    def step() -> None:
        optimizer.zero_grad()
        model(x)[0].square().mean().backward()
        optimizer.step()

    return step


def timed(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every side in every repetition."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(-1, repeats):
        for name in list(sides)[:: -1 if repeat % 2 else 1]:
            began = time.perf_counter()
            sides[name]()
            if repeat >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def reading(names: list[str], width: int, length: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each model: ``forward`` against ``step``."""
    rows = []
    for name in names:
        torch.manual_seed(0)
        model, x = built(name, width).eval(), torch.randn(1, length, width)
        with torch.inference_mode():
            apart = (model(x)[0] - stepped(model, x)).abs().max().item()

            def whole(model: RecurrentModel = model, x: Tensor = x) -> Tensor:
                y: Tensor = model(x)[0]
                return y

            def steps(model: RecurrentModel = model, x: Tensor = x) -> Tensor:
                return stepped(model, x)

            seconds = timed({"forward": whole, "step": steps}, repeats)
        medians = {side: statistics.median(found) for side, found in seconds.items()}
        rows.append({"model": name, **medians, "speedup": medians["step"] / medians["forward"], "apart": apart})
        print(
            f"{name:14}{medians['forward'] * 1e3:10.2f}{spread(seconds['forward']):>18}{medians['step'] * 1e3:10.1f}"
            f"{spread(seconds['step']):>18}{rows[-1]['speedup']:9.1f}{apart:10.1e}",
            flush=True,
        )
    return rows


def beside_gru(names: list[str], width: int, length: int, batch: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each layer: training tokens a second at one batch size."""
    torch.manual_seed(0)
    models: dict[str, nn.Module] = {"nn.GRU": nn.GRU(width, width, batch_first=True)}
    models |= {name: built(name, width) for name in with_cell(names)}
    seconds = timed({name: training(model, batch, length, width) for name, model in models.items()}, repeats)
    rows = []
    base = statistics.median(seconds["nn.GRU"])
    for name, found in seconds.items():
        rate = batch * length / statistics.median(found)
        parameters = sum(parameter.numel() for parameter in models[name].parameters())
        ratio = base / statistics.median(found)
        rows.append(
            {"model": name, "batch": batch, "parameters": parameters, "tokens_per_second": rate, "speedup": ratio}
        )
        print(f"{name:14}{batch:6}{parameters:12,}{rate:14,.0f}{spread(found):>20}{ratio:9.1f}", flush=True)
    return rows


def spread(seconds: list[float]) -> str:
    """Fastest and slowest, in milliseconds."""
    return f"{min(seconds) * 1e3:.1f}-{max(seconds) * 1e3:.1f}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--width", type=int, default=256, help="hidden size and input size")
    parser.add_argument("--length", type=int, default=4096, help="positions read in the first table")
    parser.add_argument("--train-length", type=int, default=1024, help="positions read in the second table")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8], help="batch sizes of the second table")
    parser.add_argument("--train-models", nargs="*", default=["mingru"], help="registered models of the second table")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write every row to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    known = manager().records("models")
    names = [name for name in options.models if name in known]
    about = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": processor(),
        "threads": options.threads,
        "repeats": options.repeats,
        "width": options.width,
    }
    print("  ".join(f"{name} {value}" for name, value in about.items()))
    absent = sorted(set(options.models) - set(names))
    if absent:
        print(f"not installed: {', '.join(absent)}" + ("" if find_spec("seqdemo_modern") else " (seqdemo-modern)"))
    print(f"\nreading {options.length:,} positions, batch 1, milliseconds")
    print(f"{'model':14}{'forward':>10}{'spread':>18}{'steps':>10}{'spread':>18}{'speedup':>9}{'apart':>10}")
    rows = reading(with_cell(names), options.width, options.length, options.repeats)
    print(f"\ntraining at length {options.train_length:,}; milliseconds a step in the spread")
    print(f"{'model':14}{'batch':>6}{'parameters':>12}{'tokens/s':>14}{'spread':>20}{'x nn.GRU':>9}")
    trained = [name for name in options.train_models if name in known]
    for batch in options.batches:
        rows += beside_gru(trained, options.width, options.train_length, batch, options.repeats)
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
