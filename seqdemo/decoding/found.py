"""What a search has put aside for an input, and when it may end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqdemo.plugin import BeamOptions, Hypothesis

__all__ = ["Found", "Input", "length_penalty"]


def length_penalty(tokens: int, power: float) -> float:
    """``lp(Y)`` of Wu et al. 2016, eq. 14, of a text of so many tokens, the end token included."""
    return float(((5 + tokens) / 6) ** power)


@dataclass(slots=True)
class Found:
    """A hypothesis that was put aside.

    Attributes:
        score, logprob, ids, complete: as of :class:`Hypothesis`.
        row: of the last step, which it came from.
        text: once somebody asked for it: of a search for one text most are never read.
    """

    score: float
    logprob: float
    ids: tuple[int, ...]
    complete: bool
    row: int
    text: str | None = None

    @property
    def tokens(self) -> int:
        """How many it has, the end token included."""
        return len(self.ids) + self.complete

    def hypothesis(self) -> Hypothesis:
        """What is told of it."""
        assert self.text is not None
        return Hypothesis(self.text, self.score, self.logprob, self.ids, self.complete)


@dataclass(slots=True)
class Input:
    """What is known of an input.

    Attributes:
        limit: tokens at most.
        places: hypotheses that may go on.
        decode: ids to text.
        found: what was put aside.
    """

    limit: int
    places: int
    decode: Callable[[Sequence[int]], str]
    found: list[Found]

    def settled(self, best: float, options: BeamOptions) -> bool:
        """Whether no row of a log-probability of at most ``best`` can become one of the ``n_best``.

        Log-probabilities only fall, ``lp`` is largest at the limit, and ``cp`` is never above 0: so nothing that goes
        on can score more than ``best / lp(limit)``.
        """
        ranked = self.ranked(options.n_best)
        if len(ranked) < options.n_best or not ranked[-1].complete:
            return False
        return best / length_penalty(self.limit, options.length_penalty) <= ranked[-1].score

    def ranked(self, count: int) -> list[Found]:
        """The best of what was put aside, ``count`` at most; what did not end comes after what did. Of hypotheses that
        spell one text in different tokens only the best counts."""
        best: dict[str, Found] = {}
        for one in sorted(self.found, key=lambda each: (each.complete, each.score), reverse=True):
            if len(best) == count:
                break
            if one.text is None:
                one.text = self.decode(one.ids)
            best.setdefault(one.text, one)
        return list(best.values())
