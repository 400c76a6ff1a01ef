"""The doors: what they report, what they refuse, and that no check can vanish in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from seqdemo import manager
from seqdemo.errors import ConfigError, UnknownNameError
from seqdemo.testing import (
    CheckFailure,
    ModelSubject,
    Outcome,
    Report,
    TokenizerSubject,
    catalogue,
    check_model,
    check_plugin,
    check_task,
    check_tokenizer,
    describe,
    parametrize_with_checks,
)
from seqdemo.testing.core import Check


def test_a_report_is_for_people_and_for_programs() -> None:
    """It counts, it says whether all is well, it becomes JSON."""
    report = check_tokenizer("bytes")
    assert report.ok
    assert [outcome.check for outcome in report.outcomes] == [one.name for one in catalogue.CHECKS["tokenizer"]]
    plain = json.loads(json.dumps(report.as_json()))
    assert plain["ok"] is True
    assert plain["counts"] == {"passed": 19, "skipped": 1}
    assert "19 passed, 1 skipped" in str(report)
    failed = Report((Outcome("lossless", "mine", "failed", "failed\nseen: a\nexpected: b"),))
    assert not failed.ok
    assert "      seen: a" in str(failed)


def test_expected_failures_need_a_reason_and_a_name() -> None:
    """A check nobody knows is refused with the nearest name, an empty reason by saying so."""
    with pytest.raises(UnknownNameError, match="Did you mean 'lossless'"):
        TokenizerSubject("bytes", expected_failures={"losless": "why"})
    for reason in ("", "  "):
        with pytest.raises(ConfigError, match="reason"):
            TokenizerSubject("bytes", expected_failures={"lossless": reason})


def test_expected_failures_are_strict() -> None:
    """One that fails is reported with its reason; one that passes, or is left out, fails the run."""
    lower = {"lowercase": True}
    with pytest.raises(CheckFailure, match="lossless"):
        check_tokenizer("char", lower)
    report = check_tokenizer("char", lower, expected_failures={"lossless": "it is meant to lower"})
    (expected,) = [outcome for outcome in report.outcomes if outcome.status == "expected"]
    assert report.ok
    assert expected.check == "lossless"
    assert expected.message.startswith("it is meant to lower")
    for name in ("lossless", "damaged_files_refused"):
        with pytest.raises(CheckFailure, match="take it out of expected_failures") as caught:
            check_tokenizer("bytes", expected_failures={name: "once it did"})
        assert [(o.check, o.status) for o in caught.value.outcomes] == [(name, "unexpected_pass")]


def test_what_cannot_be_built_is_a_failure_that_says_so() -> None:
    """A name nobody announced and a config that is not accepted are reported, not raised past the report."""
    with pytest.raises(CheckFailure, match="There is no tokenizer named 'bites'"):
        check_tokenizer("bites")
    with pytest.raises(CheckFailure, match="vocab_size = 0 is not accepted"):
        check_tokenizer("words", {"vocab_size": 0})
    with pytest.raises(CheckFailure, match="does not say what its config is"):
        check_model(lambda config, size: None)
    with pytest.raises(CheckFailure, match="no tokenizer named"):
        check_task("generation", tokenizer="bites")


def test_subjects_cannot_be_overridden() -> None:
    """A subject that brings checks of its own is refused when its class is made."""
    with pytest.raises(TypeError, match="expected_failures"):
        type("Mine", (ModelSubject,), {"step_equals_forward": lambda self: None})


def _without(name: str) -> Mapping[Any, tuple[Check, ...]]:
    kept = tuple(one for one in catalogue.CHECKS["tokenizer"] if one.name != name)
    return {**catalogue.CHECKS, "tokenizer": kept}


def _replaced(name: str) -> Mapping[Any, tuple[Check, ...]]:
    (old,) = [one for one in catalogue.CHECKS["tokenizer"] if one.name == name]
    new = Check("tokenizer", name, lambda lab: None, old.summary, old.cause, old.mend, ())
    kept = tuple(new if one is old else one for one in catalogue.CHECKS["tokenizer"])
    return {**catalogue.CHECKS, "tokenizer": kept}


@pytest.mark.parametrize("tampered", [_without, _replaced])
def test_a_check_taken_from_the_list_fails_every_door(tampered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions, decorator and a decorated test that was made before all say which check is gone."""

    @parametrize_with_checks([TokenizerSubject("bytes")])
    def conformance(check: Any) -> None:
        check()

    bound = conformance.pytestmark[0].args[1][0]  # type: ignore[attr-defined]
    monkeypatch.setattr(catalogue, "CHECKS", tampered("lossless"))
    with pytest.raises(CheckFailure, match="'lossless' was re"):
        check_tokenizer("bytes")
    with pytest.raises(CheckFailure, match="'lossless' was re"):
        parametrize_with_checks([TokenizerSubject("bytes")])
    with pytest.raises(CheckFailure, match="'lossless' was re"):
        conformance(check=bound)
    assert not check_plugin("builtin").ok


def test_a_check_whose_body_was_replaced_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewriting a check in place is noticed too."""
    (chosen,) = [one for one in catalogue.CHECKS["tokenizer"] if one.name == "lossless"]
    monkeypatch.setattr(chosen.run, "__code__", (lambda lab: None).__code__)
    with pytest.raises(CheckFailure, match="'lossless' was replaced"):
        check_tokenizer("bytes")


def _pytest(folder: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test module of its own."""
    (folder / "test_mine.py").write_text(textwrap.dedent(body), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", os.devnull, *options]
    return subprocess.run(
        [*command, str(folder / "test_mine.py")], capture_output=True, text=True, cwd=folder, check=False
    )


def test_the_decorator_makes_tests_that_cannot_be_hollowed_out(tmp_path: Path) -> None:
    """Ids read well; skips and expected failures are pytest's own; a body that does not call its check fails."""
    done = _pytest(
        tmp_path,
        """
        from seqdemo.testing import TokenizerSubject, parametrize_with_checks
        import pytest

        SUBJECTS = [
            TokenizerSubject("bytes"),
            TokenizerSubject("char", {"lowercase": True}, expected_failures={"lossless": "meant"}),
            TokenizerSubject("char", {"end_token": True}),
        ]

        @parametrize_with_checks(SUBJECTS)
        def test_sound(check):
            check()

        @parametrize_with_checks([TokenizerSubject("bytes")])
        def test_empty(check):
            pass

        @parametrize_with_checks([TokenizerSubject("bytes")])
        def test_leaves(check):
            pytest.skip("not today")

        @parametrize_with_checks([TokenizerSubject("char", {"lowercase": True})])
        def test_hides(check):
            try:
                check()
            except AssertionError:
                pass
        """,
        "-k",
        "lossless or damaged",
    )
    lines = set(done.stdout.splitlines())
    assert "PASSED test_mine.py::test_sound[bytes-lossless]" in lines
    assert "PASSED test_mine.py::test_sound[char-end_token=True-lossless]" in lines
    assert any(line.startswith("XFAIL test_mine.py::test_sound[char-lowercase=True-lossless]") for line in lines)
    for test in ("test_empty[bytes-lossless]", "test_leaves[bytes-lossless]", "test_hides[char-lossless]"):
        assert any(line.startswith(f"FAILED test_mine.py::{test}") for line in lines), done.stdout
    assert "6 failed" not in done.stdout
    assert "5 failed" in done.stdout
    assert "did not call its check" in done.stdout


def test_the_decorator_refuses_what_cannot_work() -> None:
    """No subjects, or a function that takes no check, is an error at once."""
    with pytest.raises(ConfigError, match="at least one"):
        parametrize_with_checks([])

    def nothing() -> None:
        pass

    with pytest.raises(ConfigError, match="named check"):
        parametrize_with_checks([TokenizerSubject("bytes")])(nothing)


def test_neither_pytest_nor_hypothesis_is_needed() -> None:
    """Importing the kit and checking a model works where neither is installed."""
    code = """
import sys
sys.modules["pytest"] = sys.modules["hypothesis"] = None
from seqdemo.testing import check_model, model_sequence
model_sequence.STEPS = 600
print(check_model("scratch-rnn").ok)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


@pytest.fixture
def plugin_folder(tmp_path: Path) -> Iterator[Path]:
    """A plugin with a tokenizer, whose config module can be written anew."""
    folder = tmp_path / "heavy"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        textwrap.dedent(
            """
            from seqdemo.plugin import TokenizerRecord, hookimpl

            @hookimpl
            def seqdemo_tokenizers():
                return [TokenizerRecord("heavy", "heavy.work:Heavy", "heavy.config:HeavyConfig", "Bytes again.")]
            """
        ),
        "utf-8",
    )
    (folder / "config.py").write_text(
        "from seqdemo.plugin import TokenizerConfig\n\nclass HeavyConfig(TokenizerConfig):\n    pass\n", "utf-8"
    )
    (folder / "work.py").write_text(
        "from seqdemo.builtin.tokenizers.byte_level import Bytes\n"
        "from seqdemo.builtin.tokenizers.config import BytesConfig\n"
        "from .config import HeavyConfig\n\n"
        "class Heavy(Bytes):\n"
        "    def __init__(self, config):\n        super().__init__(BytesConfig())\n        self.config = config\n",
        "utf-8",
    )
    yield folder
    manager.configure([])


def test_imports_are_watched_in_a_fresh_process(plugin_folder: Path) -> None:
    """A plugin with a light config passes; with one that imports torch it fails by the one check, though torch is
    long since loaded here."""
    import torch

    manager.configure([plugin_folder])
    report = check_plugin("heavy")
    assert report.ok, str(report)
    assert {outcome.subject for outcome in report.outcomes} == {"heavy:heavy", "heavy"}
    config = plugin_folder / "config.py"
    config.write_text("def _late():\n    import torch\n\n_late()\n" + config.read_text("utf-8"), "utf-8")
    manager.configure([plugin_folder])
    again = check_plugin("heavy")
    assert [outcome.check for outcome in again.failures] == ["imports_without_torch"]
    assert "torch" in again.failures[0].message
    assert torch is not None


def test_a_broken_plugin_is_reported(tmp_path: Path) -> None:
    """What the manager found wrong with a plugin is in the report, not raised; an unknown name is refused."""
    (tmp_path / "torn.py").write_text("raise RuntimeError('torn')\n", "utf-8")
    manager.configure([tmp_path])
    try:
        report = check_plugin("torn")
    finally:
        manager.configure([])
    assert not report.ok
    assert "torn" in report.failures[0].message
    assert "--tracebacks" in report.failures[0].message
    with pytest.raises(UnknownNameError, match="plugin"):
        check_plugin("nobody")


def test_a_config_that_does_not_load_fails_once(plugin_folder: Path) -> None:
    """Without a config nothing can be checked: one failure says so, and no check blames the model for it."""
    (plugin_folder / "config.py").write_text("", "utf-8")
    manager.configure([plugin_folder])
    report = check_plugin("heavy")
    assert [outcome.check for outcome in report.outcomes] == ["loads (config)"]
    assert "cannot be loaded" in report.failures[0].message


def test_descriptions_are_complete() -> None:
    """Every check says what must hold, the usual cause and how to mend it."""
    listed = describe()
    assert len({(kind, name) for kind, name, *_ in listed}) == len(listed)
    for kind, name, *texts in listed:
        assert kind in ("model", "tokenizer", "task")
        assert all(text.strip().endswith(".") for text in texts), name
