from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqdemo.decoding import ROOT, Engine, Session
from seqdemo.errors import SeqdemoError, SessionError, StateError
from seqdemo.plugin import SamplingOptions
from seqdemo.plugin import state as verbs

OPTIONS = SamplingOptions(max_tokens=70, seed=1, stop=("a cé你",))


@pytest.fixture
def session(head: Any, engine: Engine) -> Session:
    made = Session(head, OPTIONS, "weights-1", on=engine)
    made.send("one")
    made.regenerate()
    made.send("你 two", seed=None)
    made.stand(3, 40)
    made.continue_(max_tokens=9)
    return made


def test_a_saved_session_comes_back_whole(session: Session, head: Any, engine: Engine, tmp_path: Path) -> None:
    """Tree, events, options, the place one stands at, and every snapshot: nothing is read again."""
    path = tmp_path / "s.session"
    session.save(path)
    read = head.tokens_read
    again = Session.load(path, head, "weights-1", on=engine)
    assert again.tree.nodes == session.tree.nodes
    assert (again.here, again.messages, again.defaults) == (session.here, session.messages, session.defaults)
    assert [point for point, _ in again.cache.items()] == [point for point, _ in session.cache.items()]
    for (_, a), (_, b) in zip(again.cache.items(), session.cache.items(), strict=True):
        assert verbs.equal(a.state, b.state)
        assert a.fields() == b.fields()
    assert again.cache.nbytes == session.cache.nbytes
    assert verbs.equal(again.state, session.state)
    assert head.tokens_read == read
    for verb in ("continue_", "regenerate"):
        assert getattr(again, verb)().text == getattr(session, verb)().text
    assert again.steps == session.steps - 8


def test_an_empty_session_can_be_saved(head: Any, engine: Engine, tmp_path: Path) -> None:
    """So can one without snapshots."""
    Session(head, OPTIONS, on=engine).save(tmp_path / "empty")
    again = Session.load(tmp_path / "empty", head, on=engine)
    assert again.here == ROOT
    again.send("hi")
    state = again.state
    again.drop_snapshots()
    again.save(tmp_path / "bare")
    bare = Session.load(tmp_path / "bare", head, on=engine)
    assert verbs.equal(bare.state, state)
    assert bare.steps == bare.tokens_read


def test_another_process_goes_on_exactly_as_this_one_would(session: Session, tmp_path: Path) -> None:
    """Same seed, same position, same text, from the saved state alone."""
    session.save(tmp_path / "s.session")
    program = f"""
        import json, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch
        torch.set_num_threads(1)
        import toy
        from seqdemo.decoding import Session
        s = Session.load({str(tmp_path / "s.session")!r}, toy.ToyHead(), "weights-1")
        print(json.dumps([s.send("and?").text, s.regenerate().text, s.head.tokens_read, s.steps]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=True
    )
    session.head.calls.clear()
    here = [session.send("and?").text, session.regenerate().text, session.head.tokens_read, 0]
    assert json.loads(done.stdout) == here


def test_other_weights_are_refused_or_read_again(session: Session, toy: Any, engine: Engine, tmp_path: Path) -> None:
    """The message says both; rebuilt, the ids are the same and the states are the new weights' own."""
    path = tmp_path / "s.session"
    session.save(path)
    other = toy.ToyHead(seed=1)
    with pytest.raises(SessionError, match=r"'weights-1'.*'weights-2'.*rebuild=True"):
        Session.load(path, other, "weights-2", on=engine)
    again = Session.load(path, other, "weights-2", on=engine, rebuild=True)
    assert (again.fingerprint, again.messages, len(again.cache)) == ("weights-2", session.messages, 0)
    assert not verbs.equal(again.state, session.state)
    assert again.steps == again.tokens_read == other.tokens_read


def test_another_precision_is_refused_or_read_again(session: Session, toy: Any, engine: Engine, tmp_path: Path) -> None:
    """The same weights in float64 have other states, close to these."""
    path = tmp_path / "s.session"
    session.save(path)
    with pytest.raises(StateError, match=r"another size or precision.*rebuild=True"):
        Session.load(path, toy.ToyHead().double(), "weights-1", on=engine)
    again = Session.load(path, toy.ToyHead().double(), "weights-1", on=engine, rebuild=True)
    close = {name: tensor.double() for name, tensor in session.state.items()}
    assert verbs.max_difference(again.state, close) < 1e-4


def test_another_vocabulary_is_refused(session: Session, engine: Engine, toy: Any, tmp_path: Path) -> None:
    """Even when rebuilding: the ids would mean other texts."""
    session.save(tmp_path / "s")

    class Small(toy.ToyTokenizer):  # type: ignore[misc]
        vocab_size = 100

    head = toy.ToyHead()
    head.tokenizers["text"] = Small()
    with pytest.raises(SessionError, match="knows 100 tokens"):
        Session.load(tmp_path / "s", head, "weights-1", on=engine, rebuild=True)


def test_what_is_no_session_is_named(head: Any, tmp_path: Path) -> None:
    """Missing, a folder, rubbish, and a file of another kind."""
    (tmp_path / "rubbish").write_bytes(b"\x80\x04pickle" * 9)
    (tmp_path / "state").write_bytes(verbs.to_bytes({"h": torch.zeros(1, 2)}))
    for name, words in [
        ("none", "There is no session file"),
        (".", "cannot be read"),
        ("rubbish", "not a session file"),
        ("state", "not a session file"),
    ]:
        with pytest.raises(SessionError, match=words):
            Session.load(tmp_path / name, head)


def test_a_cut_off_file_is_refused(session: Session, head: Any, tmp_path: Path) -> None:
    """Wherever it ends."""
    session.save(tmp_path / "s")
    data = (tmp_path / "s").read_bytes()
    for part in (0, 1, 9, len(data) // 3, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:part])
        with pytest.raises(SessionError):
            Session.load(tmp_path / "cut", head, "weights-1")


def _set(*where: Any, to: Any) -> Callable[[Any], None]:
    def change(saved: Any) -> None:
        for key in where[:-1]:
            saved = saved[key]
        saved[where[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("here", to=[9, 0]),
        _set("here", to=[2, 900]),
        _set("here", to=[2, 0]),
        _set("nodes", 1, "parent", to=[2, 0]),
        _set("nodes", 1, "parent", to=[4, 3]),
        _set("nodes", 1, "id", to=1),
        _set("nodes", 1, "start", to=3),
        _set("nodes", 1, "ids", to=[1, 2]),
        _set("nodes", 1, "ids", 0, to=-5),
        _set("nodes", 1, "ids", 0, to="7"),
        _set("nodes", 1, "role", to="system"),
        _set("nodes", 1, "tokens", 0, to=[1]),
        _set("nodes", 1, "options", to={"temperature": -1}),
        _set("nodes", 1, "done", "reason", to="bored"),
        _set("nodes", 1, "extra", to=1),
        _set("defaults", to={"nonsense": 1}),
        _set("snapshots", to=[]),
        _set("snapshots", 0, 0, to=99),
        _set("snapshots", 0, 2, "position", to=1),
        _set("snapshots", 0, 2, "recent", to="x"),
        _set("nodes", to=None),
    ],
)
def test_an_edited_file_is_refused_with_one_line(
    session: Session, head: Any, engine: Engine, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    """No part that contradicts another gets through."""
    session.save(tmp_path / "s")
    entries, metadata = verbs.from_bytes((tmp_path / "s").read_bytes())
    saved = json.loads(entries["session.json"].numpy().tobytes())
    change(saved)
    text = bytearray(json.dumps(saved).encode())
    entries["session.json"] = torch.frombuffer(text, dtype=torch.uint8)
    (tmp_path / "s").write_bytes(verbs.to_bytes(entries, metadata))
    with pytest.raises(SessionError) as error:
        Session.load(tmp_path / "s", head, "weights-1", on=engine)
    assert "\n" not in str(error.value)
    assert "whole session file" in str(error.value)


def test_a_newer_format_is_refused(session: Session, head: Any, tmp_path: Path) -> None:
    """By number."""
    session.save(tmp_path / "s")
    entries, metadata = verbs.from_bytes((tmp_path / "s").read_bytes())
    (tmp_path / "s").write_bytes(verbs.to_bytes(entries, {**metadata, "format": 2}))
    with pytest.raises(SessionError, match="format 2"):
        Session.load(tmp_path / "s", head, "weights-1")


def test_a_full_disk_leaves_the_old_file(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one line and the session goes on."""
    import errno
    import os

    path = tmp_path / "s"
    session.save(path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    session.send("more")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SeqdemoError, match="disk is full"):
            session.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["s"]
    session.save(path)
