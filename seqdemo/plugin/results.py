"""Typed results. The page renders the type, not the task; an unknown type is shown field by field."""

from __future__ import annotations

from dataclasses import dataclass

from .events import Done, Token, Usage

__all__ = ["Classification", "Generation", "Hypothesis", "Result", "Translation"]


@dataclass(frozen=True, slots=True)
class Result:
    """Base of every result a task head returns."""


@dataclass(frozen=True, slots=True)
class Classification(Result):
    """The class of a text; ``str()`` of it is the label.

    Attributes:
        label: the likeliest class.
        scores: the probability of every class, the likeliest first.
        text: what was classified.
        tokens: the text of each token that was read, where the result was explained; together they are the text as the
            model saw it.
        contributions: for each token, by how much it moved the log-odds ``ln p / (1 - p)`` of ``label``; or None.
        base: the log-odds of ``label`` that the contributions start from: with their sum added, those of the result.
        running: by label, its probability after each token; or None.
    """

    label: str
    scores: dict[str, float]
    text: str = ""
    tokens: tuple[str, ...] = ()
    contributions: tuple[float, ...] | None = None
    base: float | None = None
    running: dict[str, tuple[float, ...]] | None = None

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Generation(Result):
    """A generated text; ``str()`` of it is the text without the prompt.

    Attributes:
        prompt: the text it continues.
        text: the generated text.
        tokens: one event for each generated token.
        done: why it ended and what it cost.
    """

    prompt: str
    text: str
    tokens: tuple[Token, ...]
    done: Done

    def __str__(self) -> str:
        return self.text

    @property
    def usage(self) -> Usage:
        """Tokens and seconds."""
        return self.done.usage

    @property
    def seed(self) -> int:
        """The seed that was used."""
        return self.done.seed


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text that a search found; ``str()`` of it is the text.

    Attributes:
        text: the text.
        score: what hypotheses are ranked by, higher is better.
        logprob: natural log-probability of all its tokens under the model, the end token included.
        ids: its tokens, without the end token.
        complete: whether it ended by itself, and not at the limit.
    """

    text: str
    score: float
    logprob: float
    ids: tuple[int, ...] = ()
    complete: bool = True

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Translation(Result):
    """A text in another language; ``str()`` of it is the text.

    Attributes:
        source: what was translated.
        text: the translation.
        score: of the translation, higher is better: that of its hypothesis, or its log-probability.
        source_tokens: the text that each token of the source completes; together they are ``source``.
        target_tokens: the text that each token of the translation completes; together they are ``text``.
        alignment: for each token of the translation, how much of the attention each token of the source had while it
            was chosen; what is missing to 1 went to the end of the source.
        alternatives: the best texts that a search found, the best of them first, which is ``text``.
        unknown: share of the source's characters that the model has no token for and read byte by byte. Near 1 the
            source is in a script that the model never saw; which language it is in, nobody checked.
    """

    source: str
    text: str
    score: float
    source_tokens: tuple[str, ...] = ()
    target_tokens: tuple[str, ...] = ()
    alignment: tuple[tuple[float, ...], ...] = ()
    alternatives: tuple[Hypothesis, ...] = ()
    unknown: float = 0.0

    def __str__(self) -> str:
        return self.text
