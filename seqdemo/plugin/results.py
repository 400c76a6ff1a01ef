"""Typed results. The page renders the type, not the task; an unknown type is shown field by field."""

from __future__ import annotations

from dataclasses import dataclass

from .events import Done, Token, Usage

__all__ = ["Generation", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """Base of every result a task head returns."""


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
