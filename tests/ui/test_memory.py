"""A page that serves keeps what stays out of the collector's sight, and frees what it lets go of all the same."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from seqdemo.ui import app, memory
from seqdemo.ui.loader import Loader


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _nothing_frozen() -> None:
    assert gc.get_freeze_count() == 0


def test_only_a_process_that_serves_is_settled() -> None:
    """Nothing of anybody else's is moved, and at the end everything is back."""
    memory.settle()
    assert gc.get_freeze_count() == 0
    with memory.serving():
        before = gc.get_freeze_count()
        assert before > 10_000
        kept = [Ring() for _ in range(100)]
        memory.settle()
        assert gc.get_freeze_count() >= before + len(kept)
        with memory.serving():
            pass
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("serves", [True, False])
def test_what_is_let_go_of_is_freed(serves: bool) -> None:
    """Though it was alive when everything was settled."""
    ring = Ring()
    gone = ref(ring)
    if not serves:
        del ring
        memory.collect()
        assert gone() is None
        return
    with memory.serving():
        del ring
        gc.collect()
        assert gone() is not None
        memory.collect()
        assert gone() is None


def test_models_are_settled_when_they_come_and_freed_when_they_go(source: Any) -> None:
    """A pipeline that is loaded while the page serves, and unloaded, leaves nothing."""
    loader = Loader(source)
    with memory.serving():
        head = loader.get("stories").head
        head.ring = ring = Ring()
        memory.settle()
        gone = ref(ring)
        del head, ring
        gc.collect()
        assert gone() is not None
        assert loader.unload("stories")
        assert gone() is None


def test_the_page_serves_until_it_is_ended(
    monkeypatch: pytest.MonkeyPatch, source: Any, free_port: Callable[[], int]
) -> None:
    """From the line that says where it is, to Ctrl-C."""
    plain, frozen = app.serve, []
    monkeypatch.setattr(app, "serve", lambda *given, **named: plain(*given, **named, source=source))

    def say(line: str) -> None:
        frozen.append(gc.get_freeze_count())
        raise KeyboardInterrupt

    app.launch(port=free_port(), open_browser=False, say=say)
    assert frozen[0] > 10_000
    assert gc.get_freeze_count() == 0
