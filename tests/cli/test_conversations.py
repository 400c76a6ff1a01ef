"""``conversations``: what is kept is listed, taken along, brought and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import seqdemo
from seqdemo.library import Library
from seqdemo.pipeline import Pipeline
from seqdemo.store import Conversations, opened

Run = Callable[..., Result]


@pytest.fixture
def kept(own_home: Path, make_pipeline: Callable[..., Pipeline]) -> Path:
    """A home with one conversation of the SDK's and one of the page's; a checkpoint in it."""
    make_pipeline(model="gru").save(own_home / "checkpoints" / "small")
    pipe = seqdemo.load("small", device="cpu")
    seqdemo.conversations().begin(pipe, seed=1, max_tokens=5).send("the time")
    Library(opened(), "cookie-of-a-browser").begin(pipe, max_tokens=5).send("a travel")
    return own_home


def listed(cli: Run, *more: str) -> list[dict[str, object]]:
    done = cli("conversations", *more, "--json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, object]] = json.loads(done.output)
    return found


def test_all_of_this_machine_are_listed(cli: Run, kept: Path) -> None:
    """The page's beside one's own, the last changed first, found by words."""
    assert [(one["title"], one["owner"]) for one in listed(cli)] == [
        ("a travel", "cookie-of-a-browser"),
        ("the time", "local"),
    ]
    assert [one["title"] for one in listed(cli, "--search", "time")] == ["the time"]
    table = cli("conversations").output
    assert "the page" in table
    assert "here" in table
    assert cli("conversations", "--search", "zebra").output == "No conversation holds 'zebra'.\n"


def test_one_leaves_as_a_file_and_comes_back(cli: Run, kept: Path) -> None:
    """By the beginning of its id, whoever held it; what comes back is the same and belongs here."""
    (page, _) = listed(cli)
    file = kept / "talk.safetensors"
    done = cli("conversations", "export", str(page["id"])[:8], str(file), "--device", "cpu")
    assert (done.exit_code, done.output) == (0, f"Wrote {file}: 'a travel', 2 messages.\n")
    assert cli("conversations", "delete", str(page["id"]), "--for-good").output == "Removed 'a travel'.\n"
    assert len(listed(cli)) == 1
    done = cli("conversations", "import", str(file), "small", "--title", "brought", "--device", "cpu")
    assert done.exit_code == 0, done.output
    brought = next(one for one in listed(cli) if one["title"] == "brought")
    assert (brought["owner"], brought["messages"], brought["checkpoint"]) == ("local", 2, "small")
    pipe = seqdemo.load("small", device="cpu")
    session = seqdemo.conversations().open(pipe, str(brought["id"]))
    assert session.messages[0].text == "a travel"


def test_what_is_deleted_is_hidden_first(cli: Run, kept: Path) -> None:
    """Without --for-good it is only out of the list, and its owner can have it back."""
    (one, *_) = listed(cli)
    assert cli("conversations", "delete", str(one["id"])).output == "Hid 'a travel'.\n"
    assert [other["title"] for other in listed(cli)] == ["the time"]
    store = Conversations(opened())
    assert [hidden.id for hidden in store.summaries(str(one["owner"]), hidden=True)] == [one["id"]]


def test_an_id_that_fits_none_or_several(cli: Run, kept: Path) -> None:
    """One line says so, and where to look."""
    for start, words in (("zz", "No conversation's id begins with 'zz'"), ("", "The ids of 2 conversations begin")):
        done = cli("conversations", "delete", start)
        assert done.exit_code == 2
        assert words in done.output
    assert len(listed(cli)) == 2


def test_the_list_loads_no_torch(shell: object, kept: Path) -> None:
    """A listing stays light."""
    code = "import sys; from seqdemo.cli import main; main(['conversations'], standalone_mode=False); "
    done = shell(code=code + "print('torch' in sys.modules)")  # type: ignore[operator]
    assert done.stdout.splitlines()[-1] == "False", done.stderr
