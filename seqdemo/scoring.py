"""How probable a model finds a text."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .decoding import engine
from .errors import TokenizerError
from .plugin import State, TokenHead
from .plugin import state as verbs

__all__ = ["Score", "score"]

_CHUNK = 512

_LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model predicted a text.

    Attributes:
        text: the text.
        ids: its token ids.
        tokens: each token's own text.
        logprobs: natural log-probability of each token given everything before it.
    """

    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean nats per token."""
        return -sum(self.logprobs) / max(len(self.logprobs), 1)

    @property
    def perplexity(self) -> float:
        """``exp(loss)``; infinite where that is no number any more."""
        return math.exp(self.loss) if self.loss < _LARGEST else math.inf

    @property
    def bits_per_character(self) -> float:
        """Bits per character of the text, comparable across tokenizers."""
        return -sum(self.logprobs) / math.log(2) / max(len(self.text), 1)

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte of the text, comparable across tokenizers."""
        return -sum(self.logprobs) / math.log(2) / max(len(self.text.encode()), 1)


def score(
    head: TokenHead, text: str, device: torch.device, given: Mapping[str, Any], after: State | None = None
) -> Score:
    """How probable the head finds each token of a text, read after the token that starts one.

    Args:
        given: by column, the input that the text is an answer to.
        after: a state of one row to read the text in, as a session has it where it stands, instead of a fresh one.

    Raises:
        TokenizerError: the text is empty or cannot be expressed in the head's vocabulary.
        DataError: the head needs an input.
    """
    tokenizer = head.output_tokenizer
    ids = tokenizer.encode(text)
    if not ids:
        raise TokenizerError("There is nothing to score: the text is empty.")
    run = engine(device).run

    def tensor(some: Sequence[int]) -> torch.Tensor:
        return torch.tensor([list(some)], dtype=torch.long, device=device)

    logprobs: list[float] = []
    row = {"text": "", **given}
    context, state = run(lambda: head.start([row]))
    prompt = head.prompt(row)
    if after is not None:
        state, prompt = verbs.move(after, device), []
    # The distribution of a chunk's first token comes with the state before it.
    begun = run(lambda: head.next(tensor(prompt), state, context))
    first, state = begun.logits, begun.state
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]

        def turn(chunk: list[int] = chunk, state: State = state, first: torch.Tensor = first) -> Any:
            after, state = head.logits(tensor(chunk), state, context)
            logits = torch.cat([first.unsqueeze(1), after[:, :-1]], 1)
            found = torch.log_softmax(logits[0].double(), -1)
            return found[torch.arange(len(chunk)), chunk].tolist(), after[:, -1], state

        found, first, state = run(turn)
        logprobs += found
    tokens = tuple(tokenizer.token_bytes(token).decode("utf-8", "replace") for token in ids)
    return Score(text, tuple(ids), tokens, tuple(logprobs))
