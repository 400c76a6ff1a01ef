"""Pipelines are loaded once, and let go of when nobody uses them; what they were used for goes on."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import ref

import pytest

from seqdemo.errors import CheckpointError, StaleError
from seqdemo.ui.loader import Loader
from seqdemo.ui.shelf import Shelf
from seqdemo.ui.tabs import Tabs
from seqdemo.ui.words import PageError

OPTIONS = {"max_tokens": 3, "temperature": 0.0}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loader(source: Any, clock: Clock) -> Loader:
    return Loader(source, patience=60.0, clock=clock)


def test_it_loads_once_however_many_ask(source: Any, loader: Loader) -> None:
    """Eight threads that ask at once get the same pipeline; one that cannot be loaded can be asked for again."""
    source.load_delay = 0.05
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(loader.get("stories")), range(8)))
    assert len(found) == 1
    load, source.load = source.load, lambda name: (_ for _ in ()).throw(CheckpointError("gone"))
    with pytest.raises(CheckpointError, match="gone"):
        loader.get("诗词")
    source.load = load
    assert loader.get("诗词").name == "诗词"
    assert [held.name for held in loader.held()] == ["stories", "诗词"]


def test_what_is_idle_is_let_go_of(loader: Loader, clock: Clock) -> None:
    """After the patience without a request, and not before; the memory behind it is freed."""
    head = ref(loader.get("stories").head)
    clock.now += 59
    assert loader.sweep() == []
    loader.get("stories")
    clock.now += 59
    assert loader.sweep() == []
    assert loader.idle("stories") == 59
    clock.now += 1
    assert loader.sweep() == ["stories"]
    gc.collect()
    assert loader.loaded("stories") is None
    assert head() is None
    loader.patience = 0.0
    loader.get("stories")
    clock.now += 1e6
    assert loader.sweep() == []


def test_what_is_in_use_stays(source: Any, loader: Loader, clock: Clock) -> None:
    """A job and a reply that streams each keep their pipeline, by sweep and by hand; their end counts as a use."""
    with loader.using("stories"):
        clock.now += 1000
        assert loader.sweep() == []
        assert loader.idle("stories") is None
        with pytest.raises(PageError, match="stories is in use"):
            loader.unload("stories")
    assert loader.idle("stories") == 0
    source.delay = 0.02
    talk = Shelf(source.database, loader.get).fresh("ada", "stories")
    reply = talk.say("hi", {"max_tokens": 10_000})
    clock.now += 1000
    assert loader.sweep() == []
    talk.cancel()
    assert reply.join(30)
    clock.now += 59
    assert loader.sweep() == []
    assert loader.unload("stories")
    assert not loader.unload("stories")


def test_a_conversation_outlives_its_pipeline(source: Any, loader: Loader, until: Any) -> None:
    """Unloading frees the weights though a tab shows the conversation, which goes on, and never over what it missed."""
    tabs = Tabs()
    loader.leaving.append(tabs.release)
    shelf = Shelf(source.database, loader.get)
    tab, other = tabs.arrive("page", "ada"), tabs.arrive("page2", "ada")
    talk = tab.talk = shelf.fresh("ada", "stories")
    assert talk.say("hi", OPTIONS).join(30)
    head = ref(loader.get("stories").head)
    assert loader.unload("stories")
    # The engine's thread may still be ending the turn in which the reply ended.
    until(lambda: gc.collect() >= 0 and head() is None, "the end of the weights")
    assert [message.content for message in talk.messages] == ["hi", " the sea was"]
    assert talk.go_on(OPTIONS).join(30)
    assert [message.content for message in talk.messages] == ["hi", " the sea was calm,\n the"]
    assert loader.unload("stories")
    other.talk = shelf.open("ada", talk.conversation)
    assert other.talk.say("more", OPTIONS).join(30)
    with pytest.raises(StaleError, match="another tab"):
        talk.say("else", OPTIONS)
    assert [one.content for one in shelf.open("ada", talk.conversation).messages][2:] == ["more", " the sea was"]


def test_a_deleted_checkpoint_is_said(source: Any, loader: Loader) -> None:
    """While it is in memory it goes on; once it is not, its conversations say so and can still be read."""
    tabs = Tabs()
    loader.leaving.append(tabs.release)
    shelf = Shelf(source.database, loader.get)
    talk = tabs.arrive("page", "ada").talk = shelf.fresh("ada", "stories")
    assert talk.say("hi", OPTIONS).join(30)

    def gone(name: str) -> Any:
        raise CheckpointError(f"There is no checkpoint named {name!r}.")

    source.load = gone
    assert talk.go_on(OPTIONS).join(30)
    assert loader.unload("stories")
    with pytest.raises(CheckpointError, match="no checkpoint named 'stories'"):
        talk.go_on(OPTIONS)
    found = shelf.open("ada", talk.conversation)
    assert "can only be read here" in str(found.trouble)
    assert found.messages[0].content == "hi"
