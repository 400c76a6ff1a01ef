"""The thread that does the work."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from seqdemo.decoding import Engine
from seqdemo.decoding import engine as engine_of
from seqdemo.errors import BusyError, SeqdemoError

LONG = 1_000_000


def test_a_full_engine_says_so_with_its_limit(toy: Any, head: Any) -> None:
    """Cancelled requests make room, those that wait too."""
    engine = Engine("cpu", capacity=1, waiting=2)
    streams = [engine.submit(toy.ask(head, max_tokens=LONG)) for _ in range(3)]
    with pytest.raises(BusyError, match=r"1 requests are running and 2 are waiting"):
        engine.submit(toy.ask(head))
    streams[2].close()
    assert streams[2].decoded().done.reason == "cancelled"
    streams[0].close()
    streams[1].close()
    toy.wait_until(lambda: engine.load == (0, 0))
    assert engine.submit(toy.ask(head)).decoded().done.reason == "length"
    engine.close()
    with pytest.raises(SeqdemoError, match="closed"):
        engine.submit(toy.ask(head))


def test_closing_an_engine_ends_its_streams(toy: Any, head: Any) -> None:
    """Their readers are not left waiting."""
    engine = Engine("cpu")
    stream = engine.submit(toy.ask(head, max_tokens=LONG))
    engine.close()
    assert stream.decoded().done.reason == "cancelled"


def test_one_thread_serves_everything(toy: Any, head: Any) -> None:
    """Threads do not grow with requests, and none is started before the first."""
    engine = Engine("cpu")
    before = threading.active_count()
    for _ in range(3):
        for stream in [engine.submit(toy.ask(head, max_tokens=5)) for _ in range(4)]:
            stream.decoded()
        assert threading.active_count() == before + 1
    engine.close()
    assert threading.active_count() == before


def test_jobs_run_in_the_owner_thread(engine: Engine) -> None:
    """Their results and errors come back; a job may ask for another."""
    name = engine.run(lambda: engine.run(lambda: threading.current_thread().name))
    assert name == "seqdemo-engine-cpu"
    assert engine.run(torch.is_inference_mode_enabled)
    with pytest.raises(ZeroDivisionError):
        engine.run(lambda: 1 // 0)
    assert engine.run(lambda: 5) == 5


def test_no_other_thread_notices_inference_mode(toy: Any, head: Any, engine: Engine) -> None:
    """Gradients work beside a stream, and on what it leaves behind."""
    with engine.submit(toy.ask(head, max_tokens=LONG)) as stream:
        next(stream)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        weight = torch.ones(3, requires_grad=True)
        (weight * 2).sum().backward()
        assert weight.grad is not None
    stream.decoded()
    state = stream.snapshot.state
    assert not any(tensor.is_inference() for tensor in state.values())
    out = head.next(torch.tensor([[65]]), state, {})
    out.logits.sum().backward()
    assert head.output.weight.grad is not None


def test_a_reader_that_is_slow_blocks_nobody(toy: Any, head: Any, engine: Engine) -> None:
    """All events are made though none is read."""
    stream = engine.submit(toy.ask(head, max_tokens=50))
    toy.wait_until(lambda: engine.load == (0, 0))
    assert len(stream.decoded().tokens) == 50


def test_there_is_one_engine_for_a_device() -> None:
    """Whoever asks gets the same one."""
    assert engine_of("cpu") is engine_of(torch.device("cpu"))


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(0)", "threading.Thread(target=lambda: next(s)).start()"])
def test_the_interpreter_exits_cleanly_while_streams_run(ending: str) -> None:
    """No hang, no message, status 0."""
    program = f"""
        import sys, threading
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import toy
        from seqdemo.decoding import Request, engine
        from seqdemo.plugin import SamplingOptions
        head = toy.ToyHead()
        s = engine("cpu").submit(Request(head, [65], SamplingOptions(max_tokens=1_000_000)))
        next(s), next(s)
        {ending}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_child_has_an_engine_of_its_own(toy: Any) -> None:
    """It does not wait for its parent's thread."""
    program = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch
        torch.set_num_threads(1)
        import toy
        from seqdemo.decoding import Request, engine
        from seqdemo.plugin import SamplingOptions
        head = toy.ToyHead()
        again = lambda: engine("cpu").submit(Request(head, [65], SamplingOptions(max_tokens=5, seed=1))).decoded().text
        text, child = again(), os.fork()
        if child == 0:
            os._exit(0 if again() == text else 3)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=120, check=False)
    assert done.returncode == 0
