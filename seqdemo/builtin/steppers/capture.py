"""Work on memory that stays where it is, made ready to be done again and again."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Protocol

import torch

__all__ = ["Capture", "CudaGraphs", "Eager", "Work"]

Work = Callable[[], None]
"""Reads and writes the same tensors each time, and decides nothing by what is in them."""

_WARM = 3
"""Times that work is done before it is captured: libraries set themselves up in the first calls."""

_capturing = Lock()


class Capture(Protocol):
    """Makes work ready; what it gives is called in place of the work."""

    def __call__(self, work: Work) -> Work: ...


class Eager:
    """Calls the work itself."""

    def __call__(self, work: Work) -> Work:
        return work


class CudaGraphs:
    """Captures work in CUDA graphs, which the GPU runs without the CPU launching each kernel.

    Graphs of one instance share the memory of their inner values, so only one of them may run at a time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Work) -> Work:
        """Capture the work, having done it a few times.

        Raises:
            RuntimeError: the work does what a graph cannot hold, such as waiting for the GPU; or memory is lacking.
        """
        with _capturing, torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM):
                    work()
            current.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU meanwhile: only this one is held to what a capture allows.
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                work()
        return graph.replay
