"""Conversations that are kept: another process goes on with them as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import seqdemo
from seqdemo.decoding import Session
from seqdemo.errors import SessionError, StaleError, StoreError
from seqdemo.library import Library
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import state as verbs
from seqdemo.store import Conversations, Database, Snapshots

OPTIONS = {"max_tokens": 70, "seed": 3}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, so that weights have a fingerprint."""
    text = "The time traveller was expounding a recondite matter to us.\n"
    made = seqdemo.pipeline(
        model="gru",
        tokenizer="char",
        texts=[text],
        model_config={"hidden_size": 12},
        task_config={"embedding_size": 8},
        device="cpu",
    )
    return made.save(tmp_path_factory.mktemp("checkpoint") / "small")


@pytest.fixture
def pipe(saved: Path) -> Pipeline:
    return seqdemo.load(saved, device="cpu")


def library(folder: Path) -> Library:
    """As another process would open it: with a connection of its own."""
    return Library(Database(folder / "conversations.db", patience=0.05), "local")


def told(session: Session) -> list[tuple[object, ...]]:
    """All that a conversation consists of."""
    nodes = [session.tree.nodes[node] for node in sorted(session.tree.nodes)]
    return [(session.here, session.messages, session.tokens_read), *[(node,) for node in nodes]]


def test_it_goes_on_as_if_nothing_had_happened(pipe: Pipeline, tmp_path: Path) -> None:
    """Reopened, it has every node and event, stands in the same state without reading a token, and goes on alike."""
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    talk.send("The time")
    talk.send(" traveller")
    talk.regenerate()
    twin = talk.fork()
    again = library(tmp_path).open(pipe, talk.id)
    assert told(again) == told(talk)
    assert verbs.equal(again.state, talk.state)
    assert again.steps == 0
    assert again.send(" was").text == twin.send(" was").text


def test_any_place_is_near(pipe: Pipeline, tmp_path: Path) -> None:
    """After reopening, a node's end costs no step, a place inside a reply at most 31."""
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    talk.send("The time")
    reply, twin = talk.here.node, talk.fork()
    for tokens in (70, 69, 63, 33, 32, 31, 1, 0):  # what is read on the way to one is kept for those after it
        again = library(tmp_path).open(pipe, talk.id)
        twin.stand(reply, tokens)
        again.stand(reply, tokens)
        assert again.steps == (0 if tokens == 70 else tokens % 32)
        assert verbs.equal(again.state, twin.state)


def test_dropped_states_are_made_again(pipe: Pipeline, tmp_path: Path) -> None:
    """Without any snapshot on disk the ids suffice, and the state is the same bit for bit."""
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    talk.send("The time")
    kept = talk.state
    database = Database(tmp_path / "conversations.db")
    Snapshots(database).purge(talk.id)
    again = library(tmp_path).open(pipe, talk.id)
    assert verbs.equal(again.state, kept)
    assert again.steps == len("The time") + 70
    assert library(tmp_path).nbytes(talk.id) > 0


def test_undo_and_standing_are_remembered(pipe: Pipeline, tmp_path: Path) -> None:
    """One stands where one stood, also after going back."""
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    talk.send("The time")
    first = talk.here
    talk.send(" us")
    talk.undo()
    assert library(tmp_path).open(pipe, talk.id).here == first
    talk.stand(first.node, 5)
    assert library(tmp_path).open(pipe, talk.id).here == (first.node, 5)


def test_two_readers_never_overwrite(pipe: Pipeline, tmp_path: Path) -> None:
    """The one that does not know what the other said is told so, says nothing, and can reload."""
    one = library(tmp_path).begin(pipe, **OPTIONS)
    one.send("The time")
    other = library(tmp_path).open(pipe, one.id)
    one.send(" it")
    before = told(other)
    with pytest.raises(StaleError, match="Reload"):
        other.send(" us")
    with pytest.raises(StaleError, match="Reload"):
        other.undo()
    assert told(other) == before
    reloaded = library(tmp_path).open(pipe, one.id)
    assert told(reloaded) == told(one)
    reloaded.send(" us")


def test_a_lock_in_mid_reply_loses_nothing(pipe: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the file, a reply goes on; its end says so, and the next write catches up."""
    monkeypatch.setattr("seqdemo.decoding.reply._PIECE_SECONDS", 0.0)
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    reply = talk.stream("The time")
    holder = Database(tmp_path / "conversations.db")
    with holder.write():
        with pytest.raises(StoreError, match="another program"):
            reply.generation()
        with pytest.raises(StoreError, match="another program"):
            talk.send(" never said")
        assert [message.text for message in talk.messages][:1] == ["The time"]
    talk.send(" us")
    assert told(library(tmp_path).open(pipe, talk.id)) == told(talk)


def test_other_weights_are_refused(pipe: Pipeline, tmp_path: Path, saved: Path) -> None:
    """Another checkpoint must be asked for explicitly; then the ids are read again."""
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    talk.send("The time")
    other = seqdemo.load(saved, device="cpu")
    with other.head.output.weight.device:
        other.head.decoder.layers.weight_hh_l0.mul_(0.5)
    other.save(tmp_path / "other")
    with pytest.raises(SessionError, match="rebuild=True"):
        library(tmp_path).open(other, talk.id)
    again = library(tmp_path).open(other, talk.id, rebuild=True)
    assert told(again) == told(talk)
    assert not verbs.equal(again.state, talk.state)
    assert again.steps == len("The time") + 70


def test_purging_removes_states_too(pipe: Pipeline, tmp_path: Path) -> None:
    """Nothing of a purged conversation stays on disk."""
    kept = library(tmp_path)
    talk = kept.begin(pipe, **OPTIONS)
    talk.send("The time")
    assert list((tmp_path / "states" / talk.id).iterdir())
    kept.purge(talk.id)
    assert not (tmp_path / "states" / talk.id).exists()
    assert kept.list() == []


def test_the_face(pipe: Pipeline) -> None:
    """``seqdemo.conversations()`` lists what was begun through it, newest first."""
    kept = seqdemo.conversations()
    first = kept.begin(pipe, max_tokens=3)
    first.send("The time")
    second = kept.begin(pipe, title="Named", max_tokens=3)
    second.send("us")
    assert [one.title for one in seqdemo.conversations().list()] == ["Named", "The time"]
    assert [one.id for one in kept.list("time")] == [first.id]
    assert seqdemo.conversations("someone else").list() == []


def test_a_killed_process_keeps_its_reply(saved: Path, tmp_path: Path) -> None:
    """SIGKILL while a reply streams: half a second later at most, what was generated is on disk and goes on."""
    script = f"""
import time, seqdemo
from seqdemo.library import Library
from seqdemo.store import Database
from pathlib import Path
kept = Library(Database(Path({str(tmp_path)!r}) / "conversations.db"), "local")
talk = kept.begin(seqdemo.load({str(saved)!r}, device="cpu"), max_tokens=100_000, seed=1)
for number, event in enumerate(talk.stream("The time")):
    if number > 5:
        print(event.text, end="", flush=True)
    time.sleep(0.005)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(100)
        time.sleep(0.6)
        process.send_signal(signal.SIGKILL)
        said = 100 + len(process.stdout.read())
    kept = Library(Database(tmp_path / "conversations.db"), "local")
    (summary,) = kept.list()
    talk = kept.open(seqdemo.load(saved, device="cpu"), summary.id)
    reply = talk.tree.get(talk.here.node)
    assert reply.role == "reply"
    assert said - 100 <= len(reply.ids) <= said + 10
    assert talk.continue_(max_tokens=5).done.usage.tokens == 5
    found = Conversations(Database(tmp_path / "conversations.db")).read("local", summary.id)
    assert [node.role for node in found.nodes] == ["user", "reply", "reply"]


def test_a_fork_is_a_conversation_of_its_own(pipe: Pipeline, tmp_path: Path) -> None:
    """It begins with the same messages and state, without reading a token; neither sees what the other does then."""
    kept = library(tmp_path)
    talk = kept.begin(pipe, **OPTIONS)
    talk.send("The time")
    first = talk.here.node
    talk.send(" traveller")
    fork = kept.fork(pipe, talk, first)
    assert fork.path == talk.path[:2]
    assert fork.steps == 0
    again = library(tmp_path).open(pipe, fork.id)
    assert told(again) == told(fork)
    assert verbs.equal(again.state, fork.state)
    assert again.steps == 0
    before = told(talk)
    fork.send(" was")
    assert told(library(tmp_path).open(pipe, talk.id)) == before
    assert [one.title for one in kept.list()] == ["Fork of The time", "The time"]
    kept.purge(talk.id)
    assert told(library(tmp_path).open(pipe, fork.id)) == told(fork)


def test_a_file_goes_on_elsewhere(pipe: Pipeline, tmp_path: Path) -> None:
    """Exported and brought into another store, all of it is there, and it goes on alike without reading a token."""
    talk = library(tmp_path / "here").begin(pipe, **OPTIONS)
    talk.send("The time")
    talk.send(" traveller")
    talk.regenerate()
    library(tmp_path / "here").export(pipe, talk.id, tmp_path / "file")
    there = library(tmp_path / "there")
    brought = there.bring(pipe, tmp_path / "file")
    assert told(brought) == told(talk)
    assert [one.title for one in there.list()] == ["The time"]
    again = library(tmp_path / "there").open(pipe, brought.id)
    assert told(again) == told(talk)
    assert verbs.equal(again.state, talk.state)
    assert again.steps == 0
    assert again.send(" was").text == talk.fork().send(" was").text


def test_a_session_in_memory_can_be_kept(pipe: Pipeline, tmp_path: Path) -> None:
    """All of it is a conversation then, states included, and the session stays as it was."""
    session = pipe.session(**OPTIONS)
    session.send("The time")
    session.send(" traveller")
    before = told(session)
    kept = library(tmp_path).keep(pipe, session)
    assert told(kept) == before == told(session)
    assert session.id == ""
    again = library(tmp_path).open(pipe, kept.id)
    assert verbs.equal(again.state, session.state)
    assert again.steps == 0
    assert [one.title for one in library(tmp_path).list()] == ["The time"]


def test_a_file_that_is_not_whole_changes_nothing(pipe: Pipeline, tmp_path: Path) -> None:
    """Cut off, edited or foreign files are said to be so, and leave no conversation behind."""
    talk = library(tmp_path).begin(pipe, **OPTIONS)
    talk.send("The time")
    library(tmp_path).export(pipe, talk.id, tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    there = library(tmp_path / "there")
    for wrong in (data[:-10], data[: len(data) // 2], b"", b"hello", data.replace(b'"start": 0', b'"start": 9')):
        (tmp_path / "wrong").write_bytes(wrong)
        with pytest.raises(SessionError):
            there.bring(pipe, tmp_path / "wrong")
    assert there.list() == []
