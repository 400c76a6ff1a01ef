"""A stand-in for the SDK, so that the page can be tested without training or loading anything."""

from __future__ import annotations

import math
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from seqdemo.errors import TokenizerError
from seqdemo.plugin import Alternative, Done, Event, Generation, Prefill, Token, Usage


@dataclass
class FakeRecord:
    name: str
    summary: str = "A stand-in that repeats a script."
    task: str = "generation"
    examples: tuple[str, ...] = ()
    problem: str = ""


@dataclass
class FakePlugin:
    name: str
    health: str = "ok"
    distribution: str = "fake"
    version: str = "1.0"
    source: str = "built in"
    records: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"models": ("lstm", "gru")})
    problems: tuple[Any, ...] = ()
    slow: tuple[str, ...] = ()


@dataclass
class FakeProblem:
    phase: str = "import"
    message: str = "Cannot import 'broken': ModuleNotFoundError: No module named 'nowhere'."
    traceback: str = "Traceback (most recent call last):\n  <b>ModuleNotFoundError</b>"


class FakeStream:
    """Plays a script of token texts, ``delay`` seconds apart, until it is closed."""

    def __init__(self, owner: FakeSession, words: list[str], options: dict[str, Any]) -> None:
        self.owner, self.words, self.options = owner, words, options
        self.closed = threading.Event()
        self.events: list[Event] = []

    def generation(self) -> Generation:
        tokens = tuple(event for event in self.events if isinstance(event, Token))
        done = next(event for event in self.events if isinstance(event, Done))
        return Generation("", "".join(token.text for token in tokens), tokens, done)

    def close(self) -> None:
        self.closed.set()

    def __iter__(self) -> Iterator[Event]:
        for event in self._play():
            self.events.append(event)
            yield event

    def _play(self) -> Iterator[Event]:
        source, limit = self.owner.source, self.options.get("max_tokens", 200)
        seed = self.options.get("seed")
        seed = 2**62 + 1 if seed is None else seed
        yield Prefill(4, 4)
        made, reason = 0, "length"
        for index in range(limit):
            if self.closed.wait(source.delay):
                reason = "cancelled"
                break
            text = self.words[index % len(self.words)]
            source.generated += 1
            made += 1
            self.owner.tokens_read += 1
            best = [
                Alternative(index + 1000 * n, other, 0.5 / (n + 1), 0.7 / (n + 1) * (n < 3))
                for n, other in enumerate((text, " moon", "\n", "<b>", "月"))
            ]
            yield Token(index, text, math.log(0.5), 1.2, tuple(best[: self.options.get("alternatives", 5)]), index + 4)
        yield Done(reason, Usage(4, made, made * 0.01, 0.01, 16_384), seed=seed)  # type: ignore[arg-type]


class FakeSession:
    def __init__(self, source: FakeSource, name: str) -> None:
        self.source, self.name = source, name
        self.tokens_read = 0
        self.state_bytes = 16_384
        self.said: list[str] = []
        self.seeds: list[int | None] = []

    def _words(self) -> list[str]:
        return self.source.scripts.get(self.name, [" the", " sea", " was", " calm", ",\n"])

    def stream(self, message: str, **options: Any) -> FakeStream:
        if "☠" in message:
            raise TokenizerError("The character '☠' <i>is not</i> in the vocabulary. Leave it out.")
        self.said.append(message)
        self.tokens_read += 4
        return FakeStream(self, self._words(), options)

    def stream_regenerate(self, **options: Any) -> FakeStream:
        return FakeStream(self, ["again "], options)

    def undo(self) -> str:
        return self.said.pop()


@dataclass
class FakeStepper:
    precision: str = "float32"
    description: str = "as it comes"


@dataclass
class FakePipeline:
    source: FakeSource
    name: str
    device: str = "cpu"
    stepper: FakeStepper = field(default_factory=FakeStepper)

    def session(self) -> FakeSession:
        return FakeSession(self.source, self.name)


class FakeSource:
    """What the page asks of the SDK. ``generated`` counts every token made, whoever is listening."""

    def __init__(self) -> None:
        self.records = [
            FakeRecord(
                "stories",
                "Fairy tales and small stories, 10 M characters.",
                examples=("Once upon a time", "The old fox said", "In a house by the sea"),
            ),
            FakeRecord("诗词", "唐诗宋词。", examples=("床前明月光",)),
        ]
        self.delay = 0.01
        self.load_delay = 0.0
        self.generated = 0
        self.scans = 0
        self.scripts: dict[str, list[str]] = {"诗词": list("床前明月光，疑是地上霜。\n")}

    def checkpoints(self) -> list[FakeRecord]:
        return self.records

    def preferences(self, name: str) -> dict[str, Any]:
        return {"temperature": 0.7}

    def load(self, name: str) -> FakePipeline:
        time.sleep(self.load_delay)
        return FakePipeline(self, name)

    def plugins(self, reload: bool = False) -> list[FakePlugin]:
        self.scans += reload
        found = [FakePlugin("builtin", distribution="seqdemo")]
        return [*found, FakePlugin("broken", "failed", "seqdemo-broken", records={}, problems=(FakeProblem(),))]


@pytest.fixture(scope="session")
def make_source() -> type[FakeSource]:
    return FakeSource


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=flags)
        yield found
        found.close()


class Site:
    """A served page, the browser's view of it, and every address it asked for."""

    def __init__(self, browser: Any, url: str, source: Any) -> None:
        self.browser, self.url, self.source = browser, url, source
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._contexts: list[Any] = []

    def context(self, **options: Any) -> Any:
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(60_000)
        context.on("request", lambda request: self.requests.append(request.url))
        self._contexts.append(context)
        return context

    def open(self, context: Any = None, **options: Any) -> Any:
        page = (context or self.context(**options)).new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.url)
        page.wait_for_selector(".sd-intro")
        page.wait_for_selector("#sd-status dd")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, FakeSource]]:
    from seqdemo.ui import serve

    source = FakeSource()
    demo = serve(port=_free_port(), source=source)
    yield demo.local_url, source
    demo.close(verbose=False)


@pytest.fixture
def site(browser: Any, served: tuple[str, FakeSource]) -> Iterator[Site]:
    url, source = served
    vars(source).update(vars(FakeSource()))
    found = Site(browser, url, source)
    yield found
    found.close()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return _free_port
