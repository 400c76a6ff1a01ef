"""Columns that are asked the same: streaming together, ended alone, read by each other."""

from __future__ import annotations

import math
from time import monotonic, sleep
from typing import Any

import pytest

from seqdemo.errors import CheckpointError
from seqdemo.ui.columns import Feed, everything, scored
from seqdemo.ui.comparison import Comparison
from seqdemo.ui.loader import Loader
from seqdemo.ui.shelf import Shelf
from seqdemo.ui.tabs import Tabs
from seqdemo.ui.words import ENGLISH, PageError

OPTIONS = {"max_tokens": 5, "temperature": 0.0}


@pytest.fixture
def pipes(source: Any) -> list[Any]:
    source.delay = 0.0
    return [source.load("stories"), source.load("诗词")]


def done(comparison: Comparison) -> Comparison:
    deadline = monotonic() + 30
    while not comparison.finished:
        assert monotonic() < deadline
        sleep(0.01)
    comparison.judge()
    return comparison


def replies(comparison: Comparison) -> list[str]:
    return [cell.text for cell in comparison.exchanges[-1].cells]


def test_each_column_goes_on_in_its_own_session(pipes: list[Any]) -> None:
    """Both answer with their own options; a second message finds each state where its reply left it."""
    comparison = Comparison(["stories", "诗词"])
    comparison.say("hi", [OPTIONS, {**OPTIONS, "max_tokens": 3}], pipes)
    assert replies(done(comparison)) == [" the sea was calm,\n", "床前明"]
    comparison.say("ho", [OPTIONS, OPTIONS], pipes)
    assert replies(done(comparison)) == [" the sea was calm,\n", "床前明月光"]
    first, second = (column.session for column in comparison.columns)
    assert first is not None
    assert second is not None
    assert (first.tokens_read, second.tokens_read) == (2 * (2 + 5), 2 + 3 + 2 + 5)
    assert [cell.reply.message.done.usage.prompt_tokens for cell in comparison.exchanges[1].cells] == [2, 2]  # type: ignore[union-attr]


def test_each_model_reads_each_reply_in_its_own_place(pipes: list[Any]) -> None:
    """A model finds its own greedy reply as likely as when it wrote it, and likelier than another model does."""
    comparison = Comparison(["stories", "stories", "诗词"])
    tokenizer = pipes[0].head.output_tokenizer
    encode, pieces = tokenizer.encode, {piece: number for number, piece in enumerate(tokenizer.pieces, 256)}

    def by_piece(text: str) -> list[int]:
        found = []
        while text:
            piece = next((one for one in pieces if text.startswith(one)), None)
            found += [pieces[piece]] if piece else encode(text[0])
            text = text[len(piece or text[0]) :]
        return found

    for pipe in pipes:
        pipe.head.output_tokenizer.encode = by_piece
    comparison.say("hi", [OPTIONS, OPTIONS, OPTIONS], [pipes[0], pipes[0], pipes[1]])
    scores = done(comparison).exchanges[0].scores
    own = comparison.exchanges[0].cells[0].reply
    assert own is not None
    expected = math.exp(-sum(token.logprob for token in own.message.tokens) / len(own.message.tokens))
    assert scores[0][0].perplexity == scores[0][1].perplexity == pytest.approx(expected)  # type: ignore[union-attr]
    bits = -sum(token.logprob for token in own.message.tokens) / math.log(2) / len(b" the sea was calm,\n")
    assert scores[1][0].bits_per_byte == pytest.approx(bits)  # type: ignore[union-attr]
    assert scores[2][0].bits_per_byte > scores[0][0].bits_per_byte  # type: ignore[union-attr]
    shown = scored(comparison, ENGLISH)["scores"]
    assert [row[0]["best"] for row in shown] == [True, True, False]
    assert shown[0][0]["perplexity"] == f"perplexity {expected:.3g}"


def test_an_error_ends_its_column_alone(pipes: list[Any]) -> None:
    """A checkpoint that does not load and a model that breaks off are said; the others go on, and are read."""
    comparison = Comparison(["stories", "gone", "诗词"])
    trouble = CheckpointError("gone is truncated. Copy it again.")
    comparison.say("hi", [OPTIONS] * 3, [pipes[0], trouble, pipes[1]])
    cells = done(comparison).exchanges[0].cells
    assert (cells[0].trouble, cells[1].trouble, cells[2].trouble) == (None, trouble, None)
    assert [[bool(one) for one in row] for row in comparison.exchanges[0].scores] == [
        [True, False, True],
        [False, False, False],
        [True, False, True],
    ]
    assert "truncated" in everything(comparison, ENGLISH)["exchanges"][0]["cells"][1]["error"]

    def broken(*given: Any) -> Any:
        raise RuntimeError("this head is broken")

    pipes[0].head._logits = broken
    comparison.say("ho", [OPTIONS] * 3, [pipes[0], pipes[0], pipes[1]])
    texts = replies(done(comparison))
    assert texts == ["", "", "床前明月光"]
    assert [column.ended for column in comparison.columns] == [True, True, False]
    assert comparison.exchanges[1].scores == []
    comparison.columns[2].ended = True
    with pytest.raises(PageError, match="Every column"):
        comparison.say("hm", [OPTIONS] * 3, [pipes[0], pipes[0], pipes[1]])


def test_what_one_cannot_express_is_said_in_its_place(pipes: list[Any]) -> None:
    """A reply outside the reader's vocabulary has a reason where its score would stand."""

    def refuse(text: str) -> list[int]:
        raise PageError("chat.empty")

    comparison = Comparison(["stories", "诗词"])
    comparison.say("hi", [OPTIONS] * 2, pipes)
    pipes[0].head.output_tokenizer.encode = refuse
    shown = scored(done(comparison), ENGLISH)["scores"]
    assert shown[0][1]["text"] == "cannot be read"
    assert "bits" in shown[1][0]


def test_stop_stops_all(source: Any, pipes: list[Any]) -> None:
    """Every reply ends within a step and keeps what it has; nothing is asked meanwhile."""
    source.delay = 0.02
    comparison = Comparison(["stories", "诗词"])
    comparison.say("hi", [{**OPTIONS, "max_tokens": 100_000}] * 2, pipes)
    while not all(reply.tokens for reply in comparison.replies):
        sleep(0.01)
    with pytest.raises(PageError, match="still being written"):
        comparison.say("ho", [OPTIONS] * 2, pipes)
    comparison.cancel()
    done(comparison)
    assert [reply.message.done.reason for reply in comparison.replies] == ["cancelled"] * 2  # type: ignore[union-attr]
    assert all(replies(comparison))
    assert comparison.exchanges[0].scores


def test_a_tab_that_is_gone_ends_its_comparison(source: Any, pipes: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a page, replies stop after a while, and their rows are free."""
    monkeypatch.setattr("seqdemo.ui.tabs.PATIENCE", 0.05)
    source.delay = 0.02
    tabs = Tabs()
    tab = tabs.arrive("page", "ada")
    comparison = Comparison(["stories", "诗词"])
    tab.beside["compare"] = comparison
    comparison.say("hi", [{**OPTIONS, "max_tokens": 100_000}] * 2, pipes)
    tabs.leave("page")
    done(comparison)
    assert all(len(reply.message.tokens) < 1000 for reply in comparison.replies)


def test_one_is_kept_as_a_conversation(source: Any, pipes: list[Any]) -> None:
    """A kept column is in the visitor's list, and stands where the column stands; so nothing is nothing."""
    comparison = Comparison(["stories", "诗词"])
    with pytest.raises(PageError, match="nothing in this column"):
        comparison.keep(0, pipes[0], source.database(), "ada")
    comparison.say("hi", [OPTIONS] * 2, pipes, raw=True)
    done(comparison)
    kept = comparison.keep(1, pipes[1], source.database(), "ada")
    shelf = Shelf(source.database, lambda name: pipes[1])
    assert [(one.id, one.checkpoint, one.title) for one in shelf.list("ada")] == [(kept, "诗词", "hi")]
    assert shelf.list("grace") == []
    talk = shelf.open("ada", kept)
    assert [message.content for message in talk.messages] == ["hi", "床前明月光"]


def test_a_column_outlives_its_pipeline(source: Any) -> None:
    """After its checkpoint was unloaded it goes on with what is loaded then, without reading anything again."""
    source.delay = 0.0
    loader, comparison = Loader(source), Comparison(["stories", "stories"])
    loader.leaving.append(comparison.release)
    comparison.say("hi", [OPTIONS] * 2, [loader.get("stories")] * 2)
    done(comparison)
    loader.unload("stories")
    assert comparison.columns[0].session is None
    comparison.say("ho", [OPTIONS] * 2, [loader.get("stories")] * 2)
    assert replies(done(comparison)) == [" the sea was calm,\n"] * 2
    assert comparison.columns[0].session is not None
    assert comparison.columns[0].session.steps == 0


def test_updates_may_be_skipped(source: Any, pipes: list[Any]) -> None:
    """Windows overlap: whoever sees every seventh update has every token of every column."""
    source.delay = 0.003
    comparison = Comparison(["stories", "诗词"])
    comparison.say("hi", [{**OPTIONS, "max_tokens": 200}] * 2, pipes)
    feed, seen, number = Feed(comparison), [list[str](), list[str]()], 0
    while True:
        finished = comparison.finished
        update = feed.update(ENGLISH)
        if number % 7 == 0 or finished:
            for have, cell in zip(seen, update["cells"], strict=True):
                assert cell["start"] <= len(have)
                have += cell["tokens"][len(have) - cell["start"] :]
        if finished:
            break
        number += 1
        sleep(0.01)
    assert ["".join(have) for have in seen] == replies(comparison)
    assert [cell["count"] for cell in everything(comparison, ENGLISH)["exchanges"][0]["cells"]] == [200, 200]
    done(comparison)
