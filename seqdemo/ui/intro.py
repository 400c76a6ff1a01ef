"""What an empty conversation shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqdemo.files import home

from .source import Checkpoint
from .words import ENGLISH, Words

__all__ = ["Intro", "introduce"]

_TRAIN = "seqdemo train generation --model lstm --tokenizer char --data my-text.txt --out "


@dataclass(frozen=True, slots=True)
class Intro:
    """A title, lines below it, a command to copy, and prompts to try."""

    title: str
    lines: Sequence[str] = ()
    command: str = ""
    examples: Sequence[str] = ()

    def payload(self) -> dict[str, Any]:
        """As the script takes it."""
        return asdict(self)


def introduce(found: Mapping[str, Checkpoint], name: str | None, words: Words = ENGLISH) -> Intro:
    """The introduction of a checkpoint; where there is none to talk to, how to get one."""
    record = found.get(name or "")
    if record is not None:
        return Intro(record.name, [record.summary] if record.summary else [], examples=list(record.examples)[:6])
    if any(not one.problem for one in found.values()):
        return Intro(words("chat.choose"))
    broken = [f"{one.name}: {one.problem}" for one in found.values() if one.problem]
    lines = [words("chat.train"), *broken]
    folder = str(home() / "checkpoints" / "my-model").replace(str(Path.home()), "~", 1)
    return Intro(words("chat.nothing"), lines, command=_TRAIN + folder)
