"""A translator's work on the CPU, for many sentences at once: sources are read and targets written with prepared
products; attention stays torch's own.

Shape letters: ``B`` batch, ``n`` rows, ``T`` time, ``S`` source length, ``H`` hidden, ``G`` gates, ``I`` input, ``O``
output, ``V`` vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqdemo.builtin.models.fused import Fused
from seqdemo.builtin.translation.attention import Dot
from seqdemo.builtin.translation.head import DECODER, OUTPUT, REFINER, TranslationHead
from seqdemo.errors import PluginError
from seqdemo.plugin import Bidirectional, Context, Precision, Prepared, State, StepOutput, TokenHead

from .cells import Entries, weights_of
from .products import Floats, Product, product
from .recurrent import TABLE_BYTES

__all__ = ["AttendingPrepared"]


class _Layer(NamedTuple):
    """A layer's products ``W x + b`` and ``U h + d``, its width ``H``, and the names of its entries."""

    enter: Product
    ahead: Product
    width: int
    names: tuple[str, ...]


class _Model:
    """Any of torch's three recurrent models, in one direction.

    Args:
        role: what its entries in the pipeline state are prefixed by.
        embedding: ``(V, I)``, what it is fed for each token; None where it is fed vectors.
    """

    def __init__(self, model: Any, role: str, precision: Precision, embedding: Tensor | None = None) -> None:
        assert isinstance(model, Fused)
        self._kind, layers = weights_of(model)
        self._layers = [
            _Layer(
                product(w, b, precision),
                product(u, d, precision, self._kind.bounded),
                u.shape[1],
                tuple(f"{role}.layer{k}.{entry}" for entry in self._kind.entries),
            )
            for k, (w, b, u, d) in enumerate(layers)
        ]
        self._embedding = None if embedding is None else embedding.float().numpy()
        self._table: Floats | None = None
        w, b, _, _ = layers[0]
        if embedding is not None and len(embedding) * len(w) * 4 <= TABLE_BYTES:
            self._table = torch.addmm(b, embedding.float(), w.t()).numpy()

    @property
    def products(self) -> tuple[Product, ...]:
        """Those of a step."""
        first, *others = self._layers
        entering = () if self._table is not None else (first.enter,)
        return (*entering, first.ahead, *(each for layer in others for each in (layer.enter, layer.ahead)))

    def tokens(self, ids: Tensor, state: State) -> tuple[Floats, State]:
        """``(n,)`` ids -> output ``(n, O)``, and its part of the state."""
        if self._table is not None:
            return self._step(self._table[ids.numpy()], state)
        assert self._embedding is not None
        return self.vectors(self._embedding[ids.numpy()], state)

    def vectors(self, x: Floats, state: State) -> tuple[Floats, State]:
        """``(n, I)`` -> output ``(n, O)``, and its part of the state."""
        return self._step(self._layers[0].enter(x), state)

    def sequence(self, x: Floats) -> Floats:
        """``(B, T, I)`` -> outputs ``(B, T, O)``, from the beginning."""
        for layer in self._layers:
            made = layer.enter(x.reshape(-1, x.shape[2])).reshape(*x.shape[:2], -1)
            x = np.empty((*x.shape[:2], layer.width), np.float32)
            entries: Entries = tuple(np.zeros((len(x), layer.width), np.float32) for _ in layer.names)
            for t in range(x.shape[1]):
                entries = self._kind.cell(made[:, t], layer.ahead(entries[0]), entries)
                x[:, t] = entries[0]
        return x

    def _step(self, x: Floats, state: State) -> tuple[Floats, State]:
        """``x`` is what the first layer made of its input, ``(n, G * H)``."""
        after: State = {}
        for k, layer in enumerate(self._layers):
            before: Entries = tuple(state[name].float().numpy() for name in layer.names)
            x = layer.enter(x) if k else x
            entries = self._kind.cell(x, layer.ahead(before[0]), before)
            for name, entry in zip(layer.names, entries, strict=True):
                after[name] = torch.from_numpy(entry).to(state[name].dtype)
            x = entries[0]
        return x, after


class _Encoder:
    """Layers that read both ways, each as two models of one direction.

    Args:
        embedding: ``(V, I)``, of source tokens.
    """

    def __init__(self, layers: Sequence[nn.Module], embedding: Tensor, precision: Precision) -> None:
        self._embedding = embedding.float().numpy()
        self._layers: list[tuple[_Model, _Model]] = []
        for layer in layers:
            assert isinstance(layer, Bidirectional)
            self._layers.append((_Model(layer.ahead, "", precision), _Model(layer.back, "", precision)))

    def __call__(self, ids: Tensor, lengths: Tensor) -> Floats:
        """``(B, S)`` -> the memory ``(B, S, O)``, zero beyond ``lengths`` ``(B,)``."""
        places, counts = np.arange(ids.shape[1]), lengths.numpy()[:, None]
        inside = places < counts
        turned = np.where(inside, counts - 1 - places, places), np.arange(len(ids))[:, None]
        x: Floats = self._embedding[ids.numpy()]
        for ahead, back in self._layers:
            backwards = back.sequence(x[turned[1], turned[0]])[turned[1], turned[0]]
            x = np.concatenate([ahead.sequence(x), backwards], axis=2)
        x[~inside] = 0.0
        return x


class AttendingPrepared(Prepared):
    """The weights of a translation head whose models are torch's fused layers."""

    def __init__(self, head: TokenHead, device: torch.device, precision: Precision) -> None:
        if not isinstance(head, TranslationHead):
            raise PluginError(f"{type(head).__name__} is no translation head.")
        self.precision = precision
        embedding, attention, combine = head.embedding.weight.detach(), head.attention, head.combine
        table = embedding if head.source_embedding is None else head.source_embedding.weight.detach()
        self._encoder = _Encoder(list(head.encoder.layers), table, precision)
        self._decoder = _Model(head.decoder, DECODER, precision, embedding)
        self._refiner = _Model(head.refiner, REFINER, precision)
        self._attention = deepcopy(attention)
        # Side by side, rows are filled up to as many as any input has: free for a product, not for a tanh of each.
        self.shares = isinstance(attention, Dot)
        self._key, self._query = (
            product(layer.weight.detach().float(), torch.zeros(len(layer.weight)), precision)
            for layer in (attention.key, attention.query)
        )
        self._combine = product(combine.weight.detach().float(), combine.bias.detach().float(), precision)
        # What it reads is a tanh.
        self._output = product(embedding.float(), head.bias.detach().float(), precision, bounded=True)
        parts = (*self._decoder.products, *self._refiner.products, self._query, self._combine, self._output)
        names = ", ".join(dict.fromkeys(part.name for part in parts))
        self.reads = sum(part.count for part in parts)
        self.description = f"{names}; {self.reads / 1e6:,.1f}M weights a token"

    def start(self, head: TokenHead, rows: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        assert isinstance(head, TranslationHead)
        ids, lengths = head.sources(rows)
        memory = self._encoder(ids, lengths)
        keys = self._key(memory.reshape(-1, memory.shape[2])).reshape(*memory.shape[:2], -1)
        dtype = head.bias.dtype
        context = {"memory": torch.from_numpy(memory).to(dtype), "keys": torch.from_numpy(keys).to(dtype)}
        return context | {"lengths": lengths}, head.initial_state(len(rows))

    def advance(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> StepOutput:
        return self._advance(ids, state, context, None)

    def advance_sharing(
        self, head: TokenHead, ids: Tensor, state: State, context: Context, owners: Tensor
    ) -> StepOutput:
        return self._advance(ids, state, context, owners)

    def _advance(self, ids: Tensor, state: State, context: Context, owners: Tensor | None) -> StepOutput:
        y, decoder = self._decoder.tokens(ids[:, 0], state)
        dtype = context["memory"].dtype
        mean, weights = self._attend(torch.from_numpy(self._query(y)).to(dtype), context, owners)
        attended: Floats = mean.float().numpy()
        refined, refiner = self._refiner.vectors(np.concatenate([y, attended], axis=1), state)
        vectors = self._combine(np.concatenate([refined, attended], axis=1))
        np.tanh(vectors, out=vectors)
        logits = torch.from_numpy(self._output(vectors))
        after = decoder | refiner | {OUTPUT: torch.from_numpy(vectors).to(dtype)}
        return StepOutput(logits, after, {}, weights)

    def _attend(self, queries: Tensor, context: Context, owners: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(n, A)`` -> mean of the memory ``(n, M)`` and weights ``(n, S)``."""
        if owners is None:
            mean, weights = self._attention.attend(queries.unsqueeze(1), **context)
            return mean[:, 0], weights[:, 0]
        # Rows of one memory side by side, as if they were tokens of one target: (C, rows of one, A).
        place = owners, torch.arange(len(owners)) - torch.searchsorted(owners, owners)
        side = queries.new_zeros(len(context["memory"]), int(place[1].max()) + 1, queries.shape[1])
        side[place] = queries
        mean, weights = self._attention.attend(side, **context)
        return mean[place], weights[place]
