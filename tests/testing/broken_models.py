"""One sound recurrent model, and copies of it with one mistake each."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.plugin import ModelConfig, RecurrentModel, State, Trace
from seqdemo.plugin.sequence import blank_padding, valid


class SoundConfig(ModelConfig):
    """Nothing but the base fields."""


class Sound(RecurrentModel):
    """``h' = tanh(W x + U h + b)``, with a learned start; the parts that a mistake replaces are methods."""

    TRACE_RANGES: ClassVar[dict[str, tuple[float, float]]] = {"gate": (0.0, 1.0)}

    def __init__(self, config: SoundConfig, input_size: int) -> None:
        super().__init__(input_size, config.hidden_size)
        self.enter = nn.Linear(input_size, config.hidden_size)
        self.back = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.begin = nn.Parameter(torch.zeros(config.hidden_size))

    def initial_state(self, batch_size: int) -> State:
        return {"h": self.begin.expand(batch_size, -1).clone()}

    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.enter(x) + self.back(h)).to(h.dtype)

    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        h, outputs = state["h"], []
        for t in range(x.shape[1]):
            new = self.cell(x[:, t], h)
            h = new if inside is None else torch.where(inside[:, t, None], new, h)
            outputs.append(new)
        y = torch.stack(outputs, 1) if outputs else x.new_zeros(len(x), 0, self.output_size)
        return y, {**state, "h": h}

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        state = self.initial_state(len(x)) if state is None else state
        inside = None if lengths is None else valid(lengths, x.shape[1])
        y, after = self.read(blank_padding(x, lengths), state, inside)
        return blank_padding(y, lengths), after

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = self.read(x.unsqueeze(1), state, None)
        return y[:, 0], after

    def trace(self, x: Tensor, state: Any = None) -> tuple[Tensor, State, Trace]:
        y, after = self.forward(x, state)
        return y, after, {"gate": torch.sigmoid(self.enter(x))}


class BareConfig(SoundConfig):
    extra: int = 3


class Bare(Sound):
    def __init__(self, config: BareConfig, input_size: int) -> None:
        super().__init__(config, input_size)


class Transposed(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        y, after = super().forward(x, state, lengths)
        return y.transpose(1, 2), after


class LayersFirst(Sound):
    def initial_state(self, batch_size: int) -> State:
        return {"h": super().initial_state(batch_size)["h"].unsqueeze(0)}

    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        y, after = super().read(x, {"h": state["h"][0]}, inside)
        return y, {"h": after["h"].unsqueeze(0)}


class DrawnElsewhere(Sound):
    def __init__(self, config: SoundConfig, input_size: int) -> None:
        super().__init__(config, input_size)
        self.back.weight.data.copy_(torch.from_numpy(np.random.default_rng().normal(size=self.back.weight.shape)))


class SingleStart(Sound):
    def initial_state(self, batch_size: int) -> State:
        return {"h": torch.zeros(batch_size, self.output_size) + self.begin.float()}


class ScalesInput(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        return super().forward(x.mul_(0.5), state, lengths)


class WritesState(Sound):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = super().step(x, state)
        state["h"].copy_(after["h"])
        return y, after


class AlwaysDrops(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        y, after = super().forward(x, state, lengths)
        return F.dropout(y, 0.5), after


class DrawsForNothing(Sound):
    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        torch.rand(1)
        return super().cell(x, h)


class RemembersItself(Sound):
    kept = 0.0

    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        new = super().cell(x, h) + self.kept
        self.kept = 0.1 * new.detach().mean().item()
        return new


class ClockOnModule(Sound):
    ticks = 0

    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        self.ticks += 1
        return super().cell(x, h) + float(self.ticks % 2)


class CountsSessions(Sound):
    opened = 0

    def initial_state(self, batch_size: int) -> State:
        self.opened += 1
        return super().initial_state(batch_size)

    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        return super().cell(x, h) + 0.1 * self.opened


class KeepsHistory(Sound):
    def initial_state(self, batch_size: int) -> State:
        return {**super().initial_state(batch_size), "seen": self.begin.new_zeros(batch_size, 0)}

    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        y, after = super().read(x, state, inside)
        return y, {**after, "seen": torch.cat([state["seen"], x[:, :, 0].to(state["seen"].dtype)], 1)}


class ZeroStart(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        if state is None:
            state = {"h": torch.zeros_like(self.initial_state(len(x))["h"])}
        return super().forward(x, state, lengths)


class SeesMean(Sound):
    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        return super().read(x + x.mean(1, keepdim=True) if x.shape[1] else x, state, inside)


class SaysNotCausal(Sound):
    @property
    def causal(self) -> bool:
        return False


class MixesRows(Sound):
    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        new = super().cell(x, h)
        return new + 0.1 * new.mean(0, keepdim=True)


class Squeezes(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        y, after = super().forward(x, state, lengths)
        return (y.squeeze(1) if x.shape[1] == 1 and len(x) == 1 else y), after


class StepHasBias(Sound):
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = super().step(x, state)
        return y + 0.01, after


class StartsAnew(Sound):
    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        return super().read(x, self.initial_state(len(x)) if x.shape[1] > 1 else state, inside)


class NeedsInput(Sound):
    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        if x.shape[1] == 0:
            raise RuntimeError("stack expects a non-empty list")
        return super().read(x, state, inside)


class OneClock(Sound):
    def initial_state(self, batch_size: int) -> State:
        return {**super().initial_state(batch_size), "position": self.begin.new_zeros(batch_size)}

    def read(self, x: Tensor, state: State, inside: Tensor | None) -> tuple[Tensor, State]:
        clock, outputs, now = state["position"], [], state
        for t in range(x.shape[1]):
            now = {**now, "position": clock}
            y, now = super().read(x[:, t : t + 1] + clock[0] % 3, now, None if inside is None else inside[:, t : t + 1])
            clock = clock + 1
            outputs.append(y)
        return torch.cat(outputs, 1) if outputs else super().read(x, state, inside)[0], {**now, "position": clock}


class ReadsPadding(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        y, after = super().forward(blank_padding(x, lengths), state)
        empty = None if lengths is None or state is None else (lengths == 0).unsqueeze(1)
        kept = after if empty is None else {"h": torch.where(empty, state["h"], after["h"])}
        return blank_padding(y, lengths), kept


class ClampsLengths(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        if lengths is None or x.shape[1] == 0:
            return super().forward(x, state, lengths)
        y, after = super().forward(blank_padding(x, lengths), state, lengths.clamp(min=1))
        return blank_padding(y, lengths), after


class FillsPadding(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        state = self.initial_state(len(x)) if state is None else state
        return self.read(blank_padding(x, lengths), state, None if lengths is None else valid(lengths, x.shape[1]))


class Unused(Sound):
    def __init__(self, config: SoundConfig, input_size: int) -> None:
        super().__init__(config, input_size)
        self.forgotten = nn.Parameter(torch.ones(3))


class CutsTime(Sound):
    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        return super().cell(x, h.detach() + 0.5 * (h - h.detach()))


class SelectsLate(Sound):
    def forward(self, x: Tensor, state: Any = None, lengths: Any = None) -> tuple[Tensor, State]:
        state = self.initial_state(len(x)) if state is None else state
        y, after = self.read(x, state, None if lengths is None else valid(lengths, x.shape[1]))
        return blank_padding(y, lengths), after


class PlainTensor(Sound):
    def __init__(self, config: SoundConfig, input_size: int) -> None:
        super().__init__(config, input_size)
        self.scale = 0.5 + torch.rand(())

    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        return super().cell(x * self.scale.to(x.device), h)


class ComplexState(Sound):
    def initial_state(self, batch_size: int) -> State:
        angle = torch.zeros(batch_size, 2, dtype=torch.complex128, device=self.begin.device)
        return {**super().initial_state(batch_size), "angle": angle}


class OnTheProcessor(Sound):
    def initial_state(self, batch_size: int) -> State:
        begin = torch.zeros(batch_size, self.output_size, dtype=self.begin.dtype)
        return {"h": begin if self.begin.is_meta else begin + self.begin}


class Narrows(Sound):
    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.enter(x) + self.back(h))


class Scratch(Sound):
    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        self.x = x
        time.sleep(1e-5)
        return super().cell(self.x, h)


class TracesOther(Sound):
    def trace(self, x: Tensor, state: Any = None) -> tuple[Tensor, State, Trace]:
        y, after, inner = super().trace(x, state)
        return y * 1.01, after, inner


class TracesTimeFirst(Sound):
    def trace(self, x: Tensor, state: Any = None) -> tuple[Tensor, State, Trace]:
        y, after, inner = super().trace(x, state)
        return y, after, {"gate": inner["gate"].transpose(0, 1)}


class TracesBeforeBound(Sound):
    def trace(self, x: Tensor, state: Any = None) -> tuple[Tensor, State, Trace]:
        y, after, _ = super().trace(x, state)
        return y, after, {"gate": self.enter(x)}


class MisnamesRange(Sound):
    TRACE_RANGES: ClassVar[dict[str, tuple[float, float]]] = {"forget": (0.0, 1.0)}


class Hoards(Sound):
    def __init__(self, config: SoundConfig, input_size: int) -> None:
        super().__init__(config, input_size)
        self.history: list[Tensor] = []

    def cell(self, x: Tensor, h: Tensor) -> Tensor:
        new = super().cell(x, h)
        self.history.append(new.detach())
        return new


BROKEN: list[tuple[str, type[Sound]]] = [
    ("config_described", Bare),
    ("builds", Transposed),
    ("initial_state_flat", LayersFirst),
    ("same_seed_same_weights", DrawnElsewhere),
    ("dtype_follows", SingleStart),
    ("input_unchanged", ScalesInput),
    ("state_unchanged", WritesState),
    ("eval_deterministic", AlwaysDrops),
    ("no_hidden_randomness", DrawsForNothing),
    ("continuations_agree", RemembersItself),
    ("continuations_agree", ClockOnModule),
    ("sessions_independent", CountsSessions),
    ("state_size_constant", KeepsHistory),
    ("none_is_initial_state", ZeroStart),
    ("causality", SeesMean),
    ("causality", SaysNotCausal),
    ("rows_independent", MixesRows),
    ("one_row_one_token", Squeezes),
    ("step_equals_forward", StepHasBias),
    ("any_split", StartsAnew),
    ("empty_input", NeedsInput),
    ("rows_of_any_age", OneClock),
    ("ragged_rows", ReadsPadding),
    ("ragged_empty_row", ClampsLengths),
    ("padding_is_zero", FillsPadding),
    ("gradients_reach", Unused),
    ("gradients_match", CutsTime),
    ("padding_gradients", SelectsLate),
    ("weights_save_load", PlainTensor),
    ("state_save_load", ComplexState),
    ("device_follows", OnTheProcessor),
    ("autocast_keeps_state", Narrows),
    ("two_threads", Scratch),
    ("trace_agrees", TracesOther),
    ("trace_shapes", TracesTimeFirst),
    ("trace_ranges", TracesBeforeBound),
    ("trace_ranges", MisnamesRange),
    ("flat_over_10000_steps", Hoards),
]
