"""Recurrent models: vectors and a state in, vectors and a state out.

Shape letters: ``B`` batch, ``T`` time, ``I`` input, ``O`` output, ``H`` hidden.

The thirty-line way in is a :class:`Cell`. A fused, scanned or chunked ``forward`` overrides the loop, and must agree
with repeated ``step`` and with any split of the sequence: the product stands on that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from seqdemo.errors import NotCausalError, PluginError

from . import state as verbs
from .config import ModelConfig
from .sequence import blank_padding, reverse, valid
from .state import State

__all__ = ["Bidirectional", "Cell", "RecurrentModel", "Stack", "build_model"]

Trace = dict[str, Tensor]


class RecurrentModel(nn.Module):
    """Vectors ``(B, T, I)`` + state -> vectors ``(B, T, O)`` + state.

    Override ``initial_state`` and at least one of ``forward`` and ``step``; each has a default written with the other.
    A class registered as a model is built as ``cls(config, input_size)``.

    Args:
        input_size: ``I``.
        output_size: ``O``; heads never assume that it equals a hidden size.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size

    @property
    def causal(self) -> bool:
        """Whether the output at a position depends on nothing after it."""
        return True

    def initial_state(self, batch_size: int) -> State:
        """The state before anything is read, ``batch_size`` rows on the model's device. It need not be zero."""
        raise PluginError(f"{type(self).__name__} must define initial_state(batch_size).")

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Read a whole sequence.

        Args:
            x: ``(B, T, I)``.
            state: the state before ``x``, never modified; ``initial_state(B)`` when None.
            lengths: ``(B,)`` long, right padding whose content may be NaN; all of ``x`` when None.

        Returns:
            ``y`` ``(B, T, O)``, zero in the padding, and the state at each row's own length (length 0: the incoming).
        """
        if type(self).step is RecurrentModel.step:
            raise PluginError(f"{type(self).__name__} must define forward or step.")
        state = self.initial_state(x.shape[0]) if state is None else state
        inside = None if lengths is None else valid(lengths.to(x.device), x.shape[1])
        x = blank_padding(x, lengths)
        outputs: list[Tensor] = []
        for t in range(x.shape[1]):
            y, new = self.step(x[:, t], state)
            state = new if inside is None else verbs.where(inside[:, t], new, state)
            outputs.append(y)
        if not outputs:
            return x.new_zeros(x.shape[0], 0, self.output_size), dict(state)
        return blank_padding(torch.stack(outputs, 1), lengths), state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one position: ``x`` ``(B, I)`` -> ``y`` ``(B, O)`` and the state after it.

        Raises:
            NotCausalError: the model is not causal.
        """
        if not self.causal:
            raise NotCausalError(
                f"{type(self).__name__} reads the future (it is bidirectional), so it cannot be stepped. "
                "Use a causal model here: bidirectional=False."
            )
        y, state = self(x.unsqueeze(1), state)
        return y.squeeze(1), state

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        """``forward`` without lengths, and what happened inside: name -> ``(B, T, ...)``. No names when not shown."""
        y, state = self(x, state)
        return y, state, {}


class Cell(RecurrentModel):
    """One layer as one pure step. Write ``initial_state`` and ``step``, or ``trace_step`` to show gates.

    A Cell class registered as a model is built as ``cls(config, input_size)`` and stacked by its config.
    """

    def trace_step(self, x: Tensor, state: State) -> tuple[Tensor, State, Trace]:
        """One step and its inner values: ``x`` ``(B, I)`` -> ``y`` ``(B, O)``, state, name -> ``(B, ...)``."""
        if type(self).step is Cell.step:
            raise PluginError(f"{type(self).__name__} must define step or trace_step.")
        y, state = self.step(x, state)
        return y, state, {}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state, _ = self.trace_step(x, state)
        return y, state

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        state = self.initial_state(x.shape[0]) if state is None else state
        outputs: list[Tensor] = []
        traces: list[Trace] = []
        for t in range(x.shape[1]):
            y, state, inner = self.trace_step(x[:, t], state)
            outputs.append(y)
            traces.append(inner)
        if not outputs:
            return x.new_zeros(x.shape[0], 0, self.output_size), dict(state), {}
        named = {name: torch.stack([inner[name] for inner in traces], 1) for name in traces[0]}
        return torch.stack(outputs, 1), state, named


class Stack(RecurrentModel):
    """Layers above one another. Layer ``k``'s state entries are named ``layer{k}.…``.

    Args:
        layers: causal or not; each one's ``input_size`` is the ``output_size`` of the one below.
        dropout: on the output of every layer except the last, while training.
        residual: add a layer's input to its output wherever the sizes agree.
    """

    def __init__(self, layers: Sequence[RecurrentModel], dropout: float = 0.0, residual: bool = False) -> None:
        if not layers:
            raise PluginError("A Stack needs at least one layer.")
        for below, above in pairwise(layers):
            if below.output_size != above.input_size:
                raise PluginError(
                    f"A layer that gives {below.output_size} values feeds one that takes {above.input_size}."
                )
        super().__init__(layers[0].input_size, layers[-1].output_size)
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout
        self.residual = residual

    @property
    def causal(self) -> bool:
        return all(layer.causal for layer in self._layers)

    @property
    def _layers(self) -> list[RecurrentModel]:
        return [cast(RecurrentModel, layer) for layer in self.layers]

    def initial_state(self, batch_size: int) -> State:
        state: State = {}
        for k, layer in enumerate(self._layers):
            state |= verbs.prefixed(layer.initial_state(batch_size), f"layer{k}")
        return state

    def _between(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        if self.residual and x.shape == y.shape:
            y = x + y
        last = k == len(self.layers) - 1
        return y if last else nn.functional.dropout(y, self.dropout, self.training)

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        x = blank_padding(x, lengths)
        after: State = {}
        for k, layer in enumerate(self._layers):
            y, inner = layer(x, verbs.unprefixed(state, f"layer{k}"), lengths)
            after |= verbs.prefixed(inner, f"layer{k}")
            x = self._between(k, x, y)
        return x, after

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        after: State = {}
        for k, layer in enumerate(self._layers):
            y, inner = layer.step(x, verbs.unprefixed(state, f"layer{k}"))
            after |= verbs.prefixed(inner, f"layer{k}")
            x = self._between(k, x, y)
        return x, after

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        state = self.initial_state(x.shape[0]) if state is None else state
        after: State = {}
        traces: Trace = {}
        for k, layer in enumerate(self._layers):
            y, inner, named = layer.trace(x, verbs.unprefixed(state, f"layer{k}"))
            after |= verbs.prefixed(inner, f"layer{k}")
            traces |= verbs.prefixed(named, f"layer{k}")
            x = self._between(k, x, y)
        return x, after, traces


class Bidirectional(RecurrentModel):
    """Two causal models, one reading forwards and one backwards, as one model that is not causal.

    ``y`` is ``(B, T, Oa + Ob)``. State entries are named ``forward.…`` and ``backward.…``; the backward one's final
    state is the one after position 0. ``step`` raises.

    Args:
        ahead: reads from the first position to the last.
        back: reads from each row's last position to its first.
    """

    def __init__(self, ahead: RecurrentModel, back: RecurrentModel) -> None:
        if ahead.input_size != back.input_size:
            raise PluginError(
                f"Two directions read one input, but take {ahead.input_size} and {back.input_size} values."
            )
        super().__init__(ahead.input_size, ahead.output_size + back.output_size)
        self.ahead = ahead
        self.back = back

    @property
    def causal(self) -> bool:
        return False

    def initial_state(self, batch_size: int) -> State:
        return verbs.prefixed(self.ahead.initial_state(batch_size), "forward") | verbs.prefixed(
            self.back.initial_state(batch_size), "backward"
        )

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        x = blank_padding(x, lengths)
        right, after = self.ahead(x, verbs.unprefixed(state, "forward"), lengths)
        left, before = self.back(reverse(x, lengths), verbs.unprefixed(state, "backward"), lengths)
        both = torch.cat([right, reverse(left, lengths)], 2)
        return both, verbs.prefixed(after, "forward") | verbs.prefixed(before, "backward")

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return RecurrentModel.step(self, x, state)

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, Trace]:
        state = self.initial_state(x.shape[0]) if state is None else state
        right, after, ahead = self.ahead.trace(x, verbs.unprefixed(state, "forward"))
        left, before, back = self.back.trace(x.flip(1), verbs.unprefixed(state, "backward"))
        traces = verbs.prefixed(ahead, "forward") | {f"backward.{n}": t.flip(1) for n, t in back.items()}
        after = verbs.prefixed(after, "forward") | verbs.prefixed(before, "backward")
        return torch.cat([right, left.flip(1)], 2), after, traces


def build_model(implementation: Callable[..., RecurrentModel], config: ModelConfig, input_size: int) -> RecurrentModel:
    """Build a registered model.

    A :class:`Cell` class is stacked ``config.num_layers`` high with ``config.dropout`` between the layers, and with
    ``residual`` and ``bidirectional`` where the config has these fields. Anything else is called as it is.

    Raises:
        PluginError: what came back is not a recurrent model.
    """
    make: Callable[[ModelConfig, int], RecurrentModel] = implementation
    if isinstance(implementation, type) and issubclass(implementation, Cell):
        both = getattr(config, "bidirectional", False)
        layers: list[RecurrentModel] = []
        for _ in range(config.num_layers):
            below = layers[-1].output_size if layers else input_size
            ahead = make(config, below)
            layers.append(Bidirectional(ahead, make(config, below)) if both else ahead)
        return Stack(layers, config.dropout, getattr(config, "residual", False))
    model = make(config, input_size)
    if not isinstance(model, RecurrentModel):
        raise PluginError(f"{implementation!r} returned a {type(model).__name__}, expected a RecurrentModel.")
    return model
