"""What the checks of task heads work with: heads around small models, rows, batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from pydantic import BaseModel

from seqdemo.errors import ConfigError
from seqdemo.plugin import (
    Batch,
    ModelConfig,
    RecurrentModel,
    State,
    TaskConfig,
    TaskHead,
    TokenHead,
    Tokenizer,
    build_model,
)

from .core import fail, inapplicable
from .lab import Lab, nudge
from .model_lab import SMALL

if TYPE_CHECKING:
    from .subjects import ModelSubject, TaskSubject, TokenizerSubject

__all__ = ["TaskLab"]

_TEXTS = ("It was late.", "Nobody came, and the rain went on.", "Why?", "She laughed: of course!", "A red door; 1895.")


class TaskLab(Lab["TaskSubject"]):
    """Builds the subject afresh for every use, around tokenizers trained once."""

    def __init__(
        self,
        subject: TaskSubject,
        model: Callable[[str], ModelSubject],
        tokenizer: Callable[[str], TokenizerSubject],
    ) -> None:
        super().__init__(subject)
        self._model = model(subject.model) if isinstance(subject.model, str) else subject.model
        self._tokenizer = tokenizer(subject.tokenizer) if isinstance(subject.tokenizer, str) else subject.tokenizer
        self.models: dict[str, RecurrentModel] = {}

    @property
    def schemas(self) -> tuple[type[BaseModel], ...]:
        config = cast(type[TaskConfig], self.subject.config_class())
        return config, config.options

    @cached_property
    def _given(self) -> TaskConfig:
        return cast(TaskConfig, self.subject.resolve_config(({"embedding_size": 6},)))

    @cached_property
    def config(self) -> TaskConfig:
        """The config as training would complete it from the rows."""
        return self._given.completed(self.rows)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of data.

        Raises:
            ConfigError: none were given, and a column is neither text nor label.
        """
        if self.subject.rows is not None:
            return [dict(row) for row in self.subject.rows]
        makers: dict[str, Sequence[str]] = {"text": _TEXTS, "label": ("yes", "no", "no", "yes", "no")}
        strange = [column for column in self._given.columns if column.kind not in makers]
        if strange:
            raise ConfigError(
                f"{self.subject.label} has the column {strange[0].name!r} of kind {strange[0].kind!r}: "
                "give rows=[{…}, …], five or so of different lengths."
            )
        return [
            {column.name: makers[column.kind][place] for column in self._given.columns} for place in range(len(_TEXTS))
        ]

    @cached_property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """By role, trained on all texts of the rows."""
        texts = [value for row in self.rows for value in row.values() if isinstance(value, str)]
        config = self._tokenizer.resolve_config()
        made: Tokenizer = self._tokenizer.resolve().train(texts, config)  # type: ignore[attr-defined]
        return dict.fromkeys(self.config.tokenizer_roles, made)

    def build(self, seed: int = 0) -> TaskHead:
        """The head as it is when new, in evaluation mode; ``models`` holds its recurrent models by role."""
        torch.manual_seed(seed)
        self.models = {}
        config = cast(ModelConfig, self._model.resolve_config(SMALL))

        def factory(role: str, input_size: int) -> RecurrentModel:
            self.models[role] = build_model(self._model.resolve(), config, input_size)
            return self.models[role]

        made: object = self.subject.resolve()(self.config, self.tokenizers, factory)
        if not isinstance(made, TaskHead):
            fail(f"it built a {type(made).__name__}", "a TaskHead")
        return made.eval()

    def head(self, seed: int = 0) -> TaskHead:
        """The head in float64, its parameters moved a little from where they start."""
        head = self.build(seed).double()
        nudge(head)
        return head

    def token_head(self) -> TokenHead:
        """The head, where it emits tokens."""
        head = self.head()
        if not isinstance(head, TokenHead):
            inapplicable("it emits no tokens")
        return head

    @property
    def streams(self) -> bool:
        """Whether its data are streams."""
        return self.config.batching == "streams"

    def only_streams(self) -> None:
        """Leave the check where the data are examples."""
        if not self.streams:
            inapplicable("its batching is examples")

    def batch(self, head: TaskHead, rows: Sequence[int], time: int = 12) -> Batch:
        """The batch of some of the rows; with streams, windows of ``time`` tokens out of all texts."""
        if not self.streams:
            return head.collate([head.encode(self.rows[row]) for row in rows])
        ids = [token for row in self.rows for token in head.encode(row)]
        ids = ids * (1 + (len(self.rows) * 3 + time + 1) // max(len(ids), 1))
        inputs = torch.tensor([ids[3 * row : 3 * row + time] for row in rows])
        targets = torch.tensor([ids[3 * row + 1 : 3 * row + time + 1] for row in rows])
        return {"inputs": inputs, "targets": targets}

    def begin(self, head: TokenHead, rows: Sequence[int]) -> tuple[Mapping[str, torch.Tensor], State]:
        """Context and state of some of the rows."""
        return head.start([self.inputs(row) for row in rows])

    def inputs(self, row: int) -> dict[str, Any]:
        """What of a row is given at prediction time."""
        names = [column.name for column in self.config.columns if column.role == "input"]
        return {name: self.rows[row][name] for name in names if name in self.rows[row]}

    def ids(self, head: TokenHead, rows: int, time: int) -> torch.Tensor:
        """Random ids ``(B, T)`` of the emitted vocabulary."""
        draw = torch.Generator().manual_seed(5)
        return torch.randint(head.output_tokenizer.vocab_size, (rows, time), generator=draw)
