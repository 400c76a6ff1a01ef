"""A translator of JoeyNMT, run by a Python that has it installed: what ``translation.py`` beside this starts with
``--peer``.

It is of JoeyNMT's own recurrent kind, with as many weights as asked for, as near as widths come, and random: a
bidirectional LSTM of two layers, a decoder of two with dot-product attention, one embedding for both sides and the
output. JoeyNMT's search runs as its command does: 64 sentences at a time in the order of the file, in 32 bits. What the
model does not know is when to end; so every translation ends where it is told to, as long as the other side's.

Reads one JSON object from its input: ``weights``, ``vocabulary``, ``threads`` and ``sources`` (lists of ids); says what
it made. Then, for each line with a ``beam`` and ``lengths`` (tokens of each translation, the end included), says how
many seconds it took. Speaks JSON, a line each.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from types import SimpleNamespace
from typing import Any

import torch

PAD, END = 1, 3
TOGETHER = 64
"""Sentences of a batch: JoeyNMT's default."""

WIDTHS = (192, 256, 320, 384, 448, 512)
"""Of the embedding and the decoder, tied as they are; each direction of the encoder is half to all as wide."""


def build(weights: int, vocabulary: int) -> Any:
    """The model whose number of weights is the nearest."""
    from joeynmt.model import build_model
    from joeynmt.vocabulary import Vocabulary

    names = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "sep_token": None}
    ids: dict[str, Any] = {"unk_id": 0, "pad_id": PAD, "bos_id": 2, "eos_id": END, "sep_id": None, "lang_tags": []}
    words = Vocabulary([f"word{number}" for number in range(vocabulary - 4)], SimpleNamespace(**names, **ids))

    def made(width: int, reading: int) -> Any:
        shared = {"type": "recurrent", "rnn_type": "lstm", "num_layers": 2}
        shared["embeddings"] = {"embedding_dim": width}
        reader = {**shared, "hidden_size": reading, "bidirectional": True}
        writer = {**shared, "hidden_size": width, "attention": "luong", "input_feeding": False}
        tied = {"tied_embeddings": True, "tied_softmax": True}
        return build_model({"encoder": reader, "decoder": writer, **tied}, words, words)

    def gap(widths: tuple[int, int]) -> int:
        with torch.device("meta"):
            return abs(count(made(*widths)) - weights)

    return made(*min(((width, width // 8 * eighths) for width in WIDTHS for eighths in range(4, 9)), key=gap)).eval()


def count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class Ends:
    """Lets the decoder end each sentence after so many tokens, whatever rows a search keeps and in whatever order.

    Rows are known by a number of their memory, which is theirs alone and goes wherever they go.
    """

    def __init__(self, decoder: Any) -> None:
        self.lengths: list[int] = []
        self.step = 0
        self._known: dict[float, int] = {}
        decoder.register_forward_hook(self._told, with_kwargs=True)

    def _told(self, decoder: Any, given: Any, named: dict[str, Any], made: Any) -> Any:
        logits, *others = made
        names = named["encoder_output"][:, 0, 0].tolist()
        if not self.step:
            width = len(names) // len(self.lengths)
            self._known = {name: self.lengths[row // width] for row, name in enumerate(names)}
        self.step += 1
        ends = torch.tensor([self._known[name] <= self.step for name in names])
        logits[:, :, END] = torch.where(ends, 1e4, -1e4).unsqueeze(1)
        return (logits, *others)


def seconds(model: Any, ends: Ends, sources: list[list[int]], lengths: list[int], beam: int) -> float:
    """Translate all sources once."""
    from joeynmt.batch import Batch
    from joeynmt.search import search

    pairs = list(zip(sources, lengths, strict=True))
    began = time.perf_counter()
    for start in range(0, len(sources), TOGETHER):
        rows = sorted(pairs[start : start + TOGETHER], key=lambda row: -len(row[0]))
        longest = len(rows[0][0])
        ids = torch.tensor([[*row, *[PAD] * (longest - len(row))] for row, _ in rows])
        counts, places, cpu = torch.tensor([len(row) for row, _ in rows]), torch.arange(len(rows)), torch.device("cpu")
        batch = Batch(ids, counts, None, None, None, places, cpu, pad_index=PAD, eos_index=END, is_train=False)
        ends.lengths, ends.step = [length for _, length in rows], 0
        search(model, batch, max(ends.lengths), beam, 1.0)
    return time.perf_counter() - began


def main() -> None:
    """The command."""
    import joeynmt

    logging.disable(logging.INFO)  # JoeyNMT tells of every model it builds
    given = json.loads(sys.stdin.readline())
    torch.set_num_threads(given["threads"])
    torch.manual_seed(0)
    model = build(given["weights"], given["vocabulary"])
    about = {"name": f"JoeyNMT {joeynmt.__version__}", "torch": torch.__version__, "weights": count(model)}
    print(json.dumps(about), flush=True)
    ends = Ends(model.decoder)
    for line in sys.stdin:
        asked = json.loads(line)
        took = seconds(model, ends, given["sources"], asked["lengths"], asked["beam"])
        print(json.dumps({"seconds": took}), flush=True)


if __name__ == "__main__":
    main()
