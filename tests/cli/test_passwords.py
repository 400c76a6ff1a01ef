"""The command that says who may log in to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqdemo.passwords import Passwords


def test_add_list_remove(cli: Any, tmp_path: Path) -> None:
    """A password comes from standard input and never from the command line; names and rights are listed, hashes not."""
    path = tmp_path / "logins.json"
    added = cli("passwords", "add", "ada", "--admin", "--file", str(path), stdin="correct horse\n")
    assert added.exit_code == 0
    assert f"--auth {path}" in added.output
    assert cli("passwords", "add", "bob", "--file", str(path), stdin="battery staple").exit_code == 0
    assert Passwords(path).logins()["ada"].fits("correct horse")
    assert Passwords(path).logins()["bob"].fits("battery staple")
    listed = cli("passwords", "list", "--file", str(path), "--json")
    assert json.loads(listed.stdout) == [{"name": "ada", "admin": True}, {"name": "bob", "admin": False}]
    assert cli("passwords", "remove", "bob", "--file", str(path)).exit_code == 0
    gone = cli("passwords", "remove", "bob", "--file", str(path))
    assert gone.exit_code == 2
    assert "'bob'" in gone.stderr


def test_it_is_kept_at_home(cli: Any, own_home: Path) -> None:
    """Without a file named it is one in SEQDEMO_HOME; a password that is too short is said in a line."""
    short = cli("passwords", "add", "ada", stdin="short\n")
    assert short.exit_code == 2
    assert "at least 8 characters" in short.stderr
    assert cli("passwords", "add", "ada", stdin="correct horse\n").exit_code == 0
    assert list(Passwords(own_home / "passwords.json").logins()) == ["ada"]
