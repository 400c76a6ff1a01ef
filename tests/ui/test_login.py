"""Logins at a real server: who gets in, whose conversations are whose, and who may change the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest

from seqdemo import passwords
from seqdemo.errors import ConfigError
from seqdemo.passwords import Passwords
from seqdemo.ui.loader import Loader
from seqdemo.ui.models import ModelsTab
from seqdemo.ui.plugins import plugins_tab
from seqdemo.ui.visitors import Visitors

pytestmark = pytest.mark.filterwarnings("ignore::Warning:gradio.*")


@pytest.fixture
def kept(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Passwords:
    """Ada is an admin, Bob is not."""
    monkeypatch.setattr(passwords, "_PENALTY", 0.0)
    monkeypatch.setattr(passwords, "_COST", 2**10)
    found = Passwords(own_home / "logins.json")
    found.add("ada", "correct horse", admin=True)
    found.add("bob", "battery staple")
    return found


@pytest.fixture
def guarded(kept: Passwords, source: Any, free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a page that asks for a login."""
    from seqdemo.ui import serve

    demo = serve(port=free_port(), source=source, auth=kept.path)
    yield str(demo.local_url)
    demo.close(verbose=False)


def test_nothing_is_told_without_a_login(guarded: str) -> None:
    """The page's parts, events, functions and files are closed until name and password are right."""
    with httpx.Client(base_url=guarded) as client:
        inside = [
            ("GET", "config"),
            ("POST", "gradio_api/queue/join"),
            ("POST", "gradio_api/component_server"),
            ("POST", "gradio_api/upload"),
            ("GET", "gradio_api/file=pyproject.toml"),
        ]
        for method, path in inside:
            assert client.request(method, path, json={} if method == "POST" else None).status_code == 401, path
        assert "sd-conversation" not in client.get("").text
        for name, password in (("ada", "battery staple"), ("eve", "correct horse"), ("", ""), ("ada", "")):
            form = {"username": name, "password": password}
            assert client.post("login", data=form).status_code in (400, 422)
            assert client.get("config").status_code == 401
        assert client.post("login", data={"username": "ada", "password": "correct horse"}).status_code == 200
        assert client.get("config").status_code == 200
        assert "sd-conversation" in client.get("").text


def test_a_file_that_lets_nobody_in_is_said(own_home: Path, source: Any, free_port: Callable[[], int]) -> None:
    """A missing file, a damaged one and one without names each stop the page before it is served."""
    from seqdemo.ui import serve

    path = own_home / "logins.json"
    for content, why in ((None, "cannot be read"), ("[]", "not a file of passwords"), ("{}", "names nobody")):
        if content is not None:
            path.write_text(content, "utf-8")
        with pytest.raises(ConfigError, match=why):
            serve(port=free_port(), source=source, auth=path)


def ask(username: str | None) -> Any:
    return gr.Request(username=username, session_hash="s")


def test_who_may_change_the_server(kept: Passwords) -> None:
    """With logins an admin, here or elsewhere; without them whoever is at this machine, and nobody from elsewhere."""
    key = b"k" * 32
    for local in (True, False):
        guarded = Visitors(key, kept, local)
        assert [guarded.admin(ask(name)) for name in ("ada", "bob", "eve", None, "")] == [True] + [False] * 4
        assert Visitors(key, None, local).admin(ask(None)) is local
    guarded = Visitors(key, kept)
    kept.remove("ada")
    assert not guarded.admin(ask("ada"))
    kept.path.unlink()
    assert not guarded.admin(ask("bob"))


async def last(updates: Any) -> Any:
    found = None
    async for update in updates:
        found = update
    return found


def test_the_server_itself_refuses(source: Any, own_home: Path, run_async: Any) -> None:
    """Loading, unloading, adding, settings and scanning are refused to whom they are not for, however they ask."""
    visitors = Visitors(b"k" * 32, None, local=False)
    loader, asked = Loader(source), ask(None)
    with gr.Blocks() as demo:
        model = gr.Dropdown()
        with gr.Tabs():
            tab = ModelsTab(source, visitors, loader, model, list)
        plugins_tab(demo, source, visitors)
    for verb in ("load", "unload"):
        shown = run_async(last(tab._act(asked, SimpleNamespace(verb=verb, name="stories"))))
        assert "admin" in shown[tab.news]
    assert loader.held() == []
    assert "admin" in tab._set(asked, 0.0)
    assert loader.patience == 15 * 60
    place = str(source.place / "stories")
    assert "admin" in run_async(last(tab._look(asked, place)))[tab.offered]
    assert "admin" in run_async(last(tab._add(asked, source.offer(place), "x")))[tab.offered]
    assert not (own_home / "checkpoints").exists()
    functions = {fn.fn.__name__: fn.fn for fn in demo.fns.values() if fn.fn is not None}
    assert "admin" in run_async(functions["rescan"](asked))
    listed, button = run_async(functions["arrive"](asked))
    assert "ModuleNotFoundError" in listed
    assert "Traceback (most" not in listed
    assert button.interactive is False
    assert source.scans == 0


@pytest.mark.browser
def test_conversations_follow_the_login(browser: Any, guarded: str) -> None:
    """A name finds its conversations in another browser, no other name does, and only an admin has the buttons."""

    def enter(name: str, password: str) -> Any:
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(60_000)
        page.goto(guarded)
        page.get_by_label("username").fill(name)
        page.get_by_label("password").fill(password)
        page.get_by_role("button", name="Login").click()
        page.wait_for_selector("#sd-status dd")
        return page

    first = enter("ada", "correct horse")
    box = first.locator("#sd-option-max-tokens input[type=number]")
    box.fill("4")
    box.press("Tab")
    first.fill("#sd-input textarea", "only for me")
    first.press("#sd-input textarea", "Enter")
    first.wait_for_selector(".sd-seed")
    first.wait_for_selector(".sd-title:text-is('only for me')")
    first.get_by_role("tab", name="Models").click()
    first.wait_for_selector(".sd-checkpoint")
    assert first.get_by_role("button", name="Load 诗词").count() == 1
    first.wait_for_selector("#sd-place")
    second = enter("ada", "correct horse")
    second.get_by_role("button", name="only for me", exact=True).click()
    second.wait_for_selector(".sd-bubble:text-is('only for me')")
    other = enter("bob", "battery staple")
    other.get_by_role("tab", name="Models").click()
    other.wait_for_selector(".sd-none", state="attached")
    assert other.locator(".sd-title").count() == 0
    other.wait_for_selector(".sd-checkpoint")
    assert other.locator(".sd-card-actions button").count() == 0
    other.wait_for_selector("#sd-place", state="hidden")
    for page in (first, second, other):
        page.context.close()
