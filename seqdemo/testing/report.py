"""What came of the checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["CheckFailure", "Outcome", "Report", "Status"]

Status = Literal["passed", "failed", "expected", "unexpected_pass", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check of one subject.

    Attributes:
        check: its name.
        subject: what was checked.
        status: ``"expected"`` is a failure that was announced with a reason; ``"unexpected_pass"`` is one that was
            announced and did not happen, which fails the run; ``"skipped"`` does not apply to this subject, or rests
            on a check that failed.
        message: of a failure: what was seen, what was expected, the usual cause, how to mend it; otherwise a remark.
        seconds: how long it took.
    """

    check: str
    subject: str
    status: Status
    message: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the run may pass with it."""
        return self.status not in ("failed", "unexpected_pass")


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes, in the order of the checks; ``str()`` of it is for people."""

    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed that was not expected to, and everything expected to fail did."""
        return all(outcome.ok for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """What is not ok."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``json.dumps``: ``ok``, ``counts`` by status, ``outcomes``."""
        counts: dict[str, int] = {}
        for outcome in self.outcomes:
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
        return {"ok": self.ok, "counts": counts, "outcomes": [asdict(outcome) for outcome in self.outcomes]}

    def __str__(self) -> str:
        lines: list[str] = []
        subject = ""
        for outcome in self.outcomes:
            if outcome.subject != subject:
                subject = outcome.subject
                lines.append(subject)
            first, _, rest = outcome.message.partition("\n")
            lines.append(f"  {outcome.status:<15} {outcome.check}{f': {first}' if first else ''}")
            lines.extend(f"      {line}" for line in rest.splitlines())
        counts = ", ".join(f"{count} {status}" for status, count in self.as_json()["counts"].items())
        return "\n".join([*lines, counts or "Nothing was checked."])


class CheckFailure(AssertionError):  # noqa: N818 - the name is public: a failure of the subject, not an error of the kit
    """Checks failed.

    Args:
        outcomes: those that are not ok; the message lists all of them.
    """

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        super().__init__("\n\n".join(f"{o.subject}: {o.check}: {o.message}" for o in self.outcomes))
