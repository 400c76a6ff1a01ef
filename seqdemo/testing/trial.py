"""Running the checks of one subject, each at most once."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from seqdemo.discovery import describe

from . import catalogue
from .core import Check, Mismatch, NotApplicable
from .labs import lab_of
from .report import Outcome
from .subjects import Subject

__all__ = ["Trial"]


class Trial:
    """One subject's checks. A check whose needs failed is skipped, so that one mistake gives one failure."""

    def __init__(self, subject: Subject, label: str = "") -> None:
        self.subject = subject
        self.label = label or subject.label
        self._lab = lab_of(subject)
        self._outcomes: dict[str, Outcome] = {}
        self._blocked: set[str] = set()

    @property
    def checks(self) -> tuple[Check, ...]:
        """In the order in which they run."""
        return catalogue.CHECKS[self.subject.kind]

    def outcomes(self, heard: Callable[[Outcome], None] | None = None) -> tuple[Outcome, ...]:
        """Of every check; a list of checks that was tampered with is a failure of its own.

        Args:
            heard: called with each outcome as it comes.
        """
        broken = catalogue.broken_list()
        if broken:
            return (Outcome("list_of_checks", self.label, "failed", broken),)
        for check in self.checks:
            outcome = self.outcome(check)
            if heard is not None:
                heard(outcome)
        return tuple(self.outcome(check) for check in self.checks)

    def outcome(self, check: Check) -> Outcome:
        """Of one check, after those it needs."""
        if check.name not in self._outcomes:
            self._outcomes[check.name] = self._judge(check)
        return self._outcomes[check.name]

    def _judge(self, check: Check) -> Outcome:
        named = {other.name: other for other in self.checks}
        for name in check.needs:
            if not self.outcome(named[name]).ok or name in self._blocked:
                self._blocked.add(check.name)
                return Outcome(check.name, self.label, "skipped", f"it rests on {name}, which did not pass")
        reason = (self.subject.expected_failures or {}).get(check.name)
        start = time.perf_counter()
        status, message = self._run(check)
        seconds = time.perf_counter() - start
        if reason is None:
            return Outcome(check.name, self.label, status, message, seconds)
        if status == "failed":
            return Outcome(check.name, self.label, "expected", f"{reason}\n{message}", seconds)
        message = f"expected to fail ({reason}), but it {status}\nmend: take it out of expected_failures"
        return Outcome(check.name, self.label, "unexpected_pass", message, seconds)

    def _run(self, check: Check) -> tuple[Literal["passed", "failed", "skipped"], str]:
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(0)
                return "passed", check.run(self._lab) or ""
        except NotApplicable as reason:
            return "skipped", str(reason)
        except Mismatch as found:
            return "failed", check.explain(found.seen, found.expected)
        except Exception as error:  # noqa: BLE001 - the subject may raise anything, and that is what is reported
            return "failed", check.explain(_raised(error), check.summary)


def _raised(error: BaseException) -> str:
    """An exception as one line, with the place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
    return f"it raised {describe(error)}{place}"
