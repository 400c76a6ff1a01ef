"""What a check is, and how it says what it found."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeVar

__all__ = ["FOUND", "Check", "Kind", "Mismatch", "NotApplicable", "check", "expect", "fail", "inapplicable"]

Kind = Literal["model", "tokenizer", "task"]

F = TypeVar("F", bound=Callable[[Any], "str | None"])


class Mismatch(Exception):  # noqa: N818 - never leaves the kit
    """What a check found wrong."""

    def __init__(self, seen: str, expected: str) -> None:
        super().__init__(f"{seen} (expected: {expected})")
        self.seen, self.expected = seen, expected


class NotApplicable(Exception):  # noqa: N818 - never leaves the kit
    """The check does not apply to this subject; its message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        kind: of the subjects it applies to.
        name: unique within its kind.
        run: takes the subject's lab; raises ``Mismatch`` or anything else to fail; may return a remark.
        summary: one sentence, what must hold.
        cause: what is usually wrong when it fails.
        mend: how to mend that.
        needs: checks of the same kind without which this one's answer means nothing.
    """

    kind: Kind
    name: str
    run: Callable[[Any], str | None]
    summary: str
    cause: str
    mend: str
    needs: tuple[str, ...]

    def explain(self, seen: str, expected: str) -> str:
        """The four parts of a failure's message."""
        return f"failed\nseen: {seen}\nexpected: {expected}\nusual cause: {self.cause}\nmend: {self.mend}"


FOUND: dict[tuple[Kind, str], Check] = {}
"""Every check that was defined; :mod:`.catalogue` says which there must be, and in which order they run."""


def check(*kinds: Kind, cause: str, mend: str, needs: tuple[str, ...] = ("builds",)) -> Callable[[F], F]:
    """Define a check by a function of that name; the first line of its docstring is what must hold."""

    def define(function: F) -> F:
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        for kind in kinds:
            FOUND[kind, function.__name__] = Check(kind, function.__name__, function, summary, cause, mend, needs)
        return function

    return define


def fail(seen: str, expected: str) -> NoReturn:
    """Fail the check."""
    raise Mismatch(seen, expected)


def expect(condition: bool, seen: str, expected: str) -> None:
    """Fail the check unless the condition holds."""
    if not condition:
        raise Mismatch(seen, expected)


def inapplicable(reason: str) -> NoReturn:
    """Leave the check: it does not apply to this subject."""
    raise NotApplicable(reason)
