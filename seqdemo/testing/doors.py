"""The doors: functions that raise, a decorator for pytest, and the report on a whole plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from seqdemo.discovery import canonical
from seqdemo.errors import ConfigError, PluginError, UnknownNameError
from seqdemo.manager import PluginInfo, manager

from . import catalogue
from .core import Check
from .report import CheckFailure, Outcome, Report
from .subjects import Given, ModelSubject, Subject, TaskSubject, TokenizerSubject
from .trial import Trial

__all__ = ["check_model", "check_plugin", "check_task", "check_tokenizer", "parametrize_with_checks"]

F = TypeVar("F", bound=Callable[..., Any])


def _judged(subject: Subject) -> Report:
    report = Report(Trial(subject).outcomes())
    if not report.ok:
        raise CheckFailure(report.failures)
    return report


def check_model(
    implementation: str | Callable[..., Any],
    config: Given = None,
    *,
    input_size: int = 5,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Run every check of recurrent models.

    Args:
        implementation: a registered name, a class or a builder ``(config, input_size) -> RecurrentModel``.
        config: an instance of its config class or values for it; None is a small one.
        input_size: ``I`` of the vectors it is fed.
        expected_failures: check name -> reason why it must fail.

    Raises:
        CheckFailure: checks failed, or passed that were expected to fail; it lists all of them.
        SeqdemoError: an expected failure without a reason, or of a check that does not exist.
    """
    return _judged(ModelSubject(implementation, config, input_size=input_size, expected_failures=expected_failures))


def check_tokenizer(
    implementation: str | Callable[..., Any],
    config: Given = None,
    *,
    texts: Sequence[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Run every check of tokenizers.

    Args:
        implementation: a registered name or a class.
        config: an instance of its config class or values for it; None is its defaults.
        texts: it is trained on them, and must express all of them; None is a sample in many scripts.
        expected_failures: check name -> reason why it must fail.

    Raises:
        CheckFailure: checks failed, or passed that were expected to fail; it lists all of them.
        SeqdemoError: an expected failure without a reason, or of a check that does not exist.
    """
    return _judged(TokenizerSubject(implementation, config, texts=texts, expected_failures=expected_failures))


def check_task(
    implementation: str | Callable[..., Any],
    config: Given = None,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    model: str | ModelSubject = "gru",
    tokenizer: str | TokenizerSubject = "bytes",
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Run every check of task heads.

    Args:
        implementation: a registered name or a class.
        config: an instance of its config class or values for it; None is small or its defaults.
        rows: of its data, as a user's file would hold them; None makes some where all columns are texts or labels.
        model: recurrent model for every role.
        tokenizer: tokenizer for every role, trained on the rows' texts.
        expected_failures: check name -> reason why it must fail.

    Raises:
        CheckFailure: checks failed, or passed that were expected to fail; it lists all of them.
        SeqdemoError: an expected failure without a reason, or of a check that does not exist.
    """
    return _judged(
        TaskSubject(
            implementation, config, rows=rows, model=model, tokenizer=tokenizer, expected_failures=expected_failures
        )
    )


def check_plugin(name: str, heard: Callable[[Outcome], None] | None = None) -> Report:
    """Check everything that a plugin registered, each thing with a small config; what fails is in the report.

    Args:
        name: of its entry point, distribution, or file or folder.
        heard: called with each outcome as it comes.

    Raises:
        UnknownNameError: there is no such plugin.
    """
    chosen = [
        info for info in manager().plugins() if canonical(name) in (canonical(info.name), canonical(info.distribution))
    ]
    if not chosen:
        raise UnknownNameError("plugin", name, {info.name for info in manager().plugins()})
    outcomes: list[Outcome] = []
    for info in chosen:
        for kind, make in _SUBJECTS.items():
            for own in info.records[kind]:
                full = f"{canonical(info.distribution)}:{own}"
                if _config_loads(kind, full):
                    outcomes.extend(Trial(make(full)).outcomes(heard))
        # Last, because checking may bring problems to light that listing does not.
        outcomes.extend(_listed(next(now for now in manager().plugins() if now.name == info.name)))
    return Report(tuple(outcomes))


def _config_loads(kind: str, name: str) -> bool:
    """Whether there is a config to check with. Where there is none, the manager lists that, once."""
    try:
        manager().config_class(kind, name)
    except PluginError:
        return False
    return True


def _listed(info: PluginInfo) -> Iterator[Outcome]:
    """What the manager says about a plugin."""
    for problem in info.problems:
        if problem.severity == "error":
            message = f"failed\nseen: {problem.message}\nexpected: a plugin that loads without problems"
            if problem.traceback:
                message += "\nmend: `seqdemo plugins --tracebacks` shows where it is."
            yield Outcome(f"loads ({problem.phase})", info.name, "failed", message)
    if not any(problem.severity == "error" for problem in info.problems):
        yield Outcome("loads", info.name, "passed", "; ".join(problem.message for problem in info.problems))


_SUBJECTS: Mapping[str, Callable[[str], Subject]] = {
    "tokenizers": TokenizerSubject,
    "models": ModelSubject,
    "tasks": TaskSubject,
}


class BoundCheck:
    """One check of one subject, which a test calls."""

    def __init__(self, trial: Trial, check: Check) -> None:
        self._trial, self._check = trial, check
        self.called = False

    def __repr__(self) -> str:
        return f"{self._trial.label}-{self._check.name}"

    def outcome(self) -> Outcome:
        """What came of it, or of the list of checks where that was tampered with."""
        broken = catalogue.broken_list()
        if broken:
            return Outcome("list_of_checks", self._trial.label, "failed", broken)
        return self._trial.outcome(self._check)

    def __call__(self) -> None:
        """Run the check.

        Raises:
            CheckFailure: it failed, or passed though it was expected to fail.
        """
        import pytest

        self.called = True
        outcome = self.outcome()
        if not outcome.ok:
            raise CheckFailure([outcome])
        if outcome.status == "skipped":
            pytest.skip(outcome.message)
        if outcome.status == "expected":
            pytest.xfail(outcome.message.partition("\n")[0])


def parametrize_with_checks(subjects: Sequence[Subject]) -> Callable[[F], F]:
    """Make a pytest test of every check of every subject out of one function that takes ``check`` and calls it.

    A test that does not call its check, or catches what it raises, fails.

    Raises:
        ConfigError: no subjects, or a function without a ``check`` argument.
        CheckFailure: the list of checks was tampered with.
    """
    import pytest

    if not subjects:
        raise ConfigError("parametrize_with_checks needs at least one subject.")
    broken = catalogue.broken_list()
    if broken:
        raise CheckFailure([Outcome("list_of_checks", "seqdemo.testing", "failed", broken)])
    trials = [Trial(subject, label) for subject, label in zip(subjects, _labels(subjects), strict=True)]
    bound = [BoundCheck(trial, check) for trial in trials for check in trial.checks]

    def decorate(function: F) -> F:
        if "check" not in signature(function).parameters:
            raise ConfigError(f"{function.__name__} must take an argument named check, and call it.")

        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            check: BoundCheck = kwargs["check"]
            check.called = False
            try:
                function(*args, **kwargs)
            finally:
                if not check.called:
                    message = f"{function.__name__} did not call its check.\nmend: its body must run check()"
                    raise CheckFailure([Outcome(repr(check), function.__name__, "failed", message)])
            outcome = check.outcome()
            if not outcome.ok:
                raise CheckFailure([outcome])

        return pytest.mark.parametrize("check", bound, ids=[repr(one) for one in bound])(guarded)  # type: ignore[no-any-return]

    return decorate


def _labels(subjects: Sequence[Subject]) -> list[str]:
    """Names for test ids; subjects of one name are told apart by the values that are theirs alone."""
    labels: list[str] = []
    for subject in subjects:
        alike = [other for other in subjects if other.label == subject.label]
        own = [
            f"{name}={value}"
            for name, value in _values(subject).items()
            if any(_values(other).get(name, ...) != value for other in alike)
        ]
        labels.append("-".join([subject.label, *([",".join(own)] if own else [])]))
    return labels


def _values(subject: Subject) -> Mapping[str, Any]:
    if subject.config is None or isinstance(subject.config, Mapping):
        return subject.config or {}
    return subject.config.model_dump(exclude_defaults=True)
