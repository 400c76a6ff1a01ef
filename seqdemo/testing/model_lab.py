"""What the checks of recurrent models work with: models in evaluation mode, inputs, states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from seqdemo.plugin import Config, ModelConfig, RecurrentModel, State, build_model

from .lab import Lab, nudge

if TYPE_CHECKING:
    from .subjects import ModelSubject

__all__ = ["SMALL", "ModelLab"]

SMALL: tuple[Mapping[str, Any], ...] = (
    {"hidden_size": 8, "num_layers": 2},
    {"hidden_size": 16, "num_layers": 2},
    {"hidden_size": 64, "num_layers": 2},
    {"hidden_size": 64},
)


class ModelLab(Lab["ModelSubject"]):
    """Builds the subject afresh for every use, so that no check sees what another left behind."""

    def __init__(self, subject: ModelSubject) -> None:
        super().__init__(subject)
        self.input_size = subject.input_size

    @cached_property
    def config(self) -> Config:
        return self.subject.resolve_config(SMALL)

    def config_with(self, **values: Any) -> Config:
        """The config with other values, where it has such fields and accepts them."""
        given = self.config.model_dump()
        try:
            return type(self.config).model_validate(
                given | {name: values[name] for name in values.keys() & given.keys()}
            )
        except ValueError:
            return self.config

    def build(self, seed: int = 0, config: Config | None = None) -> RecurrentModel:
        """The model as it is when new, under a seed."""
        torch.manual_seed(seed)
        chosen = cast(ModelConfig, config or self.config)
        return build_model(self.subject.resolve(), chosen, self.input_size).eval()

    def model(self, dtype: torch.dtype = torch.float64) -> RecurrentModel:
        """The model with its parameters moved a little from where they start."""
        model = self.build().to(torch.float64)
        nudge(model)
        return model.to(dtype)

    def x(self, rows: int, time: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        """Input ``(B, T, I)``, standard normal."""
        draw = torch.Generator().manual_seed(seed)
        return torch.randn(rows, time, self.input_size, generator=draw, dtype=torch.float64).to(dtype)

    def used(self, model: RecurrentModel, rows: int, seed: int = 7) -> State:
        """A state of ``rows`` rows that have read three positions."""
        state: State = model(self.x(rows, 3, seed), model.initial_state(rows))[1]
        return state

    def stepped(self, model: RecurrentModel, x: Tensor, state: State) -> tuple[Tensor, State]:
        """``x`` ``(B, T, I)`` read one position at a time."""
        outputs: list[Tensor] = []
        for t in range(x.shape[1]):
            y, state = model.step(x[:, t], state)
            outputs.append(y)
        return torch.stack(outputs, 1), state

    def in_pieces(self, model: RecurrentModel, x: Tensor, state: State, cuts: Sequence[int]) -> tuple[Tensor, State]:
        """``x`` ``(B, T, I)`` read in pieces that end at the cuts."""
        outputs: list[Tensor] = []
        for start, end in zip([0, *cuts], [*cuts, x.shape[1]], strict=True):
            y, state = model(x[:, start:end], state)
            outputs.append(y)
        return torch.cat(outputs, 1), state

    def weights_like(self, tensor: Tensor) -> Tensor:
        """Random weights for a sum, of a tensor's shape."""
        draw = torch.Generator().manual_seed(11)
        return torch.randn(tensor.shape, generator=draw, dtype=torch.float64)
