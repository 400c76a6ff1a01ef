"""The head of a pretrained model.

Shape letters: ``B`` batch, ``T`` time, ``V`` vocabulary, ``H`` hidden.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqdemo.plugin import (
    Batch,
    Context,
    Decoded,
    Generation,
    LossOutput,
    Metrics,
    State,
    StepOutput,
    TokenHead,
)
from seqdemo.plugin import state as verbs

from .chat import Chat
from .config import PretrainedConfig
from .layer import Backbone, Pieces
from .tokenizer import PretrainedTokenizer

__all__ = ["LanguageMetrics", "PretrainedHead"]

ROLE = "decoder"
OUTPUT = "head.output"


class LanguageMetrics(Metrics):
    """Nats, perplexity, and bits per byte of the text."""

    def __init__(self, tokenizer: PretrainedTokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def update(self, batch: Batch, output: LossOutput) -> None:
        super().update(batch, output)
        targets = batch["targets"].flatten().tolist()
        self.add(bytes=sum(len(self._tokenizer.token_bytes(token)) for token in targets if token >= 0))

    def compute(self) -> dict[str, float]:
        loss = super().compute()["loss"]
        bits = self.totals.get("loss", 0.0) / math.log(2)
        return {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "bits_per_byte": bits / max(self.totals.get("bytes", 0.0), 1.0),
            "tokens": self.totals.get("count", 0.0),
        }


class PretrainedHead(TokenHead):
    """A pretrained model taken apart: vectors of tokens -> its layers, read by our own scans -> its output layer.

    The pipeline state is the layers' under ``decoder.`` and ``head.output`` ``(B, H)``, the last vector after the last
    norm: so a state alone gives the distribution of the next token.

    Args:
        tokenizer: of the model's ids.
        pieces: of the model.
        end_ids: ids that end a text, as the folder says.
    """

    config: PretrainedConfig

    def __init__(self, tokenizer: PretrainedTokenizer, pieces: Pieces, end_ids: Iterable[int] = ()) -> None:
        backbone = Backbone(pieces.layers, pieces.norm)
        super().__init__(PretrainedConfig(), {"text": tokenizer}, lambda role, input_size: backbone)
        self.tokenizer = tokenizer
        self.embedding = pieces.embedding
        self.decoder = backbone
        self.output = pieces.output
        self.scale = pieces.scale
        self.cap = pieces.cap
        self._ends = frozenset(end_ids)
        self._chat = Chat(tokenizer) if tokenizer.chat_template is not None else None

    # --- data ---------------------------------------------------------------------------------------------------

    def encode(self, row: Mapping[str, Any]) -> list[int]:
        """Token ids of the row's ``text``."""
        return self.tokenizer.encode(row["text"])

    def initial_state(self, batch_size: int) -> State:
        weight = self.embedding.weight
        blank = torch.zeros(batch_size, self.decoder.output_size, device=weight.device, dtype=weight.dtype)
        return verbs.prefixed(self.decoder.initial_state(batch_size), ROLE) | {OUTPUT: blank}

    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        """Cross-entropy of ``targets`` after ``inputs`` ``(B, T)``, in nats; a target of -100 does not count."""
        targets = batch["targets"]
        state = self.initial_state(targets.shape[0]) if state is None else state
        logits, after = self.logits(batch["inputs"], state, {})
        total = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
        return LossOutput(total, (targets != -100).sum(), after)

    def metrics(self) -> LanguageMetrics:
        return LanguageMetrics(self.tokenizer)

    # --- tokens -------------------------------------------------------------------------------------------------

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        """Ids of the row's ``text`` as the model's own tokenizer gives them, special tokens taken as such."""
        special = self.tokenizer.special_tokens
        return self.tokenizer.encode_prompt(row["text"]) or [special.get("bos", special.get("eos", 0))]

    def turn(self, message: str, first: bool = False, closed: bool = True) -> list[int]:
        """Ids of a message: by the tokenizer's chat template where it has one, else just its text."""
        if self._chat is not None:
            return self._chat.turn(message, first, closed)
        return self.prompt({"text": message}) if first else self.tokenizer.encode(message)

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """What the folder says, the tokenizer's ``eos``, and what the chat template closes replies with."""
        others = [self.tokenizer.special_tokens.get("eos"), self._chat.end if self._chat is not None else None]
        return self._ends | {token for token in others if token is not None}

    @cached_property
    def forbidden_ids(self) -> frozenset[int]:
        """Rows of the vocabulary that no token has. All others may come, as in the model's own ``generate``."""
        return self.tokenizer.unnamed

    def next(
        self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None, trace: bool = False
    ) -> StepOutput:
        if ids.shape[1] == 0:
            return StepOutput(self._project(state[OUTPUT]), dict(state), {})
        inner, x = verbs.unprefixed(state, ROLE), self._vectors(ids)
        if trace:
            y, inner, shown = self.decoder.trace(x, inner)
            return StepOutput(self._project(y[:, -1]), self._after(inner, y[:, -1]), shown)
        y, inner = self.decoder(x, inner, lengths)
        last = y[:, -1]
        if lengths is not None:
            lengths = lengths.to(ids.device)
            last = y[torch.arange(len(y), device=y.device), (lengths - 1).clamp(min=0)]
            last = torch.where((lengths > 0).unsqueeze(1), last, state[OUTPUT])
        return StepOutput(self._project(last), self._after(inner, last), {})

    def logits(self, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        y, inner = self.decoder(self._vectors(ids), verbs.unprefixed(state, ROLE))
        return self._project(y), self._after(inner, y[:, -1])

    def result(self, decoded: Decoded) -> Generation:
        return Generation(decoded.prompt, decoded.text, decoded.tokens, decoded.done)

    # --- inside -------------------------------------------------------------------------------------------------

    def _vectors(self, ids: Tensor) -> Tensor:
        """``(B, T)`` ids -> ``(B, T, H)``."""
        x: Tensor = self.embedding(ids)
        return x if self.scale == 1.0 else x * self.scale

    def _after(self, inner: State, last: Tensor) -> State:
        return verbs.prefixed(inner, ROLE) | {OUTPUT: last.clone()}

    def _project(self, y: Tensor) -> Tensor:
        """``(..., H)`` -> logits ``(..., V)`` float32."""
        logits: Tensor = self.output(y).float()
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)
