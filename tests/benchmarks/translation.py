"""Sentences a second, greedy and by beam search, beside a textbook loop over sentences on the same weights.

    python tests/benchmarks/translation.py --checkpoint runs/multi30k --data out/multi30k-de-en/test.jsonl

The textbook reads and writes one sentence after another, and of a beam one hypothesis after another, as an introduction
to the subject does: ``nn.LSTM`` called for one token at a time, ``log_softmax``, a Python list of hypotheses. It knows
the same rules (what is forbidden, the limit, the length penalty), so both sides should print the same texts; how many
do is in the table. Both run in one process on the same threads and take turns; medians over the rounds.

With ``--peer PYTHON``, a Python that has JoeyNMT installed, a translator of JoeyNMT with as many weights takes turns
too (``joey.py`` beside this). Its weights are random, and each of its translations is made to be as long as ours.

        python -m venv peer && peer/bin/pip install joeynmt
        python tests/benchmarks/translation.py --checkpoint translate-en-fr --data test.jsonl --peer peer/bin/python

Without ``--checkpoint`` weights are random and sentences run to their limit: good for trying the script out only.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import seqdemo
from seqdemo.builtin.translation.config import TranslationOptions
from seqdemo.devices import processor
from seqdemo.plugin import Tokenizer

Memory = tuple[Tensor, Tensor]
Cells = tuple[Any, Any]


class Textbook:
    """The same network, called the plain way. The models must be LSTMs of one layer, attention by dot product."""

    def __init__(self, head: Any) -> None:
        self.head = head
        self.both: list[tuple[nn.LSTM, nn.LSTM]] = [(one.ahead.layers, one.back.layers) for one in head.encoder.layers]
        self.decoder, self.refiner = head.decoder.layers, head.refiner.layers
        self.source: Tokenizer = head.source_tokenizer
        self.target: Tokenizer = head.target_tokenizer
        self.table = head.embedding if head.source_embedding is None else head.source_embedding
        special = self.target.special_tokens
        self.end = special["eos"]
        self.begin = special.get("bos", self.end)
        self.forbidden = sorted(head.forbidden_ids)

    def encode(self, text: str) -> tuple[Memory, int]:
        """Memory and keys ``(1, S, M)``, ``(1, S, A)``; source tokens without the end."""
        ids = [*self.source.encode(text), self.source.special_tokens["eos"]]
        x = self.table(torch.tensor([ids]))
        for ahead, back in self.both:
            x = torch.cat([ahead(x)[0], back(x.flip(1))[0].flip(1)], 2)
        return (x, self.head.attention.key(x)), len(ids) - 1

    def step(self, token: int, cells: Cells, memory: Memory) -> tuple[Tensor, Cells]:
        """Log-probabilities ``(V,)`` after one more token."""
        y, first = self.decoder(self.head.embedding(torch.tensor([[token]])), cells[0])
        scores = self.head.attention.query(y) @ memory[1].transpose(1, 2) / memory[1].shape[2] ** 0.5
        mean = torch.softmax(scores, -1) @ memory[0]
        z, second = self.refiner(torch.cat([y, mean], 2), cells[1])
        vector = torch.tanh(self.head.combine(torch.cat([z, mean], 2)))
        logits = vector[0, 0] @ self.head.embedding.weight.T + self.head.bias
        logprobs = torch.log_softmax(logits, 0)
        logprobs[self.forbidden] = -torch.inf
        return logprobs, (first, second)

    def limit(self, length: int, options: TranslationOptions) -> int:
        return min(options.max_tokens, int(options.max_ratio * length) + 10)

    def greedy(self, text: str, options: TranslationOptions) -> str:
        """The likeliest token each time."""
        memory, length = self.encode(text)
        ids: list[int] = []
        token, cells = self.begin, (None, None)
        while len(ids) < self.limit(length, options):
            logprobs, cells = self.step(token, cells, memory)
            token = int(logprobs.argmax())
            if token == self.end:
                break
            ids.append(token)
        return self.target.decode(ids)

    def beam(self, text: str, options: TranslationOptions) -> str:
        """The best of ``beam_size`` hypotheses, by log-probability over the length penalty."""
        memory, length = self.encode(text)
        alive: list[tuple[float, list[int], Cells]] = [(0.0, [], (None, None))]
        ended: list[tuple[float, list[int]]] = []
        for size in range(1, self.limit(length, options) + 1):
            grown: list[tuple[float, list[int], Cells]] = []
            for logprob, ids, cells in alive:
                logprobs, after = self.step(ids[-1] if ids else self.begin, cells, memory)
                best = logprobs.topk(options.beam_size)
                for value, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                    grown.append((logprob + value, [*ids, token], after))
            grown.sort(key=lambda one: one[0], reverse=True)
            alive_next = []
            for one in grown[: options.beam_size - len(ended)]:
                if one[1][-1] == self.end:
                    ended.append((one[0] / ((5 + size) / 6) ** options.length_penalty, one[1][:-1]))
                else:
                    alive_next.append(one)
            alive = alive_next
            if not alive:
                break
        best_ids = max(ended)[1] if ended else alive[0][1]
        return self.target.decode(best_ids)


def sentences(data: Path | None, count: int) -> list[str]:
    """Sources of a file of rows, or made up."""
    if data is None:
        return [" ".join(f"word{(place * 7 + n) % 50}" for n in range(3 + place % 4)) for place in range(count)]
    lines = data.read_text("utf-8").splitlines()[:count]
    return [str(json.loads(line)["source"]) for line in lines]


def fresh() -> seqdemo.Pipeline:
    """A small translator that has learned nothing."""
    return seqdemo.pipeline(
        "translation",
        tokenizer_config={"end_token": True},
        model_config={"hidden_size": 16},
        task_config={"embedding_size": 16, "attention_size": 8},
        device="cpu",
    )


def timed(work: Callable[[], list[str]]) -> tuple[float, list[str]]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


class Joey:
    """JoeyNMT in a process of its own."""

    def __init__(self, python: str, pipe: seqdemo.Pipeline, texts: Sequence[str], threads: int) -> None:
        head: Any = pipe.head
        size, end = head.source_tokenizer.vocab_size, head.source_tokenizer.special_tokens["eos"]
        # Its first four ids are its own.
        sources = [[max(one, 4) for one in (*head.source_tokenizer.encode(text), end)] for text in texts]
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("joey.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        given = {"weights": pipe.parameters, "vocabulary": size, "threads": threads, "sources": sources}
        self.about = self._ask(given)

    def seconds(self, beam: int, lengths: Sequence[int]) -> float:
        return float(self._ask({"beam": beam, "lengths": lengths})["seconds"])

    def _ask(self, given: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(given)}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


def translations(pipe: seqdemo.Pipeline, texts: Sequence[str], beam: int, given: dict[str, Any]) -> list[str]:
    return [str(one) for one in pipe.predict(list(texts), **given, beam_size=beam)]


def compare(pipe: seqdemo.Pipeline, texts: Sequence[str], beam: int, rounds: int, given: dict[str, Any]) -> str:
    """One row of the table."""
    book, options = Textbook(pipe.head), TranslationOptions(**given, beam_size=beam)
    plain = book.greedy if beam == 1 else book.beam

    def textbook() -> list[str]:
        with torch.inference_mode():
            return [plain(text, options) for text in texts]

    searched = partial(translations, pipe, texts, beam, given)
    pipe.predict(list(texts[:4]), **given, beam_size=beam)
    seconds: tuple[list[float], list[float]] = ([], [])
    outputs: list[list[str]] = [[], []]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            took, outputs[side] = timed((textbook, searched)[side])
            seconds[side].append(took)
    one, other = (len(texts) / statistics.median(each) for each in seconds)
    same = sum(a == b for a, b in zip(*outputs, strict=True))
    return f"{beam:5}{one:15.2f}{other:15.2f}{other / one:9.1f}{same:9} of {len(texts)}"


def beside(pipe: seqdemo.Pipeline, texts: Sequence[str], options: argparse.Namespace) -> None:
    """Print the table with the peer."""
    peer = Joey(options.peer, pipe, texts, options.threads)
    name = peer.about["name"]
    print(f"\n{name}, torch {peer.about['torch']}, {peer.about['weights']:,} parameters of its own kind, fp32")
    print(f"{'beam':>5}{name + ' /s':>19}{'seqdemo /s':>15}{'times':>9}")
    for beam in options.beams:
        given = {"max_tokens": options.max_tokens, "beam_size": beam}
        lengths = [len(one.target_tokens) + 1 for one in pipe.predict(list(texts), **given)]
        peer.seconds(beam, lengths)
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(options.rounds):
            seconds[0].append(peer.seconds(beam, lengths))
            seconds[1].append(timed(partial(translations, pipe, texts, beam, {"max_tokens": options.max_tokens}))[0])
        one, other = (len(texts) / statistics.median(each) for each in seconds)
        print(f"{beam:5}{one:19.2f}{other:15.2f}{other / one:9.1f}")
    peer.close()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a translator of LSTMs")
    parser.add_argument("--data", type=Path, help="rows with sources, .jsonl")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--precision", default="auto", help="what seqdemo computes in")
    parser.add_argument("--peer", help="a Python that has JoeyNMT")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pipe = (
        seqdemo.load(options.checkpoint, device="cpu", precision=options.precision) if options.checkpoint else fresh()
    )
    texts = sentences(options.data, options.sentences)
    print(
        f"python {platform.python_version()}  torch {torch.__version__}  machine {processor()}  threads "
        f"{options.threads}  rounds {options.rounds}  {pipe.parameters:,} parameters, {pipe.stepper.precision} by "
        f"{pipe.stepper.name!r}"
    )
    print(f"{'beam':>5}{'textbook /s':>15}{'seqdemo /s':>15}{'times':>9}{'same texts':>15}")
    for beam in options.beams:
        print(compare(pipe, texts, beam, options.rounds, {"max_tokens": options.max_tokens}))
    if options.peer:
        beside(pipe, texts, options)


if __name__ == "__main__":
    main()
