"""Replies that were written and not generated: their tokens, as the model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from seqdemo.plugin import Done, State, Token, TokenHead, Usage
from seqdemo.plugin import state as verbs

from .engine import Engine
from .generation import CHUNK
from .snapshot import Snapshot
from .text import TextStream

__all__ = ["written"]


def written(
    engine: Engine, head: TokenHead, ids: Sequence[int], start: Snapshot, stops: Sequence[str], prompt: str
) -> tuple[tuple[Token, ...], Done]:
    """Token events of a text, each with its probability under the model, and the end of such a reply.

    Args:
        ids: of the text, one at least.
        start: the place it goes on from.
        stops: texts that would end the reply.
        prompt: the message it replies to.
    """
    numbers = engine.run(partial(_scores, head, tuple(ids), start.state, prompt))
    text = TextStream(head.output_tokenizer, stops, start.pending, start.held)
    tokens = tuple(
        Token(token, text.push(token), logprob, entropy, (), start.position + index)
        for index, (token, (logprob, entropy)) in enumerate(zip(ids, numbers, strict=True))
    )
    return tokens, Done("written", Usage(0, len(tokens), 0.0, 0.0, verbs.nbytes(start.state)), text.finish())


def _scores(head: TokenHead, ids: tuple[int, ...], state: State, prompt: str) -> list[tuple[float, float]]:
    """Log-probability of each id and entropy where it stands, in nats."""
    found: list[tuple[float, float]] = []
    with torch.inference_mode():
        context, own = head.start([{"text": prompt}])
        device = next(iter(own.values())).device
        state = verbs.move(state, device)
        before = head.next(torch.empty(1, 0, dtype=torch.long, device=device), state, context).logits
        for begin in range(0, len(ids), CHUNK):
            piece = torch.tensor([ids[begin : begin + CHUNK]], dtype=torch.long, device=device)
            after, state = head.logits(piece, state, context)
            found += _numbers(torch.cat([before, after[0, :-1]]), piece[0])
            before = after[:, -1]
    return found


def _numbers(logits: Tensor, ids: Tensor) -> list[tuple[float, float]]:
    """``(T, V)`` logits and the ids ``(T,)`` that came."""
    logs = torch.log_softmax(logits.double(), -1)
    chosen = logs.gather(-1, ids[:, None])[:, 0]
    return list(zip(chosen.tolist(), torch.special.entr(logs.exp()).sum(-1).tolist(), strict=True))
