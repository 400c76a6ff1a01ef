"""The translation head.

Shape letters: ``B`` batch, ``T`` target length, ``S`` source length, ``V`` vocabulary, ``E`` embedding, ``M`` memory,
``A`` attention, ``O`` a model's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.builtin.generation.metrics import LanguageMetrics
from seqdemo.errors import ConfigError, DataError
from seqdemo.plugin import (
    Batch,
    Context,
    Decoded,
    Judged,
    LossOutput,
    ModelFactory,
    Result,
    SamplingOptions,
    State,
    StepOutput,
    TokenHead,
    Tokenizer,
    Translation,
)
from seqdemo.plugin import state as verbs

from .attention import Additive, Dot
from .config import TranslationConfig, TranslationOptions
from .encoder import Encoder

__all__ = ["TranslationHead"]

DECODER, REFINER, OUTPUT = "decoder", "refiner", "head.output"

_SPREAD = 0.5
"""Of fresh token vectors. Smaller ones, as are usual where they weigh outputs too, hardly move the gates they feed:
learning starts several times slower."""

Item = tuple[list[int], list[int]]
"""Ids of a source and of its translation, each closed by the end token."""


class _Read(NamedTuple):
    """What reading ``T`` target tokens gave.

    Attributes:
        vectors: ``(B, T, E)``, which the output layer reads.
        weights: ``(B, T, S)``, of the attention.
        state: the pipeline state after them.
    """

    vectors: Tensor
    weights: Tensor
    state: State


class TranslationHead(TokenHead):
    """Target tokens -> decoder -> attention over what the encoder made of the source -> refiner -> next token.

    Without input feeding nothing that the decoder reads depends on the attention, so all positions of a known target
    are read at once. What the output layer reads is ``tanh(W [r; c])`` of the refiner's output and the attended memory
    (Luong et al. 2015, eq. 5); its weight is the target's embedding (Press & Wolf 2017).

    The context is ``memory`` ``(B, S, M)``, ``keys`` ``(B, S, A)`` and ``lengths`` ``(B,)``. The pipeline state is that
    of ``decoder`` and ``refiner``, and ``head.output`` ``(B, E)``, the vector that the output layer read last.
    """

    config: TranslationConfig

    def __init__(self, config: TranslationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)
        self.source_tokenizer = tokenizers[config.tokenizer_roles[0]]
        self.target_tokenizer = tokenizers[config.tokenizer_roles[-1]]
        self._source_end, self._end = _end(self.source_tokenizer), _end(self.target_tokenizer)
        width = config.embedding_size
        self.embedding = _embedding(self.target_tokenizer, width)
        self.source_embedding = None if config.shared_vocabulary else _embedding(self.source_tokenizer, width)
        self.encoder = Encoder(lambda size: models("encoder", size), width, config.encoder_layers, config.dropout)
        self.decoder = models(DECODER, 2 * width if config.input_feeding else width)
        memory, read = self.encoder.output_size, self.decoder.output_size
        kind = Dot if config.attention == "dot" else Additive
        self.attention = kind(read, memory, config.attention_size)
        self.refiner = models(REFINER, read + memory)
        for role, model in ((DECODER, self.decoder), (REFINER, self.refiner)):
            if not model.causal:
                raise ConfigError(
                    f"The {role} writes from left to right, and this model is bidirectional: it reads the future. Set "
                    "bidirectional = false; the encoder reads both ways by itself."
                )
        self.combine = nn.Linear(self.refiner.output_size + memory, width)
        self.bias = nn.Parameter(torch.zeros(self.target_tokenizer.vocab_size))

    # --- data ---------------------------------------------------------------------------------------------------

    def encode(self, row: Mapping[str, Any]) -> Item:
        """Ids of the row's ``source`` and ``target``, each closed by the end token."""
        for column in ("source", "target"):
            if not _text(row, column).strip():
                raise DataError(f"The {column} is empty: there is nothing to learn from. Leave the row out.")
        return self._source(row), [*self.target_tokenizer.encode(row["target"]), self._end]

    def size(self, item: Item) -> int:
        """Tokens of both sides."""
        return len(item[0]) + len(item[1])

    def collate(self, items: Sequence[Item]) -> Batch:
        """``source`` ``(B, S)`` with ``lengths`` ``(B,)``; ``inputs`` and ``targets`` ``(B, T)``, -100 for padding."""
        targets = _padded([target for _, target in items], -100)
        inputs = torch.cat([targets.new_full((len(items), 1), self._start), targets[:, :-1].clamp(min=0)], 1)
        return {**_sources([source for source, _ in items]), "inputs": inputs, "targets": targets}

    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        """Cross-entropy of ``targets`` in nats, with label smoothing (Szegedy et al. 2016, 7) while training."""
        targets = batch["targets"]
        context = self._context(batch["source"], batch["lengths"])
        read = self._read(batch["inputs"], self.initial_state(len(targets)), context)
        logits = self._logits(F.dropout(read.vectors, self.config.dropout, self.training))
        smoothing = self.config.label_smoothing if self.training else 0.0
        total = F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum", label_smoothing=smoothing
        )
        return LossOutput(total, (targets != -100).sum(), None)

    def metrics(self) -> LanguageMetrics:
        return LanguageMetrics(self.target_tokenizer)

    def judge(self, rows: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> Judged:
        """BLEU, cased and lower-cased, and chrF, by sacreBLEU."""
        from .bleu import judge

        return judge([str(result) for result in results], [_text(row, "target") for row in rows])

    # --- tokens -------------------------------------------------------------------------------------------------

    def initial_state(self, batch_size: int) -> State:
        state = verbs.prefixed(self.decoder.initial_state(batch_size), DECODER)
        state |= verbs.prefixed(self.refiner.initial_state(batch_size), REFINER)
        return state | {OUTPUT: self.bias.new_zeros(batch_size, self.config.embedding_size)}

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        """The token a translation begins with: ``bos``, or the end token where there is none."""
        return [self._start]

    def start(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        return self._context(*self.sources(rows)), self.initial_state(len(rows))

    def sources(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor]:
        """Ids of the rows' sources, each closed by the end token, ``(B, S)``, and their lengths ``(B,)``."""
        batch = _sources([self._source(row) for row in rows])
        at = self.bias.device
        return batch["source"].to(at), batch["lengths"].to(at)

    def next(
        self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None, trace: bool = False
    ) -> StepOutput:
        """As of every token head; the trace is the attention ``(B, T, S)``."""
        if ids.shape[1] == 0:
            return StepOutput(self._logits(state[OUTPUT]), dict(state), {})
        read = self._read(ids, state, context, lengths)
        traces = {"attention": read.weights} if trace else {}
        weights = read.weights[:, -1] if lengths is None else _last(read.weights, lengths.to(ids.device))
        return StepOutput(self._logits(read.state[OUTPUT]), read.state, traces, weights)

    def logits(self, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        read = self._read(ids, state, context)
        return self._logits(read.vectors), read.state

    def attend(self, ids: Tensor, state: State, context: Context) -> Tensor:
        """How much each position of the source is attended to after each of ``ids`` ``(B, T)``: ``(B, T, S)``."""
        if self.config.input_feeding:
            return self._read(ids, state, context).weights
        # Only input feeding lets the attention depend on what follows it.
        y, _ = self.decoder(self._drop(self.embedding(ids)), verbs.unprefixed(state, DECODER))
        weights: Tensor = self.attention(self._drop(y), **context)[1]
        return weights

    def max_tokens(self, row: Mapping[str, Any], options: SamplingOptions) -> int:
        """At most ``max_ratio`` tokens for each token of the source, and ten more; none for a blank source."""
        source = self._source(row)
        if not row["source"].strip():
            return 0
        ratio = options.max_ratio if isinstance(options, TranslationOptions) else 1.0
        return min(options.max_tokens, int(ratio * (len(source) - 1)) + 10)

    def result(self, decoded: Decoded) -> Translation:
        """Where the attention was not kept, the source and the translation are read once more."""
        best = decoded.hypotheses[0] if decoded.hypotheses else None
        ids = list(best.ids) if best else [token.id for token in decoded.tokens if token.id != self._end]
        source = self.source_tokenizer.encode(decoded.prompt)
        weights = decoded.attention
        if ids and weights is None:
            with torch.inference_mode():
                context, state = self.start([{"source": decoded.prompt}])
                read = torch.tensor([[self._start, *ids[:-1]]], device=self.bias.device)
                weights = self.attend(read, state, context)[0]
        pieces = _pieces(self.source_tokenizer, source)
        alignment = [] if weights is None else weights[: len(ids), : len(source)].tolist()
        return Translation(
            source=decoded.prompt,
            text=decoded.text,
            score=best.score if best else sum((token.logprob for token in decoded.tokens), 0.0),
            source_tokens=pieces,
            target_tokens=_pieces(self.target_tokenizer, ids),
            alignment=tuple(tuple(row) for row in alignment),
            alternatives=decoded.hypotheses,
            unknown=_spelled(pieces) if self._knows_characters else 0.0,
        )

    # --- inside -------------------------------------------------------------------------------------------------

    @cached_property
    def _knows_characters(self) -> bool:
        """Whether the source's tokenizer has tokens of more than a byte."""
        tokenizer = self.source_tokenizer
        return any(len(tokenizer.token_bytes(token)) > 1 for token in range(tokenizer.vocab_size))

    @property
    def _start(self) -> int:
        return self.target_tokenizer.special_tokens.get("bos", self._end)

    def _source(self, row: Mapping[str, Any]) -> list[int]:
        """Ids of the row's ``source``, closed by the end token.

        Raises:
            DataError: there is none, or it is too long.
        """
        ids = self.source_tokenizer.encode(_text(row, "source"))
        most = self.config.max_source_tokens
        if len(ids) > most:
            raise DataError(
                f"The source is {len(ids):,} tokens long, and this model reads {most:,} at most. Split it into "
                "sentences."
            )
        return [*ids, self._source_end]

    def _context(self, source: Tensor, lengths: Tensor) -> Context:
        """Read sources ``(B, S)``."""
        table = self.embedding if self.source_embedding is None else self.source_embedding
        memory = self.encoder(self._drop(table(source)), lengths)
        return {"memory": memory, "keys": self.attention.keys(memory), "lengths": lengths}

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.config.dropout, self.training)

    def _read(self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None) -> _Read:
        """``(B, T)`` target ids."""
        x = self._drop(self.embedding(ids))
        if self.config.input_feeding or (ids.shape[1] == 1 and lengths is None):
            return self._read_by_step(x, state, context, lengths)
        y, decoder = self.decoder(x, verbs.unprefixed(state, DECODER), lengths)
        vectors, weights, refiner = self._refine(y, state, context, lengths)
        last = vectors[:, -1]
        if lengths is not None:
            counts = lengths.to(ids.device)
            last = torch.where((counts > 0).unsqueeze(1), _last(vectors, counts), state[OUTPUT])
        after = verbs.prefixed(decoder, DECODER) | refiner | {OUTPUT: last.to(state[OUTPUT].dtype)}
        return _Read(vectors, weights, after)

    def _refine(
        self, y: Tensor, state: State, context: Context, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """The decoder's outputs ``(B, T, O)`` -> vectors, weights, and the refiner's part of the state."""
        y = self._drop(y)
        mean, weights = self.attention(y, **context)
        x, before = torch.cat([y, mean], 2), verbs.unprefixed(state, REFINER)
        if y.shape[1] == 1 and lengths is None:
            one, after = self.refiner.step(x[:, 0], before)
            refined = one.unsqueeze(1)
        else:
            refined, after = self.refiner(x, before, lengths)
        vectors = torch.tanh(self.combine(torch.cat([self._drop(refined), mean], 2)))
        return vectors, weights, verbs.prefixed(after, REFINER)

    def _read_by_step(self, x: Tensor, state: State, context: Context, lengths: Tensor | None) -> _Read:
        """``(B, T, E)`` token vectors, one position after another."""
        vectors: list[Tensor] = []
        weights: list[Tensor] = []
        for t in range(x.shape[1]):
            now = x[:, t]
            if self.config.input_feeding:
                now = torch.cat([now, state[OUTPUT].to(now.dtype)], 1)
            y, decoder = self.decoder.step(now, verbs.unprefixed(state, DECODER))
            vector, weight, refiner = self._refine(y.unsqueeze(1), state, context)
            after = verbs.prefixed(decoder, DECODER) | refiner | {OUTPUT: vector[:, 0].to(state[OUTPUT].dtype)}
            state = after if lengths is None else verbs.where(lengths.to(x.device) > t, after, state)
            vectors.append(vector)
            weights.append(weight)
        return _Read(torch.cat(vectors, 1), torch.cat(weights, 1), state)

    def _logits(self, vectors: Tensor) -> Tensor:
        """``(..., E) -> (..., V)`` float32."""
        return F.linear(vectors, self.embedding.weight, self.bias).float()


def _text(row: Mapping[str, Any], column: str) -> str:
    text = row.get(column)
    if not isinstance(text, str):
        raise DataError(f"A row needs the column {column!r} with a text in it; this one has {text!r} there.")
    return text


def _end(tokenizer: Tokenizer) -> int:
    end = tokenizer.special_tokens.get("eos")
    if end is None:
        raise ConfigError(
            "Translation needs a token that ends texts, and this tokenizer has none. Set end_token = true "
            "(--tokenizer.end-token), or take the tokenizer sentencepiece."
        )
    return end


def _embedding(tokenizer: Tokenizer, width: int) -> nn.Embedding:
    made = nn.Embedding(tokenizer.vocab_size, width)
    nn.init.normal_(made.weight, std=_SPREAD)
    return made


def _last(values: Tensor, counts: Tensor) -> Tensor:
    """``(B, T, ...)`` -> each row's at the last of its ``counts`` ``(B,)`` positions; of 0 the first."""
    return values[torch.arange(len(values), device=values.device), (counts - 1).clamp(min=0)]


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])


def _sources(rows: Sequence[Sequence[int]]) -> Batch:
    return {"source": _padded(rows, 0), "lengths": torch.tensor([len(row) for row in rows])}


def _spelled(pieces: Sequence[str]) -> float:
    """Share of the characters that several tokens stand for, of the text that each token completes."""
    # The first piece may be a space that the decoder takes away.
    spelled = sum(not before and bool(piece) for before, piece in pairwise(pieces[1:]))
    return spelled / max(sum(map(len, pieces)), 1)


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """The text that each token completes: a character of several tokens stands at the last. Together, the text."""
    decoder = tokenizer.decoder()
    texts = [decoder.push(token) for token in ids]
    return (*texts[:-1], texts[-1] + decoder.finish()) if texts else ()
