"""The classification head.

Shape letters: ``B`` batch, ``T`` time, ``V`` vocabulary, ``E`` embedding, ``O`` the model's output, ``P`` the pooled
vector, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.errors import ConfigError, DataError
from seqdemo.plugin import (
    Batch,
    Classification,
    ModelFactory,
    Options,
    Result,
    State,
    TaskHead,
    Tokenizer,
)
from seqdemo.plugin import state as verbs

from . import explain
from .config import ClassificationConfig, ClassificationOptions
from .labels import label_shares
from .metrics import ClassificationMetrics, ClassifiedLoss
from .pooling import POOL, make_pooling, wide

__all__ = ["PIECE", "STRETCH", "ClassificationHead", "last"]

ROLE = "encoder"
PIECE = 2048
"""Tokens read at a time, all texts together; it does not change the result."""
STRETCH = 2048
"""Tokens of a text that a model which reads both ways reads in one piece."""
_TOGETHER = 32
"""Texts read together."""

T = TypeVar("T")

Item = tuple[list[int], int | tuple[float, ...]]
"""A text's token ids, and the place of its label or how likely each of the head's labels is."""


class ClassificationHead(TaskHead):
    """Token vectors -> recurrent model -> one vector for the text -> distribution over labels.

    The pipeline state is the model's under ``encoder.`` and the summary of its outputs so far under ``head.pool.``; its
    size does not depend on how much was read. A causal model reads a text of any length in the same memory. One that
    reads both ways reads a text of more than 2,048 tokens in stretches of that many, each from the initial state, and
    pools over all of them. An empty text has the distribution of the initial state.
    """

    config: ClassificationConfig

    def __init__(self, config: ClassificationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)
        if not config.labels:
            raise ConfigError(
                "A classifier is built for the labels it is to tell apart, and none are given. Training takes them "
                'from its data; without it, set labels = ["negative", "positive"], say.'
            )
        self.tokenizer = tokenizers["text"]
        self.labels = config.labels
        self._places = {label: place for place, label in enumerate(config.labels)}
        self.embedding = nn.Embedding(self.tokenizer.vocab_size, config.embedding_size)
        # Vectors of length one: rare words, whose vectors hardly move from where they start, are no louder than others.
        nn.init.normal_(self.embedding.weight, std=config.embedding_size**-0.5)
        self.encoder = models(ROLE, config.embedding_size)
        self.pooling = make_pooling(config.pooling.split("+"), self.encoder.output_size, self.encoder.causal)
        self.output = nn.Linear(self.pooling.output_size, len(config.labels))
        weights = torch.tensor(config.class_weights) if config.class_weights else None
        self.register_buffer("_class_weights", weights, persistent=False)

    # --- data ---------------------------------------------------------------------------------------------------

    def encode(self, row: Mapping[str, Any]) -> Item:
        """Token ids of the row's ``text`` and its ``label``, which may be a mapping: how likely each of several is.

        Raises:
            DataError: either is missing, or the label is none of this head's.
        """
        shares = label_shares(row.get("label"))
        if unknown := [label for label in shares if label not in self._places]:
            shown = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            raise DataError(
                f"The label {unknown[0]!r} is not one that this head tells apart; they are: {shown}. Correct the row, "
                "or train on data that holds the label."
            )
        if len(shares) == 1:
            return self._ids(row), self._places[next(iter(shares))]
        return self._ids(row), tuple(shares.get(label, 0.0) for label in self.labels)

    def _ids(self, row: Mapping[str, Any]) -> list[int]:
        text = row.get("text")
        if not isinstance(text, str):
            raise DataError(f"A row needs the column 'text' with a text in it; this one has {text!r} there.")
        return self.tokenizer.encode(text)

    def size(self, item: Item) -> int:
        return len(item[0]) if self.config.longest is None else min(len(item[0]), self.config.longest)

    def collate(self, items: Sequence[Item]) -> Batch:
        """``ids`` ``(B, T)``, ``lengths`` ``(B,)``, ``labels`` ``(B,)`` and ``shares`` ``(B, C)``; ``T`` is at least 1.

        Where a row says how likely several labels are, the likeliest is its label.
        """
        batch = _padded([self._cut(ids) for ids, _ in items])
        shares = torch.zeros(len(items), len(self.labels))
        for row, (_, label) in zip(shares, items, strict=True):
            if isinstance(label, int):
                row[label] = 1.0
            else:
                row.copy_(torch.tensor(label))
        return {**batch, "labels": shares.argmax(1), "shares": shares}

    def _cut(self, ids: list[int]) -> list[int]:
        """While training, the two ends of a text that is too long."""
        longest = self.config.longest
        if not self.training or longest is None or len(ids) <= longest:
            return ids
        return [*ids[: longest - longest // 2], *ids[-(longest // 2) :]]

    # --- reading ------------------------------------------------------------------------------------------------

    def initial_state(self, batch_size: int) -> State:
        blank = wide(self.output.weight).new_zeros(batch_size, 1, self.encoder.output_size)
        nothing = self.pooling.of(blank, torch.zeros(batch_size, dtype=torch.long, device=blank.device))
        return verbs.prefixed(self.encoder.initial_state(batch_size), ROLE) | verbs.prefixed(nothing, POOL)

    def outputs(self, x: Tensor, state: State, lengths: Tensor) -> tuple[Tensor, State]:
        """Vectors ``(B, T, E)`` -> the model's outputs ``(B, T, O)`` and its state after them, under ``encoder.``.

        A model that reads both ways starts each stretch afresh.
        """
        before = verbs.unprefixed(state, ROLE) if self.encoder.causal else self.encoder.initial_state(len(x))
        y, after = self.encoder(x, before, lengths)
        return y, verbs.prefixed(after, ROLE)

    def read(self, x: Tensor, state: State, lengths: Tensor) -> State:
        """Vectors ``(B, T, E)``, of which the first ``lengths`` ``(B,)`` count -> the pipeline state after them."""
        y, after = self.outputs(x, state, lengths)
        pooled = self.pooling.merge(verbs.unprefixed(state, POOL), self.pooling.of(y, lengths))
        return after | verbs.prefixed(pooled, POOL)

    def logits(self, state: State) -> Tensor:
        """Of the text read so far: ``(B, C)``, at least float32."""
        pooled = self.pooling.vector(verbs.unprefixed(state, POOL))
        pooled = F.dropout(pooled, self.config.output_dropout, self.training)
        return wide(self.output(pooled.to(self.output.weight.dtype)))

    def vectors(self, ids: Tensor) -> Tensor:
        """``(B, T)`` ids -> ``(B, T, E)``."""
        x: Tensor = self.embedding(ids)
        if self.training and self.config.token_dropout:
            x = x * F.dropout(x.new_ones(*ids.shape, 1), self.config.token_dropout)
        return F.dropout(x, self.config.embedding_dropout, self.training)

    # --- training -----------------------------------------------------------------------------------------------

    def loss(self, batch: Batch, state: State | None = None) -> ClassifiedLoss:
        """Cross-entropy of the labels' shares in nats. Smoothing and class weights count while training only."""
        ids, lengths = batch["ids"], batch["lengths"]
        logits = self.logits(self.read(self.vectors(ids), self.initial_state(len(ids)), lengths))
        weights, smoothing = None, 0.0
        if self.training:
            weights, smoothing = cast("Tensor | None", self._class_weights), self.config.label_smoothing
            weights = None if weights is None else weights.to(logits.dtype)
        shares = batch["shares"].to(logits.dtype)
        total = F.cross_entropy(logits, shares, weights, reduction="sum", label_smoothing=smoothing)
        return ClassifiedLoss(total, torch.full((), len(ids), device=total.device), None, logits.detach())

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(len(self.labels))

    # --- prediction ---------------------------------------------------------------------------------------------

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        """The class of each text, in order. Texts of like length are read together.

        Raises:
            DataError: an input is no text, or too long to be explained.
            TokenizerError: a text cannot be expressed in the vocabulary.
        """
        return [result for result in self.predicting(inputs, options) if result is not None]

    def predicting(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> Iterator[Result | None]:
        assert isinstance(options, ClassificationOptions)
        read: list[list[int]] = []
        for row in inputs:
            read.append(self._ids(row))
            yield None
        found: dict[int, Classification] = {}
        for places in _groups([len(ids) for ids in read]):
            state = yield from last(self.reading([read[place] for place in places]))
            probabilities = torch.softmax(self.logits(state).double(), 1).tolist()
            for place, row in zip(places, probabilities, strict=True):
                text = str(inputs[place]["text"])
                found[place] = yield from self._result(text, read[place], row, options.explain)
        yield from (found[place] for place in range(len(read)))

    def reading(self, texts: Sequence[list[int]]) -> Iterator[State]:
        """The pipeline state after each piece of texts that are read together; the last one is that after all."""
        state = self.initial_state(len(texts))
        yield state
        piece = max(1, PIECE // len(texts)) if self.encoder.causal else STRETCH
        for start in range(0, max(map(len, texts)), piece):
            batch = _padded([ids[start : start + piece] for ids in texts], self.output.weight.device)
            state = self.read(self.vectors(batch["ids"]), state, batch["lengths"])
            yield state

    def _result(
        self, text: str, ids: list[int], probabilities: Sequence[float], wanted: str
    ) -> Generator[None, None, Classification]:
        scores = dict(sorted(zip(self.labels, probabilities, strict=True), key=lambda one: -one[1]))
        label = next(iter(scores))
        if wanted == "none":
            return Classification(label, scores, text)
        contributions, base, running = None, None, None
        if wanted in ("gradients", "all"):
            contributions, base = yield from explain.integrated_gradients(self, ids, self._places[label])
        if wanted in ("running", "all"):
            after = yield from explain.running(self, ids)
            running = {name: tuple(after[:, self._places[name]].tolist()) for name in scores}
        return Classification(label, scores, text, explain.pieces(self.tokenizer, ids), contributions, base, running)


def last(pieces: Iterator[T]) -> Generator[None, None, T]:
    """Go through pieces of work, giving way after each; returns the last one."""
    for piece in pieces:  # noqa: B007 - the last one is wanted
        yield
    return piece


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts to be read together: of like length, at most 32, in all at most ``PIECE`` tokens where it can
    be."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) == _TOGETHER or lengths[place] * (len(group) + 1) > PIECE):
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _padded(texts: Sequence[list[int]], device: torch.device | None = None) -> Batch:
    """``ids`` ``(B, T)``, zero in the padding, and ``lengths`` ``(B,)``; ``T`` is at least 1."""
    lengths = [len(ids) for ids in texts]
    ids = torch.zeros(len(texts), max(1, *lengths), dtype=torch.long)
    for place, one in enumerate(texts):
        ids[place, : len(one)] = torch.tensor(one, dtype=torch.long)
    return {"ids": ids.to(device), "lengths": torch.tensor(lengths, device=device)}
