"""Passwords are kept as salted hashes, in a file that its owner alone reads."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from seqdemo import passwords
from seqdemo.errors import ConfigError, UnknownNameError
from seqdemo.passwords import Passwords


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Passwords:
    monkeypatch.setattr(passwords, "_PENALTY", 0.0)
    monkeypatch.setattr(passwords, "_COST", 2**10)
    return Passwords(tmp_path / "deep" / "passwords.json")


def test_who_may_log_in(kept: Passwords, run_async: Any) -> None:
    """Only the right password of a known name does; a change and a removal count at once."""
    assert kept.add("ada", "correct horse", admin=True)
    assert kept.add("李雷", "另一个很长的密码")

    def may(name: str, password: str) -> bool:
        return run_async(kept.check(name, password))

    assert may("ada", "correct horse")
    assert may("李雷", "另一个很长的密码")
    for wrong in ("", "correct horsf", "correct horse ", "Correct horse", "\udc80"):
        assert not may("ada", wrong)
    assert not may("eve", "correct horse")
    assert (kept.admin("ada"), kept.admin("李雷"), kept.admin("eve")) == (True, False, False)
    assert not kept.add("ada", "battery staple")
    assert not may("ada", "correct horse")
    assert may("ada", "battery staple")
    assert not kept.admin("ada")
    kept.remove("ada")
    assert not may("ada", "battery staple")
    with pytest.raises(UnknownNameError, match=r"'ada'.*李雷"):
        kept.remove("ada")


def test_the_file_tells_no_password(tmp_path: Path) -> None:
    """It holds scrypt's hash of each, differently salted for the same password, and nobody else may read it."""
    kept = Passwords(tmp_path / "passwords.json")
    kept.add("ada", "the same password")
    kept.add("bob", "the same password")
    found = json.loads(kept.path.read_text("utf-8"))["logins"]
    assert "the same" not in kept.path.read_text("utf-8")
    assert found["ada"]["hash"] != found["bob"]["hash"]
    one = found["ada"]
    again = hashlib.scrypt(
        b"the same password", salt=bytes.fromhex(one["salt"]), n=2**15, r=8, p=1, maxmem=2**26, dklen=32
    )
    assert one["hash"] == again.hex()
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        ("{", "not a file of passwords"),
        ('{"ada": "secret"}', "ada: extra inputs"),
        ('{"logins": {"ada": {"salt": "00", "hash": "00"}}}', r"logins\.ada\.salt"),
        (json.dumps({"logins": {"ada": {"salt": "00" * 16, "hash": "00" * 32, "n": 2**40}}}), r"ada\.n"),
    ],
)
def test_a_wrong_file_lets_nobody_in(tmp_path: Path, content: str | None, why: str) -> None:
    """A file that is missing, damaged, plain or asks for too much memory is said, and no login comes of it."""
    path = tmp_path / "passwords.json"
    if content is not None:
        path.write_text(content, "utf-8")
    kept = Passwords(path)
    with pytest.raises(ConfigError, match=why):
        kept.logins()
    assert not kept.admin("ada")


@pytest.mark.parametrize(
    ("name", "password", "why"), [("a b", "12345678", "login name"), ("ada", "1234567", "at least 8")]
)
def test_what_cannot_be_used(kept: Passwords, name: str, password: str, why: str) -> None:
    """A name with a space and a short password are refused, and nothing is written."""
    with pytest.raises(ConfigError, match=why):
        kept.add(name, password)
    assert not kept.path.exists()
