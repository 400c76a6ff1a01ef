"""Replies that were written and not generated, or chosen instead of what was: their tokens, as the model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log
from sys import float_info

import torch

from seqdemo.errors import SessionError
from seqdemo.plugin import Alternative, Context, Done, SamplingOptions, State, Token, TokenHead, Usage
from seqdemo.plugin import state as verbs

from .engine import Engine
from .generation import CHUNK
from .sampling import Choice, Floats, describe
from .snapshot import Snapshot
from .text import TextStream, token_text

__all__ = ["instead", "written"]


def written(
    engine: Engine, head: TokenHead, ids: Sequence[int], start: Snapshot, options: SamplingOptions, prompt: str
) -> tuple[tuple[Token, ...], Done]:
    """Token events of a text, each with its probability under the model, and the end of such a reply.

    Args:
        ids: of the text, one at least.
        start: the place it goes on from.
        options: the rules and how many alternatives to report, as if the tokens had been drawn.
        prompt: the message it replies to.
    """
    read = _Reader(head, start.state, prompt)
    text = TextStream(head.output_tokenizer, (*options.stop, *head.stop_texts), start.pending, start.held)
    recent, forbidden = [*start.recent], sorted(head.forbidden_ids)
    tokens: list[Token] = []
    for begin in range(0, len(ids), CHUNK):
        piece = ids[begin : begin + CHUNK]
        logits = engine.run(partial(read, piece))
        for token, row in zip(piece, logits, strict=True):
            seen = describe(row, token, options, recent, forbidden)
            others = _alternatives(head, seen)
            tokens.append(
                Token(token, text.push(token), seen.logprob, seen.entropy, others, start.position + len(tokens))
            )
            recent = [*recent, token][-max(options.repetition_window, 1) :]
    return tuple(tokens), Done("written", Usage(0, len(tokens), 0.0, 0.0, verbs.nbytes(start.state)), text.finish())


def instead(
    head: TokenHead, event: Token, token: int, start: Snapshot, options: SamplingOptions
) -> tuple[Token, Done, bool]:
    """One of a token's alternatives in its place, with the numbers that were recorded then; nothing is computed.

    Args:
        event: the token.
        token: id of the alternative.
        start: the place before the token.
        options: with the stop strings that count.

    Returns:
        its event, how a reply that goes no further ends with it, and whether that end is one of the template.

    Raises:
        SessionError: no such alternative was recorded.
    """
    chosen = next((one for one in event.alternatives if one.id == token), None)
    if chosen is None:
        kept = ", ".join(f"{one.id} ({one.text!r})" for one in event.alternatives)
        raise SessionError(
            f"Token {token} is no alternative here. "
            + (f"Recorded were {kept}." if kept else "None was recorded: the option alternatives was 0.")
        )
    text = TextStream(head.output_tokenizer, (*options.stop, *head.stop_texts), start.pending, start.held)
    piece = text.push(token)
    logprob = event.logprob if token == event.id else log(max(chosen.raw, float_info.min))
    usage = Usage(0, 1, 0.0, 0.0, verbs.nbytes(start.state))
    ends, stop = token in head.end_ids, text.stopped_by
    done = Done("end" if ends else "written" if stop is None else "stop", usage, text.finish())
    made = Token(token, piece, logprob, event.entropy, event.alternatives, event.position)
    return made, done, ends or stop in head.stop_texts


def _alternatives(head: TokenHead, seen: Choice) -> tuple[Alternative, ...]:
    tokenizer = head.output_tokenizer
    return tuple(Alternative(one.id, token_text(tokenizer, one.id), one.raw, one.ruled) for one in seen.candidates)


class _Reader:
    """Reads a text piece by piece: the logits ``(T, V)`` before each of its tokens. For the owner thread."""

    def __init__(self, head: TokenHead, state: State, prompt: str) -> None:
        self._head = head
        self._state = state
        self._prompt = prompt
        self._context: Context = {}
        self._before: torch.Tensor | None = None

    def __call__(self, ids: Sequence[int]) -> Floats:
        head = self._head
        with torch.inference_mode():
            if self._before is None:
                self._context, own = head.start([{"text": self._prompt}])
                self._state = verbs.move(self._state, next(iter(own.values())).device)
                none = torch.empty(1, 0, dtype=torch.long, device=next(iter(own.values())).device)
                self._before = head.next(none, self._state, self._context).logits
            piece = torch.tensor([ids], dtype=torch.long, device=self._before.device)
            after, self._state = head.logits(piece, self._state, self._context)
            logits = torch.cat([self._before, after[0, :-1]])
            self._before = after[:, -1]
            found: Floats = logits.float().cpu().numpy()
            return found
