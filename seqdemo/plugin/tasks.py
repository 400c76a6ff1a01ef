"""Task heads: everything around the recurrent models that makes them do a job.

Shape letters: ``B`` batch, ``T`` time, ``V`` vocabulary, ``E`` embedding, ``O`` the model's output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from seqdemo.errors import PluginError

from .config import Options, SamplingOptions, TaskConfig
from .events import Done, Token
from .models import RecurrentModel, Trace
from .results import Hypothesis, Result
from .state import State
from .tokenizer import Tokenizer

__all__ = [
    "Batch",
    "Context",
    "Decoded",
    "Judged",
    "LossOutput",
    "Metrics",
    "ModelFactory",
    "StepOutput",
    "TaskHead",
    "TokenHead",
    "TokenIO",
]

Batch = dict[str, Tensor]
Context = dict[str, Tensor]
"""What a head computed once from its input and only reads while decoding: batch-first, never part of a state.

Rows of several inputs are read together: each entry is padded with zeros to the longest in every dimension but the
first. So an entry must say how much of a row counts (``lengths``), and nothing may depend on what is beyond."""


class ModelFactory(Protocol):
    """Builds the recurrent model of a role: the head says how wide its input is, the config says the rest."""

    def __call__(self, role: str, input_size: int) -> RecurrentModel: ...


@dataclass(frozen=True, slots=True)
class LossOutput:
    """A loss as a sum and a count, so that means are exact over ragged batches and over processes.

    Attributes:
        sum: scalar, in nats, with gradient.
        count: scalar, number of predictions summed over.
        state: the state after the batch (``streams``), None otherwise.
    """

    sum: Tensor
    count: Tensor
    state: State | None


class Judged(NamedTuple):
    """What predictions were found to be worth.

    Attributes:
        metrics: values by name.
        notes: how they were computed, a line each.
    """

    metrics: dict[str, float]
    notes: tuple[str, ...] = ()


class StepOutput(NamedTuple):
    """What reading some tokens gave.

    Attributes:
        logits: ``(B, V)`` float32, for the token after the last one read.
        state: the state after all tokens read.
        trace: inner values of the model, name -> ``(B, T, ...)``; empty unless asked for.
        attention: ``(B, S)``, how much each position of the source was attended to for these logits; a row sums to 1
            over what counts of its source. None where the head attends to nothing.
    """

    logits: Tensor
    state: State
    trace: Trace
    attention: Tensor | None = None


class TokenIO(NamedTuple):
    """What a stepper may fold into a model's own weights.

    Attributes:
        embedding: ``(V, I)``: row ``id`` is exactly what the model is fed for that token.
        weight: ``(V, P)``: logits are ``weight @ p + bias``.
        bias: ``(V,)``.
        project: ``(P, O)`` and ``(P,)``: ``p = project[0] @ y + project[1]``, where ``y`` is the model's output; None
            where ``p = y``.
        model: the model between the two; None where it is more than one.
        role: what its entries in the pipeline state are prefixed by.
        output: the entry of the pipeline state that keeps ``y``, if one does.
    """

    embedding: Tensor
    weight: Tensor
    bias: Tensor
    project: tuple[Tensor, Tensor] | None = None
    model: RecurrentModel | None = None
    role: str = "decoder"
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoding loop made of one input.

    Attributes:
        prompt: the input's first column.
        text: what was decoded.
        tokens: one event for each token; a search has none.
        done: why it ended and what it cost.
        hypotheses: what a search found, the best first, which is ``text``; empty where tokens were drawn.
        attention: ``(T, S)``, ``StepOutput.attention`` as each token of ``text``, and the end token if it has one, was
            chosen; None where it was not kept.
    """

    prompt: str
    text: str
    tokens: tuple[Token, ...]
    done: Done
    hypotheses: tuple[Hypothesis, ...] = ()
    attention: Tensor | None = None


class Metrics:
    """Sums that are added up over batches and processes, and what they amount to.

    Subclasses add to ``totals`` in ``update`` and read them in ``compute``.
    """

    def __init__(self) -> None:
        self.totals: dict[str, float] = {}

    def add(self, **sums: float) -> None:
        """Add to named totals."""
        for name, value in sums.items():
            self.totals[name] = self.totals.get(name, 0.0) + float(value)

    def merge(self, totals: Mapping[str, float]) -> None:
        """Add another process's totals."""
        self.add(**totals)

    def update(self, batch: Batch, output: LossOutput) -> None:
        """Count one batch.

        Args:
            output: what ``loss`` gave for it, without the state. Metrics that need more than sum and count find it in a
                subclass of ``LossOutput`` that their head returns.
        """
        self.add(loss=output.sum.item(), count=output.count.item())

    def compute(self) -> dict[str, float]:
        """Metric values by name; ``loss`` (nats per prediction, lower is better) is always there."""
        return {"loss": self.totals.get("loss", 0.0) / max(self.totals.get("count", 0.0), 1.0)}


class TaskHead(nn.Module):
    """Base of every task head; built as ``cls(config, tokenizers, models)``.

    Args:
        config: an instance of the record's config class.
        tokenizers: by role, as ``config.tokenizer_roles`` names them.
        models: factory of recurrent models, asked for each of ``config.model_roles``.
    """

    config: TaskConfig

    def __init__(self, config: TaskConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__()
        self.config = config
        self.tokenizers = dict(tokenizers)

    def encode(self, row: Mapping[str, Any]) -> Any:
        """One row of data, ready for ``collate``. With ``streams`` batching: the row's token ids, ``list[int]``.

        Raises:
            DataError, TokenizerError: the row cannot be used.
        """
        raise PluginError(f"{type(self).__name__} must define encode(row).")

    def collate(self, items: Sequence[Any]) -> Batch:
        """Encoded rows -> one batch (``examples`` batching only).

        With ``streams`` the trainer makes ``{"inputs": (B, T), "targets": (B, T)}`` by itself; a target of -100 is
        not counted.
        """
        raise PluginError(f"{type(self).__name__} must define collate(items), or declare batching = 'streams'.")

    def size(self, item: Any) -> int:
        """How long an encoded row is (``examples`` batching only): batches are made of rows of like size."""
        return 0

    def initial_state(self, batch_size: int) -> State:
        """The pipeline state before anything is read; every entry is prefixed by a role or ``head``."""
        raise PluginError(f"{type(self).__name__} must define initial_state(batch_size).")

    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        """Loss of a batch. With ``streams`` batching ``state`` is the state before it (None: initial)."""
        raise PluginError(f"{type(self).__name__} must define loss(batch, state).")

    def metrics(self) -> Metrics:
        """A fresh counter."""
        return Metrics()

    def judge(self, rows: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> Judged:
        """Compare predictions with the rows they were made for, targets included; what the loss already tells is no
        part of it."""
        return Judged({})

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        """One typed result for each input. Heads that emit tokens leave this to the decoding loops."""
        raise PluginError(f"{type(self).__name__} must define predict(inputs, options).")

    def predicting(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> Iterator[Result | None]:
        """``predict`` in pieces, between which others get their turns: the results in order, among them None after each
        piece of work that led to none. A piece is to take at most some 50 ms; here it is eight inputs.
        """
        for start in range(0, len(inputs), 8):
            yield from self.predict(inputs[start : start + 8], options)


class TokenHead(TaskHead):
    """A head that emits tokens. It gives distributions; every loop over tokens is in ``decoding``.

    Attributes:
        precision: in which steppers are to compute: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"int8"``. Everything else
            the head does stays in the precision of its weights.
    """

    precision: str = "auto"

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        """Ids the decoder reads before the first token is chosen; at least one."""
        raise PluginError(f"{type(self).__name__} must define prompt(row).")

    def turn(self, message: str, first: bool = False, closed: bool = True) -> list[int]:
        """Ids of a message in a session, with the turn template around it.

        Args:
            message: its text.
            first: nothing was read before it.
            closed: the reply before it ended with the template's own end; if not, that end comes first.
        """
        raise PluginError(f"{type(self).__name__} has no turns: it cannot hold a session.")

    def start(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        """Context and state of ``B`` inputs before any decoder token is read."""
        return {}, self.initial_state(len(rows))

    def next(
        self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None, trace: bool = False
    ) -> StepOutput:
        """Read tokens and give the distribution of the one after them.

        Args:
            ids: ``(B, T)`` long; ``T = 0`` gives the distribution of the state as it stands.
            state: before ``ids``; not modified.
            context: as ``start`` gave it.
            lengths: ``(B,)``, right padding.
            trace: also return the model's inner values.
        """
        raise PluginError(f"{type(self).__name__} must define next(ids, state, context, lengths).")

    def logits(self, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        """Read ``ids`` ``(B, T)``: the logits after each of them, ``(B, T, V)`` float32, and the state at the end."""
        raise PluginError(f"{type(self).__name__} must define logits(ids, state, context).")

    def max_tokens(self, row: Mapping[str, Any], options: SamplingOptions) -> int:
        """How many tokens may be decoded for an input; where it can be told from the input, fewer than the options
        say."""
        return options.max_tokens

    def result(self, decoded: Decoded) -> Result:
        """The typed result of a finished decoding loop."""
        raise PluginError(f"{type(self).__name__} must define result(decoded).")

    @property
    def output_tokenizer(self) -> Tokenizer:
        """The tokenizer of the emitted ids."""
        return self.tokenizers[self.config.tokenizer_roles[-1]]

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end a text."""
        special = self.output_tokenizer.special_tokens
        return frozenset(special[name] for name in ("eos",) if name in special)

    @property
    def forbidden_ids(self) -> frozenset[int]:
        """Ids that are never chosen."""
        special = self.output_tokenizer.special_tokens
        return frozenset(special[name] for name in ("unk", "pad", "bos") if name in special)

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """Texts that end a reply in this pipeline's format, beside those of the options."""
        return ()

    def token_io(self) -> TokenIO | None:
        """Embedding and output weight for steppers, or None where the head is not that simple."""
        return None
