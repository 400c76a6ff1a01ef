"""A small real pipeline for these tests: bytes and a few longer tokens, a GRU, seeded weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqdemo.decoding import Engine, Request
from seqdemo.plugin import (
    Decoded,
    RecurrentModel,
    SamplingOptions,
    StepOutput,
    TaskConfig,
    TokenHead,
    Tokenizer,
    TokenizerConfig,
)
from seqdemo.plugin import state as verbs

PIECES = [b"ab", b"abc", "é".encode(), "你好".encode(), b"\xe4\xbd", b"END", b"b.", b"a ", b"c d"]
EOS = 256 + len(PIECES)


class ToyTokenizer(Tokenizer):
    """The 256 bytes, some longer pieces, and ``eos``; encodes by byte."""

    @classmethod
    def train(cls, texts: Any, config: TokenizerConfig) -> ToyTokenizer:
        return cls()

    @classmethod
    def load(cls, folder: Path, config: TokenizerConfig) -> ToyTokenizer:
        return cls()

    def save(self, folder: Path) -> None:
        pass

    @property
    def vocab_size(self) -> int:
        return EOS + 1

    @property
    def special_tokens(self) -> dict[str, int]:
        return {"eos": EOS}

    def encode(self, text: str) -> list[int]:
        return list(self.check_text(text))

    def token_bytes(self, token: int) -> bytes:
        if token < 256:
            return bytes([token])
        return PIECES[token - 256] if token < EOS else b""


class ToyConfig(TaskConfig):
    options: ClassVar[type[SamplingOptions]] = SamplingOptions


class ToyModel(RecurrentModel):
    """Torch's GRU, whose whole-sequence form differs from stepping in the last bits."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.first = nn.Parameter(torch.randn(hidden))

    def initial_state(self, batch_size: int) -> dict[str, Tensor]:
        return {"h": self.first.detach().expand(batch_size, -1).clone()}

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        y, h = self.gru(x, state["h"].unsqueeze(0))
        return y, {"h": h[0]}


class ToyHead(TokenHead):
    """Counts how often and how much it reads."""

    def __init__(self, seed: int = 0, hidden: int = 24, stops: tuple[str, ...] = (), end: float = -6.0) -> None:
        tokenizer = ToyTokenizer()
        super().__init__(ToyConfig(), {"text": tokenizer}, None)  # type: ignore[arg-type]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(tokenizer.vocab_size, 12)
            self.decoder = ToyModel(12, hidden)
            self.output = nn.Linear(hidden, tokenizer.vocab_size)
            nn.init.normal_(self.output.weight, std=0.8)
            nn.init.constant_(self.output.bias, -4.0)
        with torch.no_grad():
            for token in [*b"abcdef .", *range(256, EOS)]:
                self.output.bias[token] = 2.0
            self.output.bias[EOS] = end
        self.stops = stops
        self.calls: list[tuple[int, int]] = []
        self.fail_after: int | None = None
        self.eval()

    @property
    def tokens_read(self) -> int:
        return sum(rows * time for rows, time in self.calls)

    @property
    def stop_texts(self) -> tuple[str, ...]:
        return self.stops

    def initial_state(self, batch_size: int) -> dict[str, Tensor]:
        state = verbs.prefixed(self.decoder.initial_state(batch_size), "decoder")
        return state | {
            "head.output": torch.zeros(batch_size, self.decoder.output_size, dtype=self.output.weight.dtype)
        }

    def prompt(self, row: Any) -> list[int]:
        return [EOS, *self.output_tokenizer.encode(row["text"])]

    def turn(self, message: str, first: bool = False, closed: bool = True) -> list[int]:
        ids = self.output_tokenizer.encode(("" if closed or first else "|") + f"<{message}>")
        return [EOS, *ids] if first else ids

    def next(self, ids: Tensor, state: Any, context: Any, lengths: Any = None, trace: bool = False) -> StepOutput:
        if ids.shape[1] == 0:
            return StepOutput(self.output(state["head.output"]).float(), dict(state), {})
        self.calls.append((ids.shape[0], ids.shape[1]))
        if self.fail_after is not None and self.tokens_read > self.fail_after:
            raise RuntimeError("this head is broken")
        y, inner = self.decoder(self.embedding(ids), verbs.unprefixed(state, "decoder"))
        after = verbs.prefixed(inner, "decoder") | {"head.output": y[:, -1]}
        return StepOutput(self.output(y[:, -1]).float(), after, {})


def ask(head: Any, text: str = "hello", **options: Any) -> Request:
    chosen = SamplingOptions(**{"max_tokens": 40, "seed": 1, **options})
    return Request(head, head.prompt({"text": text}), chosen, {"text": text}, anchors_every=32)


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Nothing takes a turn until the block ends, so that all that was asked for inside it begins together."""
    gate, inside = threading.Event(), threading.Event()
    thread = threading.Thread(target=engine.run, args=(lambda: (inside.set(), gate.wait(60)),))
    thread.start()
    assert inside.wait(60)
    yield
    gate.set()
    thread.join()


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


def resume(head: Any, stream: Any, at: int | None = None, **options: Any) -> Request:
    start = stream.snapshot if at is None else stream.anchors[at]
    return Request(head, [], SamplingOptions(**{"max_tokens": 40, "seed": 1, **options}), start=start)


def ids(decoded: Decoded) -> list[int]:
    return [token.id for token in decoded.tokens]


def session_ids(session: Any) -> list[int]:
    """Every token id from the beginning to where one stands."""
    return list(session.tree.recent(session.here, 10**9))


def read_again(session: Any) -> Any:
    """The state where one stands, by a loop of its own: messages at once, replies token by token."""
    head, state = session.head, session.head.initial_state(1)
    with torch.no_grad():
        for node, count in list(session.tree.upward(session.here))[::-1]:
            pieces = [node.ids] if node.role == "user" else [(token,) for token in node.ids[:count]]
            for piece in pieces:
                state = head.next(torch.tensor([piece]), state, {}).state
    return state
