"""The order of calls in which torch wants a graph captured; real graphs are in ``test_graphs.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from seqdemo.builtin.steppers.capture import CudaGraphs, Eager


class Stream:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self._log = name, log

    def wait_stream(self, other: Stream) -> None:
        self._log.append(f"{self.name} waits for {other.name}")


class Graph:
    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was called, with a stand-in for each part of ``torch.cuda``; arguments are bound as torch names them."""
    log: list[str] = []
    signature = inspect.signature(torch.cuda.graph)

    @contextmanager
    def inside(name: str) -> Iterator[None]:
        log.append(f"begin {name}")
        yield
        log.append(f"end {name}")

    def graph(*arguments: Any, **options: Any) -> Any:
        given = signature.bind(*arguments, **options).arguments
        assert isinstance(given["cuda_graph"], Graph)
        return inside(f"capture in {given['pool']} on {given['stream'].name}, {given['capture_error_mode']}")

    stand_ins = {
        "CUDAGraph": Graph,
        "Stream": lambda device: Stream(f"own of {device}", log),
        "current_stream": lambda: Stream("current", log),
        "device": lambda device: inside(str(device)),
        "graph": graph,
        "graph_pool_handle": lambda: "one pool",
        "stream": lambda stream: inside(stream.name),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return log


def test_work_is_done_on_the_graphs_own_stream_and_then_captured_there(log: list[str]) -> None:
    """Each stream waits for the other; graphs share a pool; what comes back replays its own graph."""
    capture = CudaGraphs(torch.device("cuda", 1))
    for _ in range(2):
        log.clear()
        replay = capture(lambda: log.append("work"))
        assert log == [
            "begin cuda:1",
            "own of cuda:1 waits for current",
            "begin own of cuda:1",
            *["work"] * 3,
            "end own of cuda:1",
            "current waits for own of cuda:1",
            "begin capture in one pool on own of cuda:1, thread_local",
            "work",
            "end capture in one pool on own of cuda:1, thread_local",
            "end cuda:1",
        ]
        replay()
        graph: Any = replay.__self__  # type: ignore[attr-defined]
        assert graph.replays == 1


def test_uncaptured_work_is_the_work() -> None:
    """Nothing is called until it is asked for, and then the work itself."""
    done: list[int] = []
    run = Eager()(lambda: done.append(1))
    assert done == []
    run()
    assert done == [1]
