"""What a machine gives for a checkpoint: tokens a second by precision and number of streams, beside a floor.

The floor is how fast the weights can be read: a step reads every weight once, whatever else it does, and serves all
streams that share it. It is measured by reading memory of the weights' own size, so weights that fit a cache are
compared with that cache.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from .decoding import PRECISIONS, engine
from .devices import processor
from .errors import ConfigError
from .pipeline import Pipeline, load
from .plugin import Token, TokenHead

__all__ = ["Bench", "Row", "bench"]

_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
_SAMPLING: dict[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "alternatives": 0}
_FIRST_TOKENS = 15
_CALIBRATION = 48
_LEAST_READ = 1 << 28


@dataclass(frozen=True, slots=True)
class Row:
    """One precision with one number of streams.

    Attributes:
        precision: of the arithmetic.
        stepper: registered name of what made the tokens.
        streams: generated side by side.
        tokens_per_second: of all streams together, the median of the repetitions.
        lowest, highest: of the repetitions.
        first_token_ms: median milliseconds from asking to the first token of one stream.
        floor: tokens a second if nothing but reading the weights took time.
    """

    precision: str
    stepper: str
    streams: int
    tokens_per_second: float
    lowest: float
    highest: float
    first_token_ms: float
    floor: float

    @property
    def share(self) -> float:
        """Of the floor that was reached."""
        return self.tokens_per_second / self.floor


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured.

    Attributes:
        checkpoint: its name.
        machine: processor, versions and threads.
        parameters: of the pipeline.
        state_bytes: of one stream.
        rows: by precision, then by number of streams.
    """

    checkpoint: str
    machine: dict[str, str]
    parameters: int
    state_bytes: int
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        rows = [{**asdict(row), "share": row.share} for row in self.rows]
        return {**asdict(self), "rows": rows}


def bench(
    checkpoint: str | Path,
    *,
    streams: Sequence[int] = (1, 8, 32),
    precisions: Sequence[str] | None = None,
    seconds: float = 1.0,
    repeats: int = 3,
    device: str = "auto",
    heard: Callable[[str], None] | None = None,
) -> Bench:
    """Measure a checkpoint here, with top-k and top-p sampling. Nothing else should run meanwhile.

    Args:
        streams: how many side by side.
        precisions: which; all that can be had for this checkpoint when None.
        seconds: of each measurement, about.
        repeats: of each measurement.
        heard: is told what is being measured.

    Raises:
        ConfigError: it emits no tokens, or a precision is not to be had.
        UnknownNameError, CheckpointError: there is no such checkpoint.
    """
    if min(streams, default=0) < 1 or repeats < 1 or not 0 < seconds <= 3600:
        raise ConfigError("streams and repeats are whole numbers from 1, seconds between 0 and 3600.")
    tell = heard or (lambda _: None)
    tell(f"loading {checkpoint}")
    found: Pipeline | None = None
    rows: list[Row] = []
    for precision in precisions or [one for one in PRECISIONS if one != "auto"]:
        try:
            pipe = load(checkpoint, device=device, precision=precision)
        except ConfigError:
            if precisions is not None:
                raise
            continue
        found = pipe
        tell(f"{precision}, reading the weights")
        floor = _reads_per_second(_weight_bytes(pipe, precision), pipe.device)
        for many in streams:
            tell(f"{precision}, {many} stream{'s' * (many > 1)}")
            rows.append(_row(pipe, precision, many, seconds, repeats, many * floor))
    if found is None:
        raise ConfigError(f"{checkpoint} can be stepped in none of: {', '.join(_BYTES)}.")
    return Bench(found.name, _machine(found), found.parameters, found.state_bytes, tuple(rows))


def _row(pipe: Pipeline, precision: str, streams: int, seconds: float, repeats: int, floor: float) -> Row:
    first = [_first_token(pipe) for _ in range(_FIRST_TOKENS)]
    speed = _run(pipe, streams, _CALIBRATION)
    tokens = max(_CALIBRATION, round(seconds * speed / streams))
    speeds = [_run(pipe, streams, tokens) for _ in range(repeats)]
    return Row(
        precision,
        pipe.stepper.name,
        streams,
        statistics.median(speeds),
        min(speeds),
        max(speeds),
        1e3 * statistics.median(first),
        floor,
    )


def _first_token(pipe: Pipeline) -> float:
    began = time.perf_counter()
    with pipe.stream("", max_tokens=1, seed=0, **_SAMPLING) as stream:
        next(event for event in stream if isinstance(event, Token))
        return time.perf_counter() - began


def _run(pipe: Pipeline, streams: int, tokens: int) -> float:
    """Tokens a second of so many streams; one that ended early is begun again, so that all run all the time."""
    made, wanted = 0, tokens * streams
    began = time.perf_counter()
    seeds = iter(range(1, 1 << 31))
    # The engine refuses more than it can queue, so they are begun in rounds.
    room = min(streams, engine(pipe.device).capacity)
    while made < wanted:
        share = max(1, min(tokens, -(-(wanted - made) // room)))
        running = [pipe.stream("", max_tokens=share, seed=seed, **_SAMPLING) for seed in islice(seeds, room)]
        made += sum(stream.decoded().done.usage.tokens for stream in running) or 1
    return made / (time.perf_counter() - began)


def _weight_bytes(pipe: Pipeline, precision: str) -> int:
    """Bytes of the matrices that a step multiplies by: as its stepper says, or all but an embedding that only looks
    rows up."""
    known = pipe.stepper.reads
    if known is not None:
        return max(1, known) * _BYTES[precision]
    head = pipe.head
    assert isinstance(head, TokenHead)
    looked_up = {id(module.weight) for module in head.modules() if isinstance(module, torch.nn.Embedding)}
    tied = {id(module.weight) for module in head.modules() if isinstance(module, torch.nn.Linear)}
    matrices = [p for p in head.parameters() if p.dim() >= 2 and id(p) not in looked_up - tied]
    return max(1, sum(p.numel() for p in matrices)) * _BYTES[precision]


def _reads_per_second(nbytes: int, device: torch.device) -> float:
    """How often memory of this size can be read in a second, by the fastest of a few tries of two ways."""
    block = torch.ones(max(nbytes // 4, 1), device=device)
    rounds = max(1, _LEAST_READ // (4 * block.numel()))

    def read(way: Callable[[], torch.Tensor]) -> float:
        began = time.perf_counter()
        for _ in range(rounds):
            found = way()
        found.item()
        return (time.perf_counter() - began) / rounds

    # A dot product computes for longer than it reads what lies in a cache.
    ways = (block.sum, block.amax)
    return 1.0 / min(read(way) for way in ways * 5)


def _machine(pipe: Pipeline) -> dict[str, str]:
    name = torch.cuda.get_device_name(pipe.device) if pipe.device.type == "cuda" else processor()
    return {
        "device": name,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
