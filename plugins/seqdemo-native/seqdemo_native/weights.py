"""From a head to the library's model.

Shape letters: ``G`` gates, ``H`` hidden, ``I`` input, ``V`` vocabulary, ``O`` the model's output.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqdemo.errors import PluginError
from seqdemo.plugin import Precision, RecurrentModel, TokenIO

from .library import Floats, failure, level, library, pointer

__all__ = ["KINDS", "TABLE_BYTES", "Weights", "layer_of", "layers_of", "reference"]

TABLE_BYTES = 256 << 20
"""What the first layer's input projections of all tokens, ``(V, G * H)`` in 32 bits, may take."""

_ENTRIES = {nn.LSTM: ("h", "c"), nn.GRU: ("h",), nn.RNN: ("h",)}
KINDS = ("LSTM", "GRU", "RNN_TANH", "RNN_RELU")
"""By torch's name, in the order of ``kernels.h``."""


class _Layer(NamedTuple):
    """``W x + b`` and ``U h + d``: ``(G * H, ...)`` float32, gates in torch's order."""

    w: Tensor
    b: Tensor
    u: Tensor
    d: Tensor


def layers_of(model: RecurrentModel) -> nn.RNNBase | None:
    """Torch's layers, where they are all a model is: its state is theirs, as ``layer{k}.h`` (and ``.c``)."""
    layers = getattr(model, "layers", None)
    if (
        not isinstance(layers, nn.RNNBase)
        or type(layers) not in _ENTRIES
        or layers.bidirectional
        or layers.proj_size
        or not model.causal
    ):
        return None
    expected = [f"layer{k}.{entry}" for k in range(layers.num_layers) for entry in _ENTRIES[type(layers)]]
    if list(model.initial_state(1)) != expected or model.output_size != layers.hidden_size:
        return None
    return layers


class Weights:
    """What steppers of one head share. Its memory is the library's, and is freed with it.

    Attributes:
        places: names of the state entries in the pipeline state, layer by layer.
        output: the entry that keeps the last layer's output, if one does.
        hidden, vocabulary: sizes.
        dtype: of the pipeline's states.
        count: weights each token reads.
        folded: whether the embedding lies in the first layer's input table.
        table: ``(V, G * H)``, or the embedding where it is not folded.
        level: of the kernels.
        integers: whether weights are 8-bit integers.
        handle: of the library's model.

    Raises:
        PluginError: the model is none that the kernels know, or has weights that are not numbers.
    """

    def __init__(self, io: TokenIO, precision: Precision) -> None:
        model = io.model
        layers = None if model is None else layers_of(model)
        if model is None or layers is None:
            raise PluginError("The compiled stepper knows models on nn.LSTM, nn.GRU and nn.RNN in one direction only.")
        read = [layer_of(layers, k) for k in range(layers.num_layers)]
        top = (io.weight, io.bias) if io.project is None else io.project
        above = [(one.w, one.b) for one in read[1:]] + [(top[0].float(), top[1].float())]
        used = [*(part for one in read for part in one), io.embedding, io.weight, io.bias, *above[-1]]
        if not all(bool(torch.isfinite(tensor).all()) for tensor in used):
            raise PluginError("This model has weights that are not numbers (NaN or infinity). Load it again.")
        first = read[0]
        names = [f"{io.role}.{name}" for name in model.initial_state(1)]
        self.places = tuple(names)
        self.output = io.output
        self.last = names[-len(_ENTRIES[type(layers)])]
        self.hidden, self.vocabulary = layers.hidden_size, len(io.weight)
        self.dtype = io.weight.dtype
        self.level = level()
        self.folded = len(io.embedding) * len(first.w) * 4 <= TABLE_BYTES
        table = torch.addmm(first.b, io.embedding.float(), first.w.t()) if self.folded else io.embedding.float()
        self.table: Floats = np.array(table.detach().numpy(), order="C")
        self.count = 0
        lib = library()
        kind, self.integers = KINDS.index(layers.mode), precision == "int8"
        self.handle = lib.model(
            self.level.encode(), kind, self.integers, self.hidden, self.vocabulary, pointer(self.table),
            self.table.shape[1],
        )  # fmt: skip
        weakref.finalize(self, lib.model_free, self.handle)
        if not self.folded:
            self._add(b"e", first.w, first.b)
        for one, (w, b) in zip(read, above, strict=True):
            self._add(b"r", one.u, one.d)
            self._add(b"a", w, b)
        if io.project is not None:
            self._add(b"l", io.weight.float(), io.bias.float())

    def _add(self, place: bytes, weight: Tensor, bias: Tensor) -> None:
        w, b = (np.ascontiguousarray(one.detach().numpy()) for one in (weight, bias))
        self.count += w.size
        if library().product(self.handle, place, pointer(w), pointer(b), *w.shape) < 0:
            raise failure()


def layer_of(layers: nn.RNNBase, k: int) -> _Layer:
    """One of torch's layers; without biases they are zeros."""

    def of(name: str) -> Tensor:
        found = getattr(layers, f"{name}_l{k}", None)
        if not isinstance(found, Tensor):
            found = torch.zeros(len(getattr(layers, f"weight_hh_l{k}")))
        return found.detach().float()

    return _Layer(of("weight_ih"), of("bias_ih"), of("weight_hh"), of("bias_hh"))


def reference(io: TokenIO, ids: Sequence[int]) -> Tensor:
    """Logits after each of some ids from the model's own beginning, ``(T, V)`` float32, by the model itself."""
    assert io.model is not None
    with torch.no_grad():
        y, _ = io.model(io.embedding[list(ids)][None], io.model.initial_state(1))
        p = y[0] if io.project is None else y[0] @ io.project[0].t() + io.project[1]
        logits: Tensor = p @ io.weight.t() + io.bias
        return logits.float()
