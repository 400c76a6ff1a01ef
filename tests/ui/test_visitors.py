"""Visitors are told apart by a login name or a cookie that nobody can make."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqdemo.errors import StoreError
from seqdemo.ui.tabs import Tabs
from seqdemo.ui.visitors import Visitors, secret


def request(cookies: dict[str, str], username: str | None = None, session: str = "s") -> Any:
    return SimpleNamespace(username=username, session_hash=session, request=SimpleNamespace(cookies=cookies))


def test_the_key_is_its_owners_and_stays(tmp_path: Path) -> None:
    """It is made once, readable by nobody else; a damaged one is said and not replaced."""
    key = secret(tmp_path / "home")
    path = tmp_path / "home" / "page.key"
    assert secret(tmp_path / "home") == key == path.read_bytes()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["page.key"]
    assert secret(tmp_path / "other") != key
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        secret(tmp_path / "home")


def test_only_what_was_issued_is_believed() -> None:
    """A cookie names its holder; changed, foreign or missing ones name nobody that another request could be."""
    visitors, others = Visitors(b"a" * 32), Visitors(b"b" * 32)
    cookie = visitors.issue()
    assert visitors.valid(cookie)
    name = visitors.of(request({visitors.cookie: cookie}))
    assert name == f"cookie:{cookie[:32]}"
    assert visitors.of(request({visitors.cookie: cookie}, session="t")) == name
    assert visitors.issue() != cookie
    flipped = ("1" if cookie[0] == "0" else "0") + cookie[1:]
    for wrong in (flipped, cookie[:-1], cookie + "0", others.issue(), "", "ü"):
        assert visitors.of(request({visitors.cookie: wrong})) == "page:s"
    assert others.cookie != visitors.cookie


def test_a_login_name_comes_first() -> None:
    """Whoever is logged in is known by that name, and no cookie can claim it."""
    visitors = Visitors(b"a" * 32)
    cookies = {visitors.cookie: visitors.issue()}
    assert visitors.of(request(cookies, "ada")) == "login:ada"
    assert visitors.of(request({visitors.cookie: "ada"})) == "page:s"


def test_a_tab_belongs_to_its_owner() -> None:
    """The key brings a reloaded tab back, to its owner only; a duplicated tab, which copies the key, gets its own."""
    tabs = Tabs()
    first = tabs.arrive("page1", "ada")
    assert tabs.arrive("page2", "ada", first.key) is not first
    assert tabs.arrive("page3", "eve", first.key, reloaded=True) is not first
    assert tabs.arrive("page4", "ada", first.key, reloaded=True) is first
    assert tabs.at("page4", "ada") is first
    assert tabs.at("page4", "eve") is None
    assert tabs.at("unknown", "ada") is None
    tabs.leave("page4")
    assert tabs.arrive("page5", "ada", first.key) is first
    assert tabs.arrive("page6", "ada", "forged") is not first
