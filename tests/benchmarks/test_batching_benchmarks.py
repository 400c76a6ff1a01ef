"""The scripts that measure batching run, and check what they say they check."""

from __future__ import annotations

import pytest

from .conftest import script


def test_the_table_has_a_line_for_each_side(capsys: pytest.CaptureFixture[str]) -> None:
    """Two plain loops, and for a precision the bare step and the engine three times; exact streams do not differ."""
    arguments = ["--sizes", "tiny", "--precisions", "fp32", "--streams", "3", "--tokens", "8", "--repeats", "1"]
    rows = script("batching").main([*arguments, "--threads", "1"])
    assert [row.what.split(",")[0] for row in rows] == ["plain loop", "plain loop", "bare step", *["engine"] * 3]
    assert all(row.rate > 0 and row.times_plain > 0 for row in rows)
    assert "exact 0.0" in capsys.readouterr().out


def test_a_short_soak_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Clients that finish, cancel, drop and time out leave no row behind, and every text is that of its solo run."""
    arguments = ["--size", "tiny", "--clients", "8", "--seconds", "2", "--threads", "1"]
    arguments += ["--growth", "200", "--variety", "4", "--longest", "30"]
    status = script("soak").main(arguments)
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert "'length'" in printed


def test_the_soak_notices_a_text_that_changed() -> None:
    """A check that cannot fail would be none."""
    soak = script("soak")
    found = soak.Soak(soak._bench().build("tiny"), exact=True, variety=2, longest=10)
    found._solo[0][3] += 1
    found._check(0, [*found._solo[0][:3], found._solo[0][3] - 1], None, 10)
    assert found.problems == ["request 0 left its solo run"]
    found.engine.close()
