"""Recurrent models on torch's own fused layers: the whole sequence in one call (oneDNN on the CPU, cuDNN on CUDA).

oneDNN has only the LSTM; the others train on the CPU by :mod:`.unrolled`.

Shape letters: ``B`` batch, ``T`` time, ``I`` input, ``H`` hidden, ``L`` layers, ``D`` directions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqdemo.plugin import RecurrentModel, State, Trace, build_model, sequence
from seqdemo.plugin import state as verbs

from . import ragged
from .config import FusedConfig, GRUConfig, LSTMConfig, RNNConfig
from .exchange import gate_weights
from .scratch import ScratchCell, ScratchGRU, ScratchLSTM, ScratchRNN
from .unrolled import UNROLLED, fits, unrolled

__all__ = ["GRU", "LSTM", "RNN", "Fused"]


class Fused(RecurrentModel):
    """Base of the three. State entries are named as in a stack of scratch cells, ``layer0.h`` or
    ``layer0.forward.h``, so either kind of model continues from the other's state.

    Attributes:
        layers: torch's own layer; its ``state_dict`` loads from and into any ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``.
        twin: the scratch cell that computes the same.
    """

    twin: ClassVar[type[ScratchCell]]

    def __init__(self, config: FusedConfig, input_size: int, layers: Callable[..., nn.RNNBase], **extra: Any) -> None:
        directions = ("forward.", "backward.") if config.bidirectional else ("",)
        super().__init__(input_size, config.hidden_size * len(directions))
        self.config = config
        self.layers = layers(
            input_size,
            config.hidden_size,
            config.num_layers,
            bias=config.bias,
            batch_first=True,
            # torch warns about dropout that has no place to be.
            dropout=config.dropout if config.num_layers > 1 else 0.0,
            bidirectional=config.bidirectional,
            **extra,
        )
        self._places = [f"layer{k}.{direction}" for k in range(config.num_layers) for direction in directions]
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if config.bias else ("weight_ih", "weight_hh")
        suffixes = ("", "_reverse") if config.bidirectional else ("",)
        self._weight_names = [
            [f"{kind}_l{k}{suffix}" for kind in kinds] for k in range(config.num_layers) for suffix in suffixes
        ]
        if config.weight_dropout > 0:
            # Dropped weights are new tensors in every pass, so cuDNN must gather them each time, and says so each time.
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")

    @property
    def causal(self) -> bool:
        return not self.config.bidirectional

    def initial_state(self, batch_size: int) -> State:
        like = self.layers.weight_ih_l0
        assert isinstance(like, Tensor)
        return {
            place + entry: like.new_zeros(batch_size, self.config.hidden_size)
            for place in self._places
            for entry in self.twin.entries
        }

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.output_size), dict(state)
        counts = None if lengths is None else lengths.cpu()
        if counts is None or bool((counts == x.shape[1]).all()):
            # Not packed: cuDNN's persistent kernels take no packed sequences.
            y, after = self._read(x, state)
            assert isinstance(y, Tensor)
            return y, after
        # torch packs no empty rows: these read one blanked position, and what came of it is put aside.
        blanked, some = sequence.blank_padding(x, lengths), counts.clamp(min=1)
        if self.layers.mode == "LSTM" and ragged.fits(x):
            y, after = self._read_padded(blanked, some, state)
        else:
            packed, after = self._read(pack_padded_sequence(blanked, some, True, enforce_sorted=False), state)
            assert isinstance(packed, PackedSequence)
            y, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        return sequence.blank_padding(y, lengths), verbs.where((counts > 0).to(x.device), after, state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not self.causal:
            return super().step(x, state)
        # A fused layer repacks its weights in every call, which costs more than the step itself.
        after: State = {}
        for k, (place, weights) in enumerate(zip(self._places, self._weights(), strict=True)):
            before = tuple(state[place + entry] for entry in self.twin.entries)
            new = self._cell(x, before, weights)
            for entry, old, tensor in zip(self.twin.entries, before, new, strict=True):
                after[place + entry] = tensor.to(old.dtype)
            last = k == self.config.num_layers - 1
            x = new[0] if last else dropout(new[0], self.config.dropout, self.training)
        return x, after

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        """``forward`` without lengths, and every gate, by the equations of the scratch model with these weights."""
        state = self.initial_state(x.shape[0]) if state is None else state
        with torch.device("meta"):
            twin = build_model(self.twin, self.config, self.input_size)
        twin.train(self.training)
        weights = {
            name: weight
            for names, tensors in zip(self._weight_names, self._weights(), strict=True)
            for name, weight in zip(names, tensors, strict=True)
        }
        views = {f"model.{name}": view for name, view in gate_weights(twin, weights).items()}
        traced: tuple[Tensor, State, Trace] = functional_call(_Traced(twin), views, (x, state), strict=True)
        return traced

    def _weights(self) -> list[list[Tensor]]:
        """For each layer and direction its weights as torch orders them, with this pass's DropConnect mask."""
        rate = self.config.weight_dropout if self.training else 0.0
        return [
            [
                dropout(getattr(self.layers, name), rate)
                if rate and "weight_hh" in name
                else getattr(self.layers, name)
                for name in names
            ]
            for names in self._weight_names
        ]

    def _read(self, x: Tensor | PackedSequence, state: State) -> tuple[Tensor | PackedSequence, State]:
        """The whole sequence through the fused layer."""
        hidden = self._hidden(state)
        dropping = self.training and self.config.weight_dropout > 0
        # cuDNN differentiates only what it ran as training: looking inside an evaluated model needs that too.
        differentiable = self.training or not hidden[0].is_cuda or not torch.is_grad_enabled()
        layer = UNROLLED.get(self.layers.mode)
        y: Tensor | PackedSequence
        last: Sequence[Tensor]
        if layer is not None and isinstance(x, Tensor) and fits(x):
            dropout, directions = self.config.dropout if self.training else 0.0, 2 if self.config.bidirectional else 1
            y, after = unrolled(layer, x, hidden[0], self._weights(), directions, dropout)
            last = (after,)
        elif dropping or not differentiable:
            y, last = self._read_directly(x, hidden)
        else:
            y, after = self.layers(x, tuple(hidden) if len(hidden) > 1 else hidden[0])
            last = after if len(hidden) > 1 else (after,)
        return y, self._state(last, state)

    def _read_padded(self, x: Tensor, lengths: Tensor, state: State) -> tuple[Tensor, State]:
        """Rows of different lengths where torch's fused layer takes no packed ones."""
        directions = 2 if self.config.bidirectional else 1
        rate = self.config.dropout if self.training else 0.0
        y, last = ragged.ragged_lstm(x, lengths, self._hidden(state), self._weights(), directions, rate)
        return y, self._state(last, state)

    def _hidden(self, state: State) -> list[Tensor]:
        """A state as torch takes it: ``(L * D, B, H)`` for each entry."""
        return [torch.stack([state[place + entry] for place in self._places]) for entry in self.twin.entries]

    def _state(self, hidden: Sequence[Tensor], before: State) -> State:
        """And back. Mixed precision may give it in half precision; a state keeps the precision it came with."""
        return {
            place + entry: stacked[at].to(before[place + entry].dtype)
            for at, place in enumerate(self._places)
            for entry, stacked in zip(self.twin.entries, hidden, strict=True)
        }

    def _read_directly(
        self, x: Tensor | PackedSequence, hidden: list[Tensor]
    ) -> tuple[Tensor | PackedSequence, Sequence[Tensor]]:
        """What ``nn.RNNBase.forward`` does while training, with this pass's weights and dropout."""
        layers = self.layers
        run = _FUSED[layers.mode]
        weights = [weight for tensors in self._weights() for weight in tensors]
        rate = layers.dropout if self.training else 0.0
        options = (weights, layers.bias, layers.num_layers, rate, True, layers.bidirectional)
        if not isinstance(x, PackedSequence):
            y, *last = run(x, hidden if len(hidden) > 1 else hidden[0], *options, True)
            return y, last
        if x.sorted_indices is not None:
            hidden = [entry.index_select(1, x.sorted_indices) for entry in hidden]
        y, *last = run(x.data, x.batch_sizes, hidden if len(hidden) > 1 else hidden[0], *options)
        if x.unsorted_indices is not None:
            last = [entry.index_select(1, x.unsorted_indices) for entry in last]
        return PackedSequence(y, x.batch_sizes, x.sorted_indices, x.unsorted_indices), last

    def _cell(self, x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        """One layer's step: the new state entries, the first of which is also its output."""
        raise NotImplementedError


_FUSED: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "LSTM": torch.lstm,
    "GRU": torch.gru,
}


class _Traced(nn.Module):
    """A model whose call is its ``trace``: ``functional_call`` reaches no other method."""

    def __init__(self, model: RecurrentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        return self.model.trace(x, state)


class RNN(Fused):
    """``torch.nn.RNN`` (Elman 1990). State ``layer{k}.h`` ``(B, H)``."""

    twin = ScratchRNN
    config: RNNConfig

    def __init__(self, config: RNNConfig, input_size: int) -> None:
        super().__init__(config, input_size, nn.RNN, nonlinearity=config.nonlinearity)

    def _cell(self, x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        run = torch.rnn_relu_cell if self.config.nonlinearity == "relu" else torch.rnn_tanh_cell
        return (run(x, state[0], *weights),)


class LSTM(Fused):
    """``torch.nn.LSTM`` (Hochreiter & Schmidhuber 1997; Gers et al. 2000). State ``layer{k}.h``, ``layer{k}.c``
    ``(B, H)``."""

    twin = ScratchLSTM
    config: LSTMConfig

    def __init__(self, config: LSTMConfig, input_size: int) -> None:
        super().__init__(config, input_size, nn.LSTM)
        if config.forget_bias is not None:
            for names in self._weight_names:
                with torch.no_grad():
                    # torch adds two biases; the gates lie in the order i, f, g, o.
                    getattr(self.layers, names[2]).chunk(4)[1].fill_(config.forget_bias)
                    getattr(self.layers, names[3]).chunk(4)[1].zero_()

    def _cell(self, x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.lstm_cell(x, state, *weights)


class GRU(Fused):
    """``torch.nn.GRU`` (Cho et al. 2014, the reset gate on the product). State ``layer{k}.h`` ``(B, H)``."""

    twin = ScratchGRU
    config: GRUConfig

    def __init__(self, config: GRUConfig, input_size: int) -> None:
        super().__init__(config, input_size, nn.GRU)

    def _cell(self, x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, ...]:
        return (torch.gru_cell(x, state[0], *weights),)
