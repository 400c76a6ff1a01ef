"""What was said is kept by the server, through everything that happens to it and to the browser."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::Warning:gradio.*")]

LONG = 100_000
SERVER = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("standin", sys.argv[1])
standin = importlib.util.module_from_spec(spec)
sys.modules["standin"] = standin
spec.loader.exec_module(standin)
from seqdemo.ui import serve
demo = serve(port=int(sys.argv[2]), source=standin.FakeSource())
print("ready", flush=True)
time.sleep(3600)
"""


def finished(page: Any, replies: int = 1) -> None:
    page.wait_for_function("n => document.querySelectorAll('.sd-seed').length === n", arg=replies)


@pytest.fixture
def server(own_home: Path, free_port: Callable[[], int]) -> Iterator[Any]:
    """Starts the page in a process of its own, always at the same address."""
    port, running = free_port(), []

    def start() -> tuple[str, subprocess.Popen[str]]:
        conftest = str(Path(__file__).with_name("conftest.py"))
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, conftest, str(port)], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return f"http://127.0.0.1:{port}/", process

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_killed_server_loses_nothing_that_was_shown(browser: Any, server: Any, acts: Any) -> None:
    """After kill -9 in mid-reply, a restart and a refresh, the conversation is there with its reply, and goes on."""
    url, process = server()
    context = browser.new_context()
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".sd-intro")
    acts.say(page, "before", 5)
    finished(page)
    acts.say(page, "meanwhile", LONG)
    page.wait_for_function("document.querySelectorAll('.sd-token').length > 120")
    process.send_signal(signal.SIGKILL)
    process.wait()
    server()
    page.goto(url)
    page.wait_for_selector(".sd-user")
    assert page.locator(".sd-bubble").all_inner_texts() == ["before", "meanwhile"]
    assert page.locator(".sd-token").count() > 60
    assert page.locator(".sd-body").nth(1).inner_text().startswith(" the sea was calm,")
    assert "interrupted" in page.locator(".sd-note").nth(1).inner_text()
    acts.say(page, "after", 5)
    finished(page, 3)
    context.close()


def test_two_tabs_on_one_conversation(site: Any) -> None:
    """A tab that fell behind, unheard, is told to reload, keeps what was typed, and overwrites nothing."""
    context = site.context()
    context.add_init_script("delete window.BroadcastChannel")
    first = site.open(context)
    site.say(first, "one", 4)
    finished(first)
    with context.expect_page() as opened:
        first.evaluate("window.open(location.href)")
    second = opened.value
    finished(second)
    assert second.locator(".sd-bubble").inner_text() == "one"
    site.say(second, "two", 4)
    finished(second, 2)
    site.say(first, "three", 4)
    first.wait_for_selector("#sd-notice .sd-error")
    assert "another tab" in first.locator("#sd-notice").inner_text()
    assert first.locator("#sd-input textarea").input_value() == "three"
    first.get_by_role("link", name="Reload").click()
    finished(first, 2)
    assert first.locator(".sd-bubble").all_inner_texts() == ["one", "two"]
    site.say(first, "three", 4)
    finished(first, 3)


def test_nobody_sees_what_is_another_visitors(site: Any) -> None:
    """A conversation's id is of no use to another browser, whatever it claims to have shown."""
    mine = site.open()
    site.say(mine, "secret", 4)
    finished(mine)
    conversation = mine.evaluate("sessionStorage.getItem('seqdemo.conversation')")
    key = mine.evaluate("sessionStorage.getItem('seqdemo.tab')")
    assert conversation
    other = site.open()
    for name, value in (("conversation", conversation), ("tab", key)):
        other.evaluate("([name, value]) => sessionStorage.setItem(`seqdemo.${name}`, value)", [name, value])
    other.reload()
    other.wait_for_selector(".sd-intro")
    assert other.locator(".sd-message").count() == 0
    assert other.evaluate("sessionStorage.getItem('seqdemo.tab')") != key


def test_the_cookie_is_signed_and_hidden(site: Any) -> None:
    """A browser gets one cookie that no script can read; with a forged one it is someone else."""
    page = site.open()
    cookies = page.context.cookies()
    assert [cookie["httpOnly"] for cookie in cookies] == [True]
    assert page.evaluate("document.cookie") == ""
    site.say(page, "mine", 4)
    finished(page)
    forged = {**cookies[0], "value": "0" * 32 + "." + cookies[0]["value"].partition(".")[2]}
    page.context.add_cookies([forged])
    page.reload()
    page.wait_for_selector(".sd-intro")
    assert page.context.cookies()[0]["value"] not in (forged["value"], cookies[0]["value"])
    page.context.add_cookies(cookies)
    page.reload()
    page.wait_for_selector(".sd-intro")
    assert page.locator(".sd-message").count() == 0
