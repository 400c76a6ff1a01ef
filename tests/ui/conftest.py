"""A stand-in for the SDK: what is said is scripted, all else is real, so nothing is trained or loaded."""

from __future__ import annotations

import importlib.util
import shutil
import socket
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

_spec = importlib.util.spec_from_file_location("scripted", Path(__file__).with_name("scripted.py"))
assert _spec
assert _spec.loader
scripted = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scripted)


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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FakeSource]]:
    from seqdemo.ui import serve

    source = FakeSource()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQDEMO_HOME", str(tmp_path_factory.mktemp("served")))
        demo = serve(port=_free_port(), source=source)
    yield demo.local_url, source
    demo.close(verbose=False)


@pytest.fixture
def site(browser: Any, served: tuple[str, FakeSource], own_home: Path) -> Iterator[Site]:
    url, source = served
    vars(source).update(vars(FakeSource()))
    source.folder = own_home / "conversations"
    found = Site(browser, url, source)
    yield found
    found.close()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return _free_port
