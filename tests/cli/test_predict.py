"""``generate``, ``score`` and ``chat`` on a small untrained checkpoint."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def checkpoint(make_pipeline: Callable[..., Any], tmp_path: Path) -> Path:
    """A checkpoint folder."""
    return Path(make_pipeline(tokenizer="bytes", texts=[]).save(tmp_path / "tiny", summary="Untrained."))


@pytest.fixture
def expected(checkpoint: Path) -> Any:
    """The same pipeline from Python."""
    import seqdemo

    return seqdemo.load(checkpoint, device="cpu")


SAMPLING = ("--max-tokens", "12", "--seed", "3", "--device", "cpu")


def test_generate_prints_the_text(cli: Run, checkpoint: Path, expected: Any) -> None:
    """The text on stdout is the one Python gives, and nothing else; --stats adds a line on stderr."""
    result = cli("generate", str(checkpoint), "abc", *SAMPLING)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == str(expected.generate("abc", max_tokens=12, seed=3)) + "\n"
    assert result.stderr == ""
    assert "12 tokens" in cli("generate", str(checkpoint), "abc", *SAMPLING, "--stats").stderr


def test_generate_reads_stdin(cli: Run, checkpoint: Path) -> None:
    """A prompt of - is standard input, as it is."""
    typed = cli("generate", str(checkpoint), "a b\n", *SAMPLING)
    assert cli("generate", str(checkpoint), "-", *SAMPLING, stdin="a b\n").stdout == typed.stdout
    result = cli("generate", str(checkpoint), "-", *SAMPLING, stdin=b"caf\xe9 au lait")
    assert result.exit_code == 2
    assert "not UTF-8 text: byte 0xe9 at position 3" in result.stderr


def test_generate_json(cli: Run, checkpoint: Path, expected: Any) -> None:
    """Each event is a line of JSON, ``done`` last; together they are the text."""
    result = cli("generate", str(checkpoint), "abc", *SAMPLING, "--alternatives", "2", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["prefill", *["token"] * 12, "done"]
    chosen, reported = events[1]["id"], [other["id"] for other in events[1]["alternatives"]]
    assert chosen in reported
    assert len(reported) == (2 if chosen in reported[:2] else 3)
    assert events[-1]["reason"] == "length"
    assert events[-1]["seed"] == 3
    text = "".join(event["text"] for event in events[1:])
    assert text == str(expected.generate("abc", max_tokens=12, seed=3))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--temperature", "-1"], "temperature = -1.0 is not accepted"),
        (["--temperature", "nan"], "temperature = nan is not accepted"),
        (["--max-tokens", "x"], "'x' is not a valid integer"),
        (["--beams", "3"], "No such option"),
        (["--device", "tpu9"], "tpu9"),
        (["--dtype", "int3"], "int3"),
    ],
)
def test_generate_mistakes(cli: Run, checkpoint: Path, flags: list[str], said: str) -> None:
    """A wrong flag is one line, exit status 2, and no text."""
    result = cli("generate", str(checkpoint), "abc", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_flags_are_the_options_of_the_task(cli: Run, checkpoint: Path) -> None:
    """Help shows the sampling options, with or without a checkpoint."""
    for arguments in (["generate", "--help"], ["generate", str(checkpoint), "--help"], ["chat", "--help"]):
        assert "--repetition-penalty" in cli(*arguments).stdout


def test_score(cli: Run, checkpoint: Path, expected: Any) -> None:
    """Figures agree with Python's, in JSON and in the table, from an argument or from stdin."""
    whole = json.loads(cli("score", str(checkpoint), "héllo", "--json", "--tokens").stdout)
    found = expected.score("héllo")
    assert whole["perplexity"] == pytest.approx(found.perplexity)
    assert whole["bits_per_byte"] == pytest.approx(-sum(found.logprobs) / math.log(2) / 6)
    assert [row["logprob"] for row in whole["per_token"]] == pytest.approx(list(found.logprobs))
    table = cli("score", str(checkpoint), stdin="héllo").stdout
    assert f"{found.perplexity:.4f}" in table
    assert cli("score", str(checkpoint), "-", "--tokens", stdin="héllo").stdout.count("\n") == 6 + 5


def test_score_of_nothing(cli: Run, checkpoint: Path) -> None:
    """An empty text has no score."""
    result = cli("score", str(checkpoint), "")
    assert result.exit_code == 2
    assert "nothing to score" in result.stderr


def chat(cli: Run, checkpoint: Path, *lines: str) -> Any:
    """What a conversation prints."""
    return cli("chat", str(checkpoint), *SAMPLING, stdin="".join(f"{line}\n" for line in lines))


def test_chat_replies_as_a_session_does(cli: Run, checkpoint: Path, expected: Any) -> None:
    """Replies are those of a Python session with the same options; each is followed by what it cost."""
    session = expected.session(max_tokens=12, seed=3)
    replies = [str(session.send("one")), str(session.send("/two"))]
    result = chat(cli, checkpoint, "one", "", "//two", "/quit", "never")
    assert result.exit_code == 0, result.stderr
    assert all(reply in result.stdout for reply in replies)
    assert result.stdout.count("[12 tokens, ") == 2
    assert f"state {session.state_bytes} B]" in result.stdout


def test_chat_regenerate_and_undo(cli: Run, checkpoint: Path, expected: Any) -> None:
    """/regenerate gives another reply to the same message; after /undo the message was never said."""
    session = expected.session(max_tokens=12, seed=3)
    session.send("one")
    again = str(session.regenerate())
    result = chat(cli, checkpoint, "one", "/regenerate", "/undo", "/state", "/undo")
    assert again in result.stdout
    assert "after 0 tokens" in result.stdout
    assert "nothing to undo" in result.stderr.lower()


def test_chat_branches(cli: Run, checkpoint: Path) -> None:
    """/fork goes on in a copy; what is said there is not said in the branch it came from."""
    result = chat(cli, checkpoint, "one", "/fork", "two", "/state", "/branch 1", "/state", "/branch 7", "/branch")
    assert result.stdout.count("Branch 1 of 2.") == 2
    sizes = [line for line in result.stdout.splitlines() if "stays that size" in line]
    assert sizes[0].split(" after ")[0] == sizes[1].split(" after ")[0]
    assert sizes[0] != sizes[1]
    assert "There is no branch '7'. Available: 1 to 2." in result.stderr


def test_chat_save_and_load(cli: Run, checkpoint: Path, tmp_path: Path, expected: Any) -> None:
    """A saved conversation is gone on with as if it had never stopped."""
    place = tmp_path / "talk.safetensors"
    assert f"Saved to {place}" in chat(cli, checkpoint, "one", f"/save {place}").stdout
    result = chat(cli, checkpoint, f"/load {place}", "two")
    session = expected.session(max_tokens=12, seed=3)
    first, second = str(session.send("one")), str(session.send("two"))
    assert f"> one\n{first}" in result.stdout
    assert second in result.stdout
    assert "Name a file" in chat(cli, checkpoint, "/save").stderr
    assert chat(cli, checkpoint, f"/load {tmp_path / 'nothing'}").stderr.startswith("Error: ")


def test_chat_commands(cli: Run, checkpoint: Path) -> None:
    """/help lists every command; an unknown one is answered with the list, and the conversation goes on."""
    result = chat(cli, checkpoint, "/nonsense", "/help")
    assert "There is no command /nonsense. Available: /regenerate" in result.stderr
    assert all(name in result.stdout for name in ("/regenerate", "/undo", "/fork", "/save", "/load", "/state", "/quit"))


def test_chat_without_a_checkpoint(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any checkpoint it says how to make one."""
    import seqdemo

    monkeypatch.setattr(seqdemo, "available", lambda kind: [])
    result = cli("chat")
    assert result.exit_code == 2
    assert "seqdemo train" in result.stderr


@pytest.fixture
def process(checkpoint: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts commands in processes of their own, and ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str, *arguments: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "seqdemo", command, str(checkpoint), *arguments, "--device", "cpu"]
        environment = {**os.environ, "SEQDEMO_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, env=environment))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_ctrl_c_stops_generate(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Ctrl-C ends generate with status 130; what was printed stays."""
    running = process("generate", "abc", "--max-tokens", "10000000")
    assert running.stdout is not None
    assert running.stdout.read(5)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"Traceback" not in errors


def test_ctrl_c_stops_a_reply_and_keeps_it(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Ctrl-C in a conversation ends the reply only: it is part of what was said."""
    running = process("chat", "--max-tokens", "10000000")
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(b"hello\n")
    running.stdin.flush()
    assert running.stdout.read(5)
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(b"/state\n/quit\n", timeout=60)
    assert running.returncode == 0, errors
    assert b", stopped]" in out
    assert b" after 0 tokens" not in out
    assert b"stays that size" in out
