"""Translation heads: sources are read and targets written by the library, many rows at once.

Shape letters: ``B`` sources, ``S`` source length, ``n`` rows, ``E`` embedding, ``M`` memory, ``A`` attention, ``V``
vocabulary.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from ctypes import byref, c_void_p
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqdemo.builtin.translation.attention import Additive
from seqdemo.builtin.translation.head import DECODER, OUTPUT, REFINER, TranslationHead
from seqdemo.errors import PluginError
from seqdemo.plugin import Bidirectional, Context, Precision, Prepared, RecurrentModel, State, StepOutput, TokenHead

from .library import Floats, Memory, failure, level, library, pointer
from .stepper import NAMES, SHARE, threads
from .weights import KINDS, TABLE_BYTES, layer_of, layers_of

__all__ = ["NativeTranslation"]


class NativeTranslation(Prepared):
    """The weights of a translation head whose models are torch's layers.

    That it computes nothing else is tried out: where it does, the next stepper is asked.
    """

    shares = True

    def __init__(self, head: TokenHead, device: torch.device, precision: Precision) -> None:
        if not isinstance(head, TranslationHead) or precision not in SHARE:
            raise PluginError(f"The compiled translator does not step {type(head).__name__} in {precision}.")
        self.precision = precision
        self._translator = translator = Translator(head, precision)
        self.reads = translator.count
        self.description = (
            f"{NAMES[translator.level]}, {translator.threads} thread{'s' * (translator.threads > 1)}; "
            f"{translator.count / 1e6:,.1f}M weights a token"
        )
        off = self._off(head)
        if not off <= SHARE[precision]:
            raise PluginError(
                f"{type(head).__name__} does not compute what its layers alone do (logits off by {off:.1e} of their "
                "range), so the compiled translator cannot stand in for it."
            )

    @torch.no_grad()
    def _off(self, head: TranslationHead) -> float:
        """How far logits are off on the first tokens after a made-up source, as a share of their range."""
        source = head.embedding if head.source_embedding is None else head.source_embedding
        ids, lengths = torch.arange(3)[None] % source.num_embeddings, torch.tensor([3])
        memory = head.encoder(source(ids), lengths)
        wanted: Context = {"memory": memory, "keys": head.attention.keys(memory), "lengths": lengths}
        found = self._context(ids, lengths, head.bias.dtype)
        state = own = head.initial_state(1)
        worst = 0.0
        for token in range(3):
            read = torch.tensor([[token % head.embedding.num_embeddings]])
            want, made = head.next(read, state, wanted), self.advance(head, read, own, found)
            away = (made.logits - want.logits).abs().max() / (want.logits.amax() - want.logits.amin()).clamp(min=1e-6)
            # A comparison with NaN is false: it must not be taken for the smaller one.
            worst = float(away) if not away <= worst else worst
            state, own = want.state, made.state
        return worst

    def start(self, head: TokenHead, rows: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        assert isinstance(head, TranslationHead)
        return self._context(*head.sources(rows), head.bias.dtype), head.initial_state(len(rows))

    def _context(self, ids: Tensor, lengths: Tensor, dtype: torch.dtype) -> Context:
        memory, keys = self._translator.encode(ids.numpy(), lengths.numpy())
        return {
            "memory": torch.from_numpy(memory).to(dtype),
            "keys": torch.from_numpy(keys).to(dtype),
            "lengths": lengths,
        }

    def advance(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> StepOutput:
        return self.advance_sharing(head, ids, state, context, torch.arange(len(ids)))

    def advance_sharing(
        self, head: TokenHead, ids: Tensor, state: State, context: Context, owners: Tensor
    ) -> StepOutput:
        names = self._translator.places
        before = [state[name].float().contiguous().numpy() for name in names]
        given = {name: context[name].float().contiguous().numpy() for name in ("memory", "keys")}
        lengths = context["lengths"].numpy()
        after, vectors, logits, weights = self._translator.advance(
            ids[:, 0].numpy(), owners.numpy(), given["memory"], given["keys"], lengths, before
        )
        entries = {name: torch.from_numpy(one).to(state[name].dtype) for name, one in zip(names, after, strict=True)}
        entries[OUTPUT] = torch.from_numpy(vectors).to(state[OUTPUT].dtype)
        dtype = context["memory"].dtype
        return StepOutput(torch.from_numpy(logits), entries, {}, torch.from_numpy(weights).to(dtype))

    def likeliest(self, logits: Tensor, count: int, forbidden: Sequence[int]) -> tuple[Tensor, Tensor]:
        logprobs, ids = self._translator.likeliest(logits.float().numpy(), count, forbidden)
        return torch.from_numpy(logprobs), torch.from_numpy(ids)


class Translator:
    """The library's translator: arrays in, arrays out. Its memory is freed with it.

    Attributes:
        places: names of the state entries in the pipeline state, the decoder's first.
        count: weights each token reads.
        level: of the kernels.
        threads: that share its work.

    Raises:
        PluginError: the head has models that the kernels do not know, or weights that are not numbers.
    """

    def __init__(self, head: TranslationHead, precision: Precision) -> None:
        self.level = level()
        self.places: list[str] = []
        self.count = 0
        parts = (head.decoder, head.refiner, head.combine, head.embedding, head.attention.query)
        self.threads = threads(sum(int(parameter.numel()) for part in parts for parameter in part.parameters()))
        if not all(bool(torch.isfinite(parameter).all()) for parameter in head.parameters()):
            raise PluginError("This model has weights that are not numbers (NaN or infinity). Load it again.")
        embedding = head.embedding.weight.detach().float()
        source = embedding if head.source_embedding is None else head.source_embedding.weight.detach().float()
        first = layer_of(_layers(head.decoder), 0)
        self._folded = len(embedding) * len(first.w) * 4 <= TABLE_BYTES
        table = torch.addmm(first.b, embedding, first.w.t()) if self._folded else embedding
        weigh = head.attention.weigh.weight[0].detach() if isinstance(head.attention, Additive) else None
        # The library refers to the first two for as long as it lives.
        self._source, self._table = _array(source), _array(table)
        self._size, self._memory = head.config.attention_size, head.encoder.output_size
        self._width, self._vocabulary = embedding.shape[1], len(embedding)
        self._hidden: list[int] = []
        keep = None if weigh is None else _array(weigh)
        self._library = library()
        self._handle = self._library.translator(
            self.level.encode(), precision == "int8", self.threads, pointer(self._source), self._source.shape[1],
            pointer(self._table), self._table.shape[1], None if keep is None else pointer(keep), self._size,
        )  # fmt: skip
        if not self._handle:
            raise failure()
        weakref.finalize(self, self._library.translator_free, self._handle)
        for layer in head.encoder.layers:
            if not isinstance(layer, Bidirectional):
                raise PluginError(f"The compiled translator does not know encoders of {type(layer).__name__}.")
            for model in (layer.ahead, layer.back):
                self._network(b"e", model)
        self._network(b"d", head.decoder, DECODER)
        self._network(b"r", head.refiner, REFINER)
        for place, linear in ((b"k", head.attention.key), (b"q", head.attention.query)):
            self._product(place, linear.weight, torch.zeros(len(linear.weight)))
        self._product(b"c", head.combine.weight, head.combine.bias)
        self._product(b"o", embedding, head.bias)
        # Outputs are computed in blocks.
        self._padded = -(-self._vocabulary // _BLOCK) * _BLOCK

    def encode(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """``(B, S)`` and ``(B,)`` -> the memory ``(B, S, M)`` and keys ``(B, S, A)``, zero beyond ``lengths``."""
        read, counts = self._ids(ids, len(self._source)), _whole(lengths)
        if not 1 <= counts.min() <= counts.max() <= ids.shape[1]:
            raise PluginError(f"Lengths {counts.tolist()} of sources are not all in 1 … {ids.shape[1]}.")
        memory = np.empty((*ids.shape, self._memory), np.float32)
        keys = np.empty((*ids.shape, self._size), np.float32)
        where = pointer(read), pointer(counts)
        if self._library.encode(self._handle, *where, *ids.shape, pointer(memory), pointer(keys)) < 0:
            raise failure()
        return memory, keys

    def advance(
        self,
        ids: NDArray[np.int64],
        owners: NDArray[np.int64],
        memory: Floats,
        keys: Floats,
        lengths: NDArray[np.int64],
        before: Sequence[Floats],
    ) -> tuple[list[Floats], Floats, Floats, Floats]:
        """Read one token in each row.

        Args:
            ids: ``(n,)``.
            owners: ``(n,)``, the source of each.
            memory, keys, lengths: ``(C, S, M)``, ``(C, S, A)`` and ``(C,)``.
            before: ``(n, H)`` each, as in :attr:`places`.

        Returns:
            entries after, vectors ``(n, E)``, logits ``(n, V)`` and weights ``(n, S)``.
        """
        count, size = len(ids), memory.shape[1]
        read, of, counts = self._ids(ids, self._vocabulary), _whole(owners), _whole(lengths)
        shapes = [memory.shape[2], keys.shape[2], *(one.shape for one in before)]
        if shapes != [self._memory, self._size, *((count, hidden) for hidden in self._hidden)]:
            raise PluginError(f"These rows do not fit: memory, keys and entries are {shapes}.")
        if count and not (0 <= of.min() <= of.max() < len(memory) and 1 <= counts.min() <= counts.max() <= size):
            raise PluginError("Rows belong to sources that are not there.")
        after = [np.empty_like(one) for one in before]
        vectors = np.empty((count, self._width), np.float32)
        logits = np.empty((count, self._padded), np.float32)
        weights = np.empty((count, size), np.float32)
        given = Memory(pointer(memory), pointer(keys), pointer(counts), size)
        had, has = ((c_void_p * len(rows))(*map(pointer, rows)) for rows in (before, after))
        made = self._library.advance(
            self._handle, pointer(read), pointer(of), count, byref(given), had, has, pointer(vectors), pointer(logits),
            pointer(weights),
        )  # fmt: skip
        if made < 0:
            raise failure()
        return after, vectors, logits[:, : self._vocabulary], weights

    def likeliest(
        self, logits: Floats, count: int, forbidden: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """``(n, V)`` -> log-probabilities and ids of the likeliest tokens, ``(n, count)``."""
        rows = len(logits)
        if logits.shape[1] != self._vocabulary or not 1 <= count <= self._vocabulary:
            raise PluginError(f"{count} of {logits.shape[1]} tokens were asked for: there are {self._vocabulary}.")
        if logits.strides[1] != logits.itemsize:
            logits = np.ascontiguousarray(logits)
        banned = self._ids(np.asarray(forbidden, dtype=np.int64), self._vocabulary)
        logprobs, ids = np.empty((rows, count), np.float64), np.empty((rows, count), np.int64)
        made = self._library.likeliest(
            self._handle, logits.ctypes.data, logits.strides[0] // logits.itemsize, rows, pointer(banned), len(banned),
            count, pointer(logprobs), pointer(ids),
        )  # fmt: skip
        if made < 0:
            raise failure()
        return logprobs, ids

    def _network(self, place: bytes, model: RecurrentModel, role: str = "") -> None:
        layers = _layers(model)
        if self._library.translator_network(self._handle, place, KINDS.index(layers.mode)) < 0:
            raise failure()
        for k in range(layers.num_layers):
            one = layer_of(layers, k)
            if k or role != DECODER or not self._folded:
                self._product(b"w", one.w, one.b, counted=bool(role))
            self._product(b"u", one.u, one.d, counted=bool(role))
        if role:
            names = model.initial_state(1)
            self.places += [f"{role}.{name}" for name in names]
            self._hidden += [layers.hidden_size] * len(names)

    def _product(self, place: bytes, weight: Tensor, bias: Tensor, counted: bool = True) -> None:
        w, b = _array(weight.detach().float()), _array(bias.detach().float())
        self.count += w.size if counted and place != b"k" else 0
        if self._library.translator_product(self._handle, place, pointer(w), pointer(b), *w.shape) < 0:
            raise failure()

    @staticmethod
    def _ids(ids: NDArray[np.int64], size: int) -> NDArray[np.int32]:
        if ids.size and not 0 <= ids.min() <= ids.max() < size:
            raise PluginError(f"Token ids are not all in 0 … {size - 1}.")
        return _whole(ids)


_BLOCK = 64
"""``BLOCK`` of ``kernels.h``."""


def _layers(model: RecurrentModel) -> torch.nn.RNNBase:
    found = layers_of(model)
    if found is None:
        raise PluginError(f"The compiled translator does not know models of {type(model).__name__}.")
    return found


def _array(tensor: Tensor) -> Floats:
    return np.array(tensor.numpy(), dtype=np.float32, order="C")


def _whole(values: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.ascontiguousarray(values, dtype=np.int32)
