"""Two sound task heads, one of streams and one of examples, and copies of them with one mistake each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.builtin.generation.config import GenerationConfig
from seqdemo.builtin.generation.head import GenerationHead
from seqdemo.errors import DataError
from seqdemo.plugin import (
    Batch,
    Column,
    LossOutput,
    Metrics,
    ModelFactory,
    Options,
    Result,
    State,
    StepOutput,
    TaskConfig,
    TaskHead,
    TokenIO,
    Tokenizer,
)


class Streams(GenerationHead):
    """The built-in generation head."""

    def __init__(self, config: GenerationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)


class NamedConfig(TaskConfig):
    """Text in, label out."""

    tokenizer_roles: ClassVar[tuple[str, ...]] = ("text",)
    model_roles: ClassVar[tuple[str, ...]] = ("encoder",)
    columns: ClassVar[tuple[Column, ...]] = (Column("text"), Column("label", "label", role="target"))
    batching: ClassVar[Literal["streams", "examples"]] = "examples"


@dataclass(frozen=True, slots=True)
class Label(Result):
    """A label and its probability."""

    label: str
    probability: float


class Examples(TaskHead):
    """Says yes or no to a text by the model's output at its last token."""

    def __init__(self, config: NamedConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)
        self.text = tokenizers["text"]
        self.embedding = nn.Embedding(self.text.vocab_size, 6)
        self.encoder = models("encoder", 6)
        self.output = nn.Linear(self.encoder.output_size, 2)

    def encode(self, row: Mapping[str, Any]) -> Any:
        if not isinstance(row.get("text"), str) or row.get("label") not in (None, "yes", "no"):
            raise DataError("A row needs a text, and a label that is yes or no.")
        if "label" not in row:
            raise DataError("A row needs a label.")
        return self.text.encode(row["text"]), int(row["label"] == "yes")

    def collate(self, items: Sequence[Any]) -> Batch:
        longest = max(len(ids) for ids, _ in items)
        return {
            "ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in items]),
            "lengths": torch.tensor([len(ids) for ids, _ in items]),
            "labels": torch.tensor([label for _, label in items]),
        }

    def logits(self, batch: Batch) -> Tensor:
        y, _ = self.encoder(self.embedding(batch["ids"]), None, batch["lengths"])
        logits: Tensor = self.output(y[torch.arange(len(y)), batch["lengths"] - 1])
        return logits

    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        total = F.cross_entropy(self.logits(batch), batch["labels"], reduction="sum")
        return LossOutput(total, torch.tensor(len(batch["labels"])), None)

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        batch = self.collate([(self.text.encode(row["text"]), 0) for row in inputs])
        chances = self.weigh(self.logits(batch))
        return [Label(("no", "yes")[int(row.argmax())], row.max().item()) for row in chances]

    def weigh(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


class BareConfig(GenerationConfig):
    extra: int = 3


class Bare(Streams):
    def __init__(self, config: BareConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)


class OtherRole(Streams):
    def __init__(self, config: GenerationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, lambda role, size: models(f"{role}2", size))


class DemandingOptions(Options):
    size: Annotated[int, Field(ge=0, le=9, description="Something that must be said.")]


class DemandingConfig(NamedConfig):
    options: ClassVar[type[Options]] = DemandingOptions


class Demanding(Examples):
    def __init__(self, config: DemandingConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)


class PlainCount(Streams):
    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        out = super().loss(batch, state)
        return replace(out, count=out.count.item())  # type: ignore[arg-type]


class AlwaysDrops(Streams):
    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        out = super().loss(batch, state)
        return replace(out, sum=out.sum * F.dropout(torch.ones(50)).mean())


class Averages(Streams):
    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        out = super().loss(batch, state)
        return replace(out, sum=out.sum / len(batch["targets"]))


class CountsPadding(Streams):
    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        return replace(super().loss(batch, state), count=torch.tensor(batch["targets"].numel()))


class ReadsPadding(Examples):
    def logits(self, batch: Batch) -> Tensor:
        y, _ = self.encoder(self.embedding(batch["ids"]))
        logits: Tensor = self.output(y[:, -1])
        return logits

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        return [result for row in inputs for result in super(ReadsPadding, self).predict([row], options)]


class _Apart(Metrics):
    batches = 0

    def update(self, batch: Batch, output: LossOutput) -> None:
        super().update(batch, output)
        self.batches += 1

    def compute(self) -> dict[str, float]:
        return {**super().compute(), "batches": float(self.batches)}


class CountsApart(Examples):
    def metrics(self) -> Metrics:
        return _Apart()


class NamesBare(Streams):
    def initial_state(self, batch_size: int) -> State:
        return {**super().initial_state(batch_size), "age": torch.zeros(batch_size)}

    def _read(self, ids: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        y, after = super()._read(ids, state, lengths)
        return y, {**after, "age": state["age"]}

    def next(self, ids: Tensor, state: State, *others: Any, **named: Any) -> StepOutput:
        out = super().next(ids, state, *others, **named)
        return out._replace(state={**out.state, "age": state["age"]})


class StartsAnew(Streams):
    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        return super().loss(batch)


class Unused(Streams):
    def __init__(self, config: GenerationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)
        self.forgotten = nn.Parameter(torch.ones(3))


class PlainTensor(Streams):
    def __init__(self, config: GenerationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)
        self.scale = 0.5 + torch.rand(())

    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        out = super().loss(batch, state)
        return replace(out, sum=out.sum * self.scale)


class LetsKeyErrorThrough(Streams):
    def encode(self, row: Mapping[str, Any]) -> list[int]:
        return self.tokenizer.encode(row["text"])


class ComparesRows(Examples):
    def weigh(self, logits: Tensor) -> Tensor:
        return logits.softmax(0)


class DoubleLogits(Streams):
    def next(self, *given: Any, **named: Any) -> StepOutput:
        out = super().next(*given, **named)
        return out._replace(logits=out.logits.double())


class WritesState(Streams):
    def next(self, ids: Tensor, state: State, *others: Any, **named: Any) -> StepOutput:
        out = super().next(ids, state, *others, **named)
        state["head.output"].copy_(out.state["head.output"])
        return out


class OtherLogits(Streams):
    def next(self, *given: Any, **named: Any) -> StepOutput:
        out = super().next(*given, **named)
        return out._replace(logits=out.logits * 1.01)


class BlankOnNothing(Streams):
    def next(self, ids: Tensor, *others: Any, **named: Any) -> StepOutput:
        out = super().next(ids, *others, **named)
        return out if ids.shape[1] else out._replace(logits=torch.zeros_like(out.logits))


class IgnoresLengths(Streams):
    def next(self, ids: Tensor, state: State, context: Any, lengths: Any = None, trace: bool = False) -> StepOutput:
        return super().next(ids, state, context, None, trace)


class TracesOther(Streams):
    def next(self, ids: Tensor, state: State, context: Any, lengths: Any = None, trace: bool = False) -> StepOutput:
        out = super().next(ids, state, context, lengths, trace)
        return out._replace(logits=out.logits + 0.1) if trace else out


class LeavesOutBias(Streams):
    def token_io(self) -> TokenIO | None:
        tables = super().token_io()
        return tables if tables is None else tables._replace(bias=torch.zeros_like(tables.bias))


class EmptyPrompt(Streams):
    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        return self.tokenizer.encode(row["text"])


class EndsForbidden(Streams):
    @property
    def end_ids(self) -> frozenset[int]:
        return frozenset({0})

    @property
    def forbidden_ids(self) -> frozenset[int]:
        return frozenset({0, 1})


class PlainResult(Streams):
    def result(self, decoded: Any) -> Any:
        return decoded.text


BROKEN: list[tuple[str, type[TaskHead]]] = [
    ("config_described", Bare),
    ("builds", OtherRole),
    ("options_default", Demanding),
    ("loss_shape", PlainCount),
    ("eval_deterministic", AlwaysDrops),
    ("loss_adds_up", Averages),
    ("padding_does_not_count", CountsPadding),
    ("padding_does_not_count", ReadsPadding),
    ("metrics_merge", CountsApart),
    ("state_prefixed", NamesBare),
    ("stream_carries_state", StartsAnew),
    ("gradients_reach", Unused),
    ("saves_and_loads", PlainTensor),
    ("bad_rows_refused", LetsKeyErrorThrough),
    ("predicts_each_row", ComparesRows),
    ("next_shape", DoubleLogits),
    ("state_unchanged", WritesState),
    ("next_equals_logits", OtherLogits),
    ("next_of_nothing", BlankOnNothing),
    ("next_ragged", IgnoresLengths),
    ("next_traces", TracesOther),
    ("token_io_computes", LeavesOutBias),
    ("prompt_not_empty", EmptyPrompt),
    ("end_and_forbidden_ids", EndsForbidden),
    ("result_is_typed", PlainResult),
]
