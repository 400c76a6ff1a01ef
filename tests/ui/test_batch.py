"""Work on many inputs, over a stand-in for a pipeline."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from seqdemo.errors import BusyError, DataError
from seqdemo.plugin import Classification
from seqdemo.ui import batch as module
from seqdemo.ui.batch import Batch, Desk
from seqdemo.ui.sheet import Sheet, lines
from seqdemo.ui.words import PageError


class Pipe:
    """Calls every text fine, but for a skull; notes how many texts it is given at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.opened = 0
        self.gate: threading.Event | None = None
        self.busy = 0
        self.broken = False

    @contextmanager
    def held(self) -> Iterator[Pipe]:
        self.opened += 1
        yield self
        self.opened -= 1

    def predict(self, inputs: list[Any], **options: Any) -> list[Classification]:
        self.sizes.append(len(inputs))
        if self.busy:
            self.busy -= 1
            raise BusyError("The engine is busy.")
        if self.broken:
            raise RuntimeError("inside out")
        if any("☠" in str(one) for one in inputs):
            raise DataError("A skull cannot be read.")
        if self.gate is not None and len(self.sizes) > 1:
            self.gate.wait(30)
        return [Classification("fine", {"fine": 1.0}, str(one)) for one in inputs]


def done(batch: Batch) -> Batch:
    assert batch.join(30)
    return batch


def begin(pipe: Pipe, sheet: Sheet, folder: Path, column: str | None = "") -> Batch:
    return Batch("fake", pipe.held, sheet, column, {}, folder)


def test_every_row_has_its_outcome(tmp_path: Path) -> None:
    """A row that cannot be read, and a blank one, take no other down, and order is kept; the pipeline is let go of."""
    pipe = Pipe()
    texts = [f"text {number}" for number in range(100)]
    texts[37], texts[60] = "☠", " "
    batch = done(begin(pipe, lines("\n".join(texts)), tmp_path))
    assert batch.error is None
    assert [str(one) if isinstance(one, Classification) else one for one in batch.results] == [
        "A skull cannot be read." if place == 37 else None if place == 60 else "fine" for place in range(100)
    ]
    assert [one.text for one in batch.results[:3] if isinstance(one, Classification)] == ["text 0", "text 1", "text 2"]
    assert (batch.wrong, pipe.opened) == (1, 0)
    assert batch.files["csv"].read_text("utf-8-sig").count("\n") == 101


def test_work_comes_in_bounded_pieces(tmp_path: Path) -> None:
    """However fast a pipeline is, no piece has more than so many rows."""
    pipe = Pipe()
    done(begin(pipe, lines("\n".join("x" * 5 for _ in range(3000))), tmp_path))
    assert sum(pipe.sizes) == 3000
    assert max(pipe.sizes) <= 512
    assert len(pipe.sizes) > 8


def test_stopping_keeps_what_is_done(tmp_path: Path) -> None:
    """A stop ends the work after the piece under way; the files hold what is done."""
    pipe = Pipe()
    pipe.gate = threading.Event()
    batch = begin(pipe, lines("\n".join("abc" for _ in range(1000))), tmp_path)
    while len(pipe.sizes) < 2:
        threading.Event().wait(0.005)
    batch.stop()
    pipe.gate.set()
    done(batch)
    assert 0 < len(batch.results) < 1000
    assert len(batch.files["jsonl"].read_text("utf-8").splitlines()) == len(batch.results)


def test_a_full_engine_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy engine delays the work and spoils nothing; a stop meanwhile is no error."""
    monkeypatch.setattr(module, "_BUSY", 0.001)
    pipe = Pipe()
    pipe.busy = 5
    assert len(done(begin(pipe, lines("a\nb"), tmp_path)).results) == 2
    pipe.busy = 10**9
    batch = begin(pipe, lines("a\nb"), tmp_path)
    batch.stop()
    done(batch)
    assert (batch.error, batch.results, batch.files) == (None, [], {})


def test_a_broken_pipeline_ends_the_work_and_nothing_else(tmp_path: Path) -> None:
    """An error that is not about a row is kept for the page."""
    pipe = Pipe()
    pipe.broken = True
    batch = done(begin(pipe, lines("a\nb"), tmp_path))
    assert isinstance(batch.error, RuntimeError)
    assert pipe.opened == 0 or batch.finished


def test_work_nobody_looks_at_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no page has looked for a while, the work ends and is kept."""
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    batch = done(begin(Pipe(), lines("\n".join("abc" for _ in range(5000))), tmp_path))
    assert len(batch.results) < 5000


def test_whole_rows_can_be_inputs(tmp_path: Path) -> None:
    """Without a column a row goes to the pipeline as it is."""
    batch = done(begin(Pipe(), Sheet([{"a": 1, "b": 2}], ("a", "b")), tmp_path, None))
    assert [one.text for one in batch.results if isinstance(one, Classification)] == ["{'a': 1, 'b': 2}"]
    assert batch.text(0) == "a: 1, b: 2"


def test_each_visitor_has_work_of_their_own() -> None:
    """One at a time; a new one replaces a finished one, whose files are gone, and never another visitor's."""
    desk, pipe = Desk(), Pipe()
    pipe.gate = threading.Event()
    held = lambda: nullcontext(pipe)  # noqa: E731 - as the page passes it
    mine = desk.begin("me", "fake", held, lines("\n".join("abc" for _ in range(100))), "", {})
    with pytest.raises(PageError, match="running"):
        desk.begin("me", "fake", held, lines("a"), "", {})
    pipe.gate.set()
    done(mine)
    yours = done(desk.begin("you", "fake", held, lines("a"), "", {}))
    old = mine.files["csv"]
    assert old.exists()
    again = done(desk.begin("me", "fake", held, lines("a"), "", {}))
    assert not old.exists()
    assert again.files["csv"].exists()
    assert yours.files["csv"].exists()
    assert (desk.at("me"), desk.at("nobody")) == (again, None)


def test_what_is_left_behind_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results nobody has looked at for long are gone with the next work of anybody."""
    desk, pipe = Desk(), Pipe()
    left = done(desk.begin("gone", "fake", pipe.held, lines("a"), "", {}))
    monkeypatch.setattr(module, "KEPT", 0.0)
    done(desk.begin("me", "fake", pipe.held, lines("a"), "", {}))
    assert desk.at("gone") is None
    assert not left.files["csv"].exists()
