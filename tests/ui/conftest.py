"""A stand-in for the SDK: what is said is scripted, all else is real, so nothing is trained or loaded."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import seqdemo.pretrained
from seqdemo import adding
from seqdemo.adding import Offer
from seqdemo.files import home
from seqdemo.plugin import SamplingOptions
from seqdemo.pretrained import CheckpointRecord
from seqdemo.store import Database, opened

VIEWPORT = {"width": 1280, "height": 800}
PATIENCE = 60_000
"""Milliseconds that a busy machine may take for a step."""


def _beside(name: str) -> Any:
    """A module that stands beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


scripted = _beside("scripted")


def _until(true: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in the browser come last: one browser serves them all, and its loop runs in this thread until the end."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


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


@dataclass
class FakePipeline:
    """Real decoding, real sessions, over a head that says what it is told to."""

    source: FakeSource
    name: str
    device: Any = "cpu"
    task: str = "generation"

    def __post_init__(self) -> None:
        self.head = self.source.head(self.name)
        self.fingerprint = f"weights of {self.name}"

    def options(self, given: Mapping[str, Any]) -> SamplingOptions:
        return SamplingOptions(**given)

    @property
    def stepper(self) -> Any:
        from seqdemo.decoding.prepare import stepping

        return stepping(self.head, torch.device("cpu"))


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
        self.scripts: dict[str, list[str]] = {"诗词": scripted.POEM}
        self.nasty: list[str] = scripted.NASTY
        self.strange: list[str] = scripted.STRANGE
        self.folder: Path | None = None
        self.place = Path(seqdemo.pretrained.__file__).parent

    def checkpoints(self) -> list[FakeRecord]:
        return self.records

    def predictors(self) -> list[FakeRecord]:
        return []

    def tasks(self) -> dict[str, Any]:
        return {}

    def preferences(self, name: str) -> dict[str, Any]:
        return {"temperature": 0.0}

    def head(self, name: str) -> Any:
        return scripted.ScriptedHead(name, self)

    def database(self) -> Database:
        return opened(self.folder or home() / "conversations")

    def load(self, name: str) -> FakePipeline:
        time.sleep(self.load_delay)
        return FakePipeline(self, name)

    def installed(self) -> list[CheckpointRecord]:
        return [
            CheckpointRecord(one.name, one.summary, one.task, self.place / one.name, "shipped", ("lstm",), 3_500_000)
            for one in self.records
        ]

    def offer(self, place: str) -> Offer:
        return adding.offer(place)

    def add(self, chosen: Offer, name: str) -> CheckpointRecord:
        found = adding.add(chosen, name)
        self.records.append(FakeRecord(found.name, found.summary))
        return found

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


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Waits for what another thread does."""
    return _until


@pytest.fixture
def chat(source: Any) -> Any:
    """The chat without a server or a browser; its models take a while for a token."""
    import gradio as gr

    from seqdemo.ui.chat import ChatTab
    from seqdemo.ui.loader import Loader
    from seqdemo.ui.visitors import Visitors

    source.delay = 0.05
    with gr.Blocks() as demo:
        return ChatTab(demo, source, Visitors(b"k" * 32), Loader(source))


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
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
    """A served page, the browser's view of it, and every address it asked for.

    Args:
        warm: a context that keeps the page's scripts from one test to the next; the first visitor of a test has it.
    """

    def __init__(self, browser: Any, url: str, source: Any, warm: Any) -> None:
        self.browser, self.url, self.source = browser, url, source
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._contexts: list[Any] = []
        self._warm = self._first = warm
        warm.on("request", self._seen)

    def _seen(self, request: Any) -> None:
        self.requests.append(request.url)

    def context(self, **options: Any) -> Any:
        context = self.browser.new_context(**{"viewport": VIEWPORT, **options})
        context.set_default_timeout(PATIENCE)
        context.on("request", self._seen)
        self._contexts.append(context)
        return context

    def _next(self, **options: Any) -> Any:
        """Another visitor's context."""
        if self._first is None or options:
            return self.context(**options)
        context, self._first = self._first, None
        return context

    def open(self, context: Any = None, **options: Any) -> Any:
        page = (context or self._next(**options)).new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self.url)
        page.wait_for_selector(".sd-intro")
        page.wait_for_selector("#sd-status dd")
        return page

    def close(self) -> None:
        """Nothing that a test did is left to the next one."""
        for context in self._contexts:
            context.close()
        for page in self._warm.pages:
            page.close()
        self._warm.remove_listener("request", self._seen)
        self._warm.clear_cookies()
        page = self._warm.new_page()
        held = {"origin": self.url.rstrip("/"), "storageTypes": "local_storage"}
        self._warm.new_cdp_session(page).send("Storage.clearDataForOrigin", held)
        page.close()

    @staticmethod
    def until(true: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
        """Wait for something that the page does not show."""
        _until(true, what, seconds)

    def rests(self) -> None:
        """Wait until no reply is being made, for anybody."""
        self.until(lambda: all(one.name != "seqdemo-reply" for one in threading.enumerate()), "the end of the work")

    @staticmethod
    def say(page: Any, text: str, tokens: int) -> None:
        """Send a message that may be answered by so many tokens."""
        box = page.locator("#sd-option-max-tokens input[type=number]").first
        box.fill(str(tokens))
        box.press("Tab")
        page.fill("#sd-input textarea", text)
        page.press("#sd-input textarea", "Enter")

    @staticmethod
    def grows(page: Any) -> None:
        """Wait until what streams is some tokens longer."""
        before = page.locator(".sd-token").count()
        page.wait_for_function("n => document.querySelectorAll('.sd-token').length > n + 2", arg=before)

    def says(self, page: Any, css: str, *texts: str) -> None:
        """Wait until texts are shown in an element."""
        page.wait_for_function(
            """([css, texts]) => {
                const shown = document.querySelector(css)?.innerText ?? "";
                return texts.every((text) => shown.includes(text));
            }""",
            arg=[css, list(texts)],
        )

    def holds(self, page: Any, text: str, css: str = "#sd-input textarea") -> None:
        """Wait until a box has a text in it, and no other."""
        page.wait_for_function("([css, text]) => document.querySelector(css).value === text", arg=[css, text])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FakeSource]]:
    from seqdemo.ui import serve

    source = FakeSource()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQDEMO_HOME", str(tmp_path_factory.mktemp("served")))
        demo = serve(port=_free_port(), source=source)
    yield demo.local_url, source
    demo.close(verbose=False)


@pytest.fixture(scope="session")
def warm(browser: Any) -> Any:
    context = browser.new_context(viewport=VIEWPORT)
    context.set_default_timeout(PATIENCE)
    return context


@pytest.fixture
def site(browser: Any, warm: Any, served: tuple[str, FakeSource], own_home: Path) -> Iterator[Site]:
    url, source = served
    vars(source).update(vars(FakeSource()))
    source.folder = own_home / "conversations"
    found = Site(browser, url, source, warm)
    yield found
    found.close()


@pytest.fixture(scope="session")
def acts() -> type[Site]:
    """What a visitor does, for a page that a test serves by itself."""
    return Site


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return _free_port


@pytest.fixture(scope="session")
def reading() -> Any:
    """What a reader of any kind meets on a page."""
    return _beside("reading")
