"""What a stream yields: ``Prefill``*, ``Token``*, then one ``Done``. Plain data, the same for every face."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

__all__ = ["Alternative", "Done", "Event", "Prefill", "Reported", "Token", "Usage", "unpacked"]

Reported = tuple[list[int], list[float], list[float]] | bytes
"""The likeliest tokens of one row, best first, then the chosen one if it is not among them: ids, probabilities under
the model, probabilities after the rules. Or all these numbers one after another as doubles, in native order: bytes are
nothing a garbage collector looks into, which takes longer than drawing where many tokens have lists of their own."""


@dataclass(frozen=True, slots=True)
class Prefill:
    """How far the prompt has been read: ``read`` of ``total`` tokens."""

    read: int
    total: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could have been chosen.

    Attributes:
        id: token id.
        text: the token on its own, as text.
        raw: its probability under the model, before any sampling rule.
        ruled: its probability after temperature, penalties and cut-offs; 0 when a rule removed it.
    """

    id: int
    text: str
    raw: float
    ruled: float


class _Unread:
    """What the alternatives of a generated token are made of, whenever somebody asks for them."""

    __slots__ = ("_reported", "_texts")
    _reported: Reported
    _texts: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Token(_Unread):
    """One generated token.

    Attributes:
        id: token id.
        text: the text that became certain with this token. It may be empty (half a character, or a possible
            beginning of a stop string, is held back) and may hold text held back before. Concatenated over
            a stream, these are the whole text; what is still held back at the end comes with ``Done``.
        logprob: natural log-probability under the model, before any sampling rule.
        entropy: of the model's distribution before any sampling rule, in nats.
        alternatives: the likeliest tokens, best first; then the chosen one, if it is not among them. Those of a
            generated token are made anew whenever they are asked for.
        position: index in everything the stream has read or written; the random number used is a function of
            the seed and this alone.
    """

    id: int
    text: str
    logprob: float
    entropy: float
    alternatives: tuple[Alternative, ...] = ()
    position: int = 0

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Alternatives of a token that was generated, which are in no slot: most are never looked at, and they
            would be most of a token."""
            if name != "alternatives":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            ids, raw, ruled = unpacked(self._reported)
            return tuple(map(Alternative, ids, (self._texts[one] for one in ids), raw, ruled))


def unread(token: Token) -> tuple[bytes, Mapping[int, str]] | None:
    """What the alternatives of a generated token would be made of, and the text of each id; None of any other."""
    reported = getattr(token, "_reported", None)
    return (reported, token._texts) if isinstance(reported, bytes) else None


def unpacked(reported: Reported) -> tuple[list[int], list[float], list[float]]:
    """Ids, probabilities under the model and probabilities after the rules, in whichever form they were reported."""
    if not isinstance(reported, bytes):
        return reported
    numbers = array("d", reported).tolist()
    count = len(numbers) // 3
    return [int(one) for one in numbers[:count]], numbers[count : 2 * count], numbers[2 * count :]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stream cost.

    Attributes:
        prompt_tokens: tokens read before the first one was chosen, in this stream.
        tokens: tokens generated.
        seconds: wall-clock seconds spent generating, prefill not counted.
        prefill_seconds: wall-clock seconds spent reading the prompt.
        state_bytes: bytes of the stream's state, the same however long it gets.
    """

    prompt_tokens: int
    tokens: int
    seconds: float
    prefill_seconds: float
    state_bytes: int

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens a second; 0 when nothing was generated."""
        return self.tokens / self.seconds if self.tokens and self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a stream.

    Attributes:
        reason: ``"length"`` (token limit), ``"stop"`` (a stop string), ``"end"`` (the end-of-text token),
            ``"timeout"``, ``"cancelled"`` or ``"error"``; ``"written"`` of a reply nobody generated.
        usage: what it cost.
        text: text that was held back until it was clear that no more would come.
        seed: the seed that was used, so that it can be used again.
    """

    reason: Literal["length", "stop", "end", "timeout", "cancelled", "error", "written"]
    usage: Usage
    text: str = ""
    seed: int = 0


Event = Prefill | Token | Done
