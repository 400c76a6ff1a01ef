"""A plugin with three heads that need no training: what the page makes of results follows from their types alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from seqdemo.errors import DataError
from seqdemo.plugin import (
    Classification,
    Column,
    Hypothesis,
    Options,
    Result,
    TaskConfig,
    TaskHead,
    TaskRecord,
    Translation,
    hookimpl,
)

WEIGHTS = {"good": 2.0, "kind": 1.0, "bad": -2.0, "cold": -1.0}
NASTY = "<img src=x onerror=window.hacked=1>"


@dataclass(frozen=True, slots=True)
class Count(Result):
    words: int
    longest: str


class MoodOptions(Options):
    explain: Annotated[
        Literal["none", "all"], Field(description="How much is said.", json_schema_extra={"page": "all"})
    ] = "none"
    shift: Annotated[int, Field(ge=-5, le=5, description="Added to every score.")] = 0


class MoodConfig(TaskConfig):
    model_roles: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[type[Options]] = MoodOptions
    result: ClassVar[type[Result]] = Classification


class PhraseOptions(Options):
    n_best: Annotated[int, Field(ge=1, le=3, description="Texts to give.")] = 2


class PhraseConfig(TaskConfig):
    model_roles: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[Column, ...]] = (Column("source"), Column("target", role="target"))
    options: ClassVar[type[Options]] = PhraseOptions
    result: ClassVar[type[Result]] = Translation


class CountConfig(TaskConfig):
    model_roles: ClassVar[tuple[str, ...]] = ()
    result: ClassVar[type[Result]] = Count


class _Head(TaskHead):
    def __init__(self, config: Any, tokenizers: Any, models: Any) -> None:
        super().__init__(config, tokenizers, models)
        self.scale = torch.nn.Parameter(torch.ones(1))


class MoodHead(_Head):
    """Adds up known words. A skull cannot be read, and what is slow takes long."""

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        assert isinstance(options, MoodOptions)
        found: list[Result] = []
        for row in inputs:
            text = str(row["text"])
            if "☠" in text or (len(text) > 10_000 and options.explain == "all"):
                raise DataError(f"The text {text[:1]!r}... of {len(text):,} characters <b>cannot</b> be explained.")
            time.sleep(0.05 if "slow" in text else 0.001)
            found.append(_mood(text, options))
        return found


def _mood(text: str, options: MoodOptions) -> Classification:
    pieces = text.split(" ")
    tokens = (pieces[0], *(f" {piece}" for piece in pieces[1:]))
    shares = tuple(WEIGHTS.get(token.strip(" .").lower(), 0.0) for token in tokens)
    after = [1 / (1 + 2.0 ** -(sum(shares[: place + 1]) + options.shift)) for place in range(len(shares))]
    scores = {"happy": after[-1], NASTY: 1 - after[-1]}
    label = max(scores, key=scores.__getitem__)
    scores = dict(sorted(scores.items(), key=lambda one: -one[1]))
    if options.explain == "none":
        return Classification(label, scores, text)
    running = {"happy": tuple(after), NASTY: tuple(1 - share for share in after)}
    signed = shares if label == "happy" else tuple(-share for share in shares)
    return Classification(label, scores, text, tokens, signed, 0.0, running)


class PhraseHead(_Head):
    """Writes words backwards; each word looked at the one it came from."""

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        assert isinstance(options, PhraseOptions)
        return [_phrase(str(row["source"]), options.n_best) for row in inputs]


def _phrase(source: str, n_best: int) -> Translation:
    words = source.split(" ")
    turned = list(reversed(words))
    text = " ".join(turned)
    size = len(words)
    weights = tuple(tuple(0.75 if at == size - 1 - row else 0.25 / size for at in range(size)) for row in range(size))
    others = tuple(
        Hypothesis(text if not place else f"{text} ({place})", -1.0 - place, -3.0) for place in range(n_best)
    )
    spaced = (words[0], *(f" {word}" for word in words[1:])), (turned[0], *(f" {word}" for word in turned[1:]))
    return Translation(source, text, -1.0, *spaced, weights, others)


class CountHead(_Head):
    """Counts words."""

    def predict(self, inputs: Sequence[Mapping[str, Any]], options: Options) -> list[Result]:
        split = [str(row["text"]).split() for row in inputs]
        return [Count(len(words), max(words, key=len)) for words in split]


@hookimpl
def seqdemo_tasks() -> list[TaskRecord]:
    return [TaskRecord(name, f"heads:{name.title()}Head", f"heads:{name.title()}Config") for name in NAMES]


NAMES = ("mood", "phrase", "count")
