"""Many clients for a long time: the engine under requests that end, are cancelled, or are dropped without a word.

    python tests/benchmarks/soak.py --seconds 600 --clients 64

Each client asks for a text of random length, from a small set of prompts and seeds, and then reads it to its end,
cancels it at some token, drops it half read, or gives it a time-out. Checked while it runs and at its end:

- a text that ended by itself is the text of the same request alone, token for token (int8: at any occupancy; fp32 and
  bf16 with ``exact=True``);
- a text that was cut short is the beginning of that text, and what was read of it is all there;
- no row is stuck: every stream ends, and the engine has nothing to do when all clients have left;
- memory is flat: the second half needs no more than the first, within ``--growth`` MB.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import random
import sys
import threading
import time
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch

from seqdemo.decoding import Engine, Request
from seqdemo.devices import processor
from seqdemo.errors import BusyError
from seqdemo.plugin import Done, SamplingOptions, Token


def _bench() -> Any:
    """The benchmark beside this file, whose models these are."""
    spec = spec_from_file_location("seqdemo_bench_batching", Path(__file__).with_name("batching.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Soak:
    """The clients of one run, and what they found.

    Args:
        head: of the pipeline.
        exact: ask for exact streams.
        variety: how many different requests there are.
        longest: tokens of the longest text.
    """

    def __init__(self, head: Any, exact: bool, variety: int, longest: int) -> None:
        self.engine = Engine("cpu", capacity=48, waiting=64)
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._head = head
        self._exact = exact
        self._longest = longest
        self._solo = [self._ids(k, longest) for k in range(variety)]
        self._stop = threading.Event()

    def run(self, clients: int, seconds: float) -> list[float]:
        """Let clients come and go; resident memory in MB, taken ten times in each half."""
        threads = [threading.Thread(target=self._client, args=(k,), daemon=True) for k in range(clients)]
        for thread in threads:
            thread.start()
        memory = []
        for _ in range(20):
            time.sleep(seconds / 20)
            gc.collect()
            memory.append(_resident())
        self._stop.set()
        for thread in threads:
            thread.join(120)
        if any(thread.is_alive() for thread in threads):
            self.problems.append("a client waits for ever: a row is stuck")
        deadline = time.monotonic() + 60
        while self.engine.load != (0, 0) and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.05)
        if self.engine.load != (0, 0):
            self.problems.append(f"all clients have left and the engine has {self.engine.load}")
        self.engine.close()
        return memory

    def _request(self, kind: int, tokens: int, **options: Any) -> Request:
        prompt = [(kind * 7 + k) % self._head.tokenizer.vocab_size for k in range(1 + kind * 5)]
        chosen = SamplingOptions(
            max_tokens=tokens, seed=kind, top_k=40, top_p=0.95, alternatives=kind % 3, exact=self._exact, **options
        )
        return Request(self._head, prompt, chosen, anchors_every=32 * (kind % 2))

    def _ids(self, kind: int, tokens: int) -> list[int]:
        return [token.id for token in self.engine.submit(self._request(kind, tokens)).decoded().tokens]

    def _client(self, number: int) -> None:
        chance = random.Random(number)
        while not self._stop.is_set():
            try:
                self._visit(chance)
            except BusyError:
                self.counts["refused"] += 1
                time.sleep(chance.random() / 10)
            except Exception as error:  # noqa: BLE001 - every kind of trouble is what is looked for
                self.problems.append(f"{type(error).__name__}: {error}")

    def _visit(self, chance: random.Random) -> None:
        """One request, from beginning to end."""
        kind, tokens = chance.randrange(len(self._solo)), chance.randint(1, self._longest)
        manner = chance.choice(["finish", "finish", "cancel", "drop", "timeout"])
        limit = {"timeout": 0.001 + chance.random() / 2} if manner == "timeout" else {}
        leave_at = chance.randint(0, tokens) if manner in ("cancel", "drop") else -1
        stream = self.engine.submit(self._request(kind, tokens, **limit))
        ids: list[int] = []
        done: Done | None = None
        for event in stream:
            if isinstance(event, Token):
                ids.append(event.id)
            elif isinstance(event, Done):
                done = event
            if len(ids) == leave_at:
                if manner == "drop":
                    self.counts["dropped"] += 1
                    self._check(kind, ids, None, tokens)
                    return
                stream.close()
        assert done is not None
        self.counts[done.reason] += 1
        self._check(kind, ids, done, tokens)

    def _check(self, kind: int, ids: list[int], done: Done | None, tokens: int) -> None:
        if ids != self._solo[kind][: len(ids)]:
            self.problems.append(f"request {kind} left its solo run")
        if done is not None and done.usage.tokens != len(ids):
            self.problems.append(f"request {kind}: {done.usage.tokens} tokens were made and {len(ids)} read")
        if done is not None and done.reason == "length" and len(ids) != tokens:
            self.problems.append(f"request {kind} ended after {len(ids)} of {tokens} tokens")


def _resident() -> float:
    """Resident memory of this process in MB; 0 where the system does not say."""
    if not Path("/proc/self/statm").exists():
        return 0.0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(arguments: list[str] | None = None) -> int:
    """Run, print what happened; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--size", default="small")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--growth", type=float, default=20.0, help="MB the second half may need more than the first")
    parser.add_argument("--variety", type=int, default=24, help="different requests")
    parser.add_argument("--longest", type=int, default=200, help="tokens of the longest text")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    head = _bench().build(chosen.size)
    head.precision = chosen.precision
    print(
        f"{processor()}, {chosen.threads} threads; Python {platform.python_version()}, "
        f"torch {torch.__version__}; {chosen.size} {chosen.precision}, {chosen.clients} clients, {chosen.seconds:g} s"
    )
    soak = Soak(head, chosen.precision != "int8", chosen.variety, chosen.longest)
    memory = soak.run(chosen.clients, chosen.seconds)
    first, second = max(memory[:10]), max(memory[10:])
    print(f"ends: {dict(sorted(soak.counts.items()))}")
    print(f"memory: at most {first:,.1f} MB in the first half, {second:,.1f} MB in the second")
    if second - first > chosen.growth:
        soak.problems.append(f"memory grew by {second - first:,.1f} MB")
    for problem, times in Counter(soak.problems).most_common(20):
        print(f"PROBLEM ({times}x): {problem}")
    print("nothing was wrong" if not soak.problems else "see above")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
