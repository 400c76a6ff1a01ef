"""The generation head.

Shape letters: ``B`` batch, ``T`` time, ``V`` vocabulary, ``E`` embedding, ``O`` the model's output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqdemo.errors import ConfigError, DataError, TokenizerError
from seqdemo.plugin import (
    Batch,
    Context,
    Decoded,
    Generation,
    LossOutput,
    ModelFactory,
    State,
    StepOutput,
    TokenHead,
    TokenIO,
    Tokenizer,
)
from seqdemo.plugin import state as verbs

from .config import GenerationConfig
from .metrics import LanguageMetrics

__all__ = ["GenerationHead"]

ROLE = "decoder"
OUTPUT = "head.output"


class GenerationHead(TokenHead):
    """Token vectors -> recurrent model -> distribution of the next token.

    The pipeline state is the model's under ``decoder.`` and ``head.output`` ``(B, O)``, the model's last output: so a
    state alone gives the distribution of the next token, and standing in one costs nothing.
    """

    config: GenerationConfig

    def __init__(self, config: GenerationConfig, tokenizers: Mapping[str, Tokenizer], models: ModelFactory) -> None:
        super().__init__(config, tokenizers, models)
        self.tokenizer = tokenizers["text"]
        vocab = self.tokenizer.vocab_size
        if config.input == "one-hot":
            if config.tie_weights:
                raise ConfigError("tie_weights needs a learned embedding: use input = 'embedding', or untie.")
            width = vocab
        else:
            width = config.embedding_size
        self.embedding = nn.Embedding(vocab, width) if config.input == "embedding" else None
        self.decoder = models(ROLE, width)
        if not self.decoder.causal:
            raise ConfigError(
                "Generation needs a causal model, and this one is bidirectional: it reads the future. "
                "Set bidirectional = false."
            )
        outputs = self.decoder.output_size
        self.project = nn.Linear(outputs, width) if config.tie_weights and outputs != width else None
        self.output = nn.Linear(self.project.out_features if self.project else outputs, vocab)
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=width**-0.5 if config.tie_weights else 1.0)
        if config.tie_weights and self.embedding is not None:
            self.output.weight = self.embedding.weight
        if config.turn_template.count("{message}") != 1:
            raise ConfigError(f"turn_template = {config.turn_template!r} must hold {{message}} once.")

    # --- data ---------------------------------------------------------------------------------------------------

    def encode(self, row: Mapping[str, Any]) -> list[int]:
        """Token ids of the row's ``text``, closed by the end token where the tokenizer has one."""
        text = row.get("text")
        if not isinstance(text, str):
            raise DataError(f"A row needs the column 'text' with a text in it; this one has {text!r} there.")
        ids = self.tokenizer.encode(text)
        end = self.tokenizer.special_tokens.get("eos")
        return ids if end is None else [*ids, end]

    def initial_state(self, batch_size: int) -> State:
        state = verbs.prefixed(self.decoder.initial_state(batch_size), ROLE)
        weight = self.output.weight
        blank = torch.zeros(batch_size, self.decoder.output_size, device=weight.device, dtype=weight.dtype)
        return state | {OUTPUT: blank}

    def loss(self, batch: Batch, state: State | None = None) -> LossOutput:
        """Cross-entropy of ``targets`` after ``inputs`` ``(B, T)``, in nats; a target of -100 does not count."""
        targets = batch["targets"]
        state = self.initial_state(targets.shape[0]) if state is None else state
        y, after = self._read(batch["inputs"], state)
        y = self._drop(y, self.config.output_dropout)
        logits = self._project(y).float()
        total = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
        return LossOutput(total, (targets != -100).sum(), after)

    def metrics(self) -> LanguageMetrics:
        return LanguageMetrics(self.tokenizer)

    # --- tokens -------------------------------------------------------------------------------------------------

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        """Ids of the row's ``text``, after the token that separates texts where the tokenizer has one."""
        special = self.tokenizer.special_tokens
        start = special.get("bos", special.get("eos"))
        ids = self.tokenizer.encode(row["text"])
        if start is not None:
            return [start, *ids]
        return ids or self._blank_start()

    def _blank_start(self) -> list[int]:
        """Something to read where a prompt is empty: a new line or a space if there is one, else the first token."""
        for text in ("\n", " "):
            if ids := self._try_encode(text):
                return ids
        return [0]

    def _try_encode(self, text: str) -> list[int]:
        unknown = self.tokenizer.special_tokens.get("unk")
        try:
            ids = self.tokenizer.encode(text)
        except TokenizerError:
            return []
        return [] if unknown in ids else ids

    def turn(self, message: str, first: bool = False, closed: bool = True) -> list[int]:
        """Ids of a message in a conversation.

        Args:
            message: its text.
            first: nothing was read before it.
            closed: the reply before it ended by itself; otherwise ``turn_end`` is put between.
        """
        text = self.config.turn_template.replace("{message}", message)
        if first:
            return self.prompt({"text": text})
        return self.tokenizer.encode(text if closed else self.config.turn_end + text)

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """Texts that end a reply in this checkpoint's format."""
        return self.config.stop

    def next(
        self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None, trace: bool = False
    ) -> StepOutput:
        if ids.shape[1] == 0:
            return StepOutput(self._project(state[OUTPUT]).float(), dict(state), {})
        if trace:
            x = self._vectors(ids)
            y, inner, traces = self.decoder.trace(x, verbs.unprefixed(state, ROLE))
            after = verbs.prefixed(inner, ROLE) | {OUTPUT: y[:, -1]}
            return StepOutput(self._project(y[:, -1]).float(), after, traces)
        if ids.shape[1] == 1 and lengths is None:
            last, inner = self.decoder.step(self._vectors(ids)[:, 0], verbs.unprefixed(state, ROLE))
            after = verbs.prefixed(inner, ROLE) | {OUTPUT: last}
        else:
            _, after = self._read(ids, state, lengths)
        return StepOutput(self._project(after[OUTPUT]).float(), after, {})

    def logits(self, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        y, after = self._read(ids, state)
        return self._project(y).float(), after

    def result(self, decoded: Decoded) -> Generation:
        return Generation(decoded.prompt, decoded.text, decoded.tokens, decoded.done)

    def token_io(self) -> TokenIO | None:
        weight = self.output.weight.detach()
        vectors = torch.eye(len(weight), device=weight.device, dtype=weight.dtype)
        if self.embedding is not None:
            vectors = self.embedding.weight.detach()
        project = None
        if self.project is not None:
            project = self.project.weight.detach(), self.project.bias.detach()
        return TokenIO(vectors, weight, self.output.bias.detach(), project, self.decoder, ROLE, OUTPUT)

    # --- inside -------------------------------------------------------------------------------------------------

    def _vectors(self, ids: Tensor) -> Tensor:
        """``(B, T)`` ids -> ``(B, T, E)``."""
        if self.embedding is None:
            x = F.one_hot(ids, self.tokenizer.vocab_size).to(self.output.weight.dtype)
        else:
            x = self.embedding(ids)
        return self._drop(x, self.config.embedding_dropout)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        """Dropout on ``(B, T, F)``, with one mask for all positions where the config says so."""
        if not self.training or rate == 0.0:
            return x
        if not self.config.locked_dropout:
            return F.dropout(x, rate)
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), rate)

    def _read(self, ids: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """``(B, T)`` ids -> the model's outputs ``(B, T, O)`` and the pipeline state after them."""
        y, inner = self.decoder(self._vectors(ids), verbs.unprefixed(state, ROLE), lengths)
        last = y[:, -1]
        if lengths is not None:
            at = (lengths.to(ids.device) - 1).clamp(min=0)
            last = y[torch.arange(len(y), device=y.device), at]
            last = torch.where((lengths.to(ids.device) > 0).unsqueeze(1), last, state[OUTPUT])
        return y, verbs.prefixed(inner, ROLE) | {OUTPUT: last}

    def _project(self, y: Tensor) -> Tensor:
        """``(..., O)`` -> logits ``(..., V)``."""
        logits: Tensor = self.output(y if self.project is None else self.project(y))
        return logits
