"""The conformance kit: one list of checks for each kind of part, behind three doors.

from seqdemo.testing import ModelSubject, check_model, parametrize_with_checks

check_model("my-cell", {"hidden_size": 8})            # raises CheckFailure, which lists what failed

@parametrize_with_checks([ModelSubject("my-cell")])   # one pytest test for each check
def test_conformance(check):
    check()

The third door is ``seqdemo plugins check NAME``. Neither pytest nor hypothesis is needed for the first and the third.
"""

from __future__ import annotations

from .catalogue import Description, describe
from .doors import check_model, check_plugin, check_task, check_tokenizer, parametrize_with_checks
from .report import CheckFailure, Outcome, Report
from .subjects import ModelSubject, TaskSubject, TokenizerSubject

__all__ = [
    "CheckFailure",
    "Description",
    "ModelSubject",
    "Outcome",
    "Report",
    "TaskSubject",
    "TokenizerSubject",
    "check_model",
    "check_plugin",
    "check_task",
    "check_tokenizer",
    "describe",
    "parametrize_with_checks",
]
