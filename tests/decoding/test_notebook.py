"""Notebooks go on with any text, and read no more of it than is new."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqdemo.decoding import Engine, Notebook, Request, chunk_size
from seqdemo.decoding.restore import ANCHOR
from seqdemo.errors import ConfigError, SessionError, TokenizerError
from seqdemo.plugin import Done, Prefill, SamplingOptions

OPTIONS = SamplingOptions(max_tokens=70, seed=1, alternatives=0)
TEXT = "the old fox said: " * 40


@pytest.fixture
def notebook(head: Any, engine: Engine) -> Notebook:
    return Notebook(head, OPTIONS, on=engine)


@pytest.fixture
def reads(head: Any) -> Callable[[Callable[[], Any]], int]:
    """How many tokens the model reads while something is done."""

    def count(do: Callable[[], Any]) -> int:
        before = head.tokens_read
        do()
        return int(head.tokens_read - before)

    return count


def naive(head: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities after ids, read one by one from the beginning."""
    state = head.initial_state(1)
    with torch.inference_mode():
        for token in ids:
            found = head.next(torch.tensor([[token]]), state, {})
            state = found.state
    return torch.log_softmax(found.logits[0].double(), -1)


def test_it_writes_what_any_stream_of_the_prompt_writes(head: Any, engine: Engine, notebook: Notebook) -> None:
    """The first passage is the engine's own for the same prompt, options and seed."""
    events = list(engine.submit(Request(head, head.prompt({"text": TEXT}), OPTIONS)))
    found = notebook.stream(TEXT).generation()
    assert [token.id for token in found.tokens] == [event.id for event in events if hasattr(event, "id")]
    assert [token.logprob for token in found.tokens] == pytest.approx(
        [event.logprob for event in events if hasattr(event, "logprob")], abs=1e-5
    )


def test_what_is_appended_is_all_that_is_read(notebook: Notebook, reads: Any) -> None:
    """After a passage and some new words only those words are read, and the usage says so."""
    text = TEXT + notebook.stream(TEXT).generation().text
    assert reads(lambda: list(notebook.stream(text, max_tokens=0))) == 0
    more = text + " and so"
    made: list[Any] = []
    assert reads(lambda: made.extend(notebook.stream(more, max_tokens=5))) == len(" and so") + 5
    assert isinstance(made[-1], Done)
    assert made[-1].usage.prompt_tokens == len(" and so")
    assert [event for event in made if isinstance(event, Prefill)] == [Prefill(7, 7)]


def test_a_passage_taken_back_is_made_again_without_reading(notebook: Notebook, reads: Any) -> None:
    """Undo, redo and another version: the states of all of them are still there."""
    first = notebook.stream(TEXT).generation().text
    assert reads(lambda: notebook.stream(TEXT, seed=5).generation()) == 70
    assert reads(lambda: notebook.stream(TEXT + first, max_tokens=3).generation()) == 3


def test_a_change_inside_the_given_text_reads_from_its_chunk_on(notebook: Notebook, reads: Any, head: Any) -> None:
    """Chunks before the change are not read again, whatever was generated after it."""
    whole = TEXT + notebook.stream(TEXT).generation().text
    place = 600
    changed = whole[:place] + "X" + whole[place + 1 :]
    grid = chunk_size(head)
    begin = (place + 1) // grid * grid  # the text comes after one token that starts it
    assert begin > 0
    expected = 1 + len(changed.encode()) - begin
    assert reads(lambda: list(notebook.stream(changed, max_tokens=0))) == expected


def test_a_change_inside_a_passage_reads_from_its_nearest_anchor_on(notebook: Notebook, reads: Any) -> None:
    """At most 31 generated tokens are read again, one by one, then what is new."""
    made = notebook.stream("once ").generation()
    kept = 50
    while not made.tokens[kept - 1].text or "\ufffd" in made.tokens[kept - 1].text:
        kept -= 1
    changed = "once " + "".join(token.text for token in made.tokens[:kept]) + "ZZ"
    assert reads(lambda: list(notebook.stream(changed, max_tokens=0))) <= ANCHOR - 1 + 2
    assert notebook.ids(changed)[-2:] == (90, 90)
    assert notebook.ids(changed)[: 6 + kept] == (*notebook.ids("once "), *(token.id for token in made.tokens[:kept]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_states_are_those_of_the_text_on_show(data: st.DataObject, head: Any, engine: Engine) -> None:
    """After any edits, cuts and passages, the ids spell the text, and the next token is as a fresh reading has it."""
    notebook = Notebook(head, OPTIONS, budget=data.draw(st.sampled_from([1, 10**9])), on=engine)
    text = ""
    for _ in range(data.draw(st.integers(1, 6))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, len(text)))
        text = text[:begin] + data.draw(st.sampled_from(["", "ab", "é", "你", "END c"])) + text[end:]
        options = {"seed": data.draw(st.integers(0, 3)), "stop": data.draw(st.sampled_from([(), ("b.",), ("d",)]))}
        made = notebook.stream(text, max_tokens=data.draw(st.integers(1, 40)), **options).generation()
        ids = notebook.ids(text)
        assert head.output_tokenizer.decode(ids) == text
        first = made.tokens[0]
        assert math.isclose(naive(head, ids)[first.id].item(), first.logprob, abs_tol=1e-4)
        text += made.text


def test_a_stop_text_is_not_read(notebook: Notebook) -> None:
    """The text on show ends before it, and so does what the model has read when it goes on."""
    made = notebook.stream("a", stop=("c d",), max_tokens=500).generation()
    assert made.done.reason == "stop"
    shown = "a" + made.text
    assert "c d" not in shown
    assert notebook.head.output_tokenizer.decode(notebook.ids(shown)) == shown


def test_reading_can_be_stopped_and_goes_on_there(notebook: Notebook, reads: Any, head: Any) -> None:
    """A passage closed while a long text is read ends as cancelled; what was read stays read."""
    passage = notebook.stream(TEXT)
    assert next(passage) == Prefill(chunk_size(head), 1 + len(TEXT))
    passage.close()
    done = passage.generation().done
    assert (done.reason, done.usage.tokens, done.usage.prompt_tokens) == ("cancelled", 0, chunk_size(head))
    assert reads(lambda: list(notebook.stream(TEXT, max_tokens=0))) == 1 + len(TEXT) - chunk_size(head)


def test_a_passage_can_be_stopped_and_keeps_what_it_has(notebook: Notebook, reads: Any) -> None:
    """What was written before a stop is remembered; going on from it reads nothing but what follows."""
    passage = notebook.stream("once ", max_tokens=1_000_000)
    for _ in range(41):
        next(passage)
    passage.close()
    made = passage.generation()
    assert made.done.reason == "cancelled"
    assert reads(lambda: list(notebook.stream("once " + made.text, max_tokens=0))) < ANCHOR


def test_one_passage_at_a_time(notebook: Notebook) -> None:
    """A second one is refused while the first is read; one that nobody holds any more is no hindrance."""
    passage = notebook.stream("once ", max_tokens=1_000_000)
    next(passage)
    with pytest.raises(SessionError, match="still writing"):
        notebook.stream("twice ")
    del passage
    assert notebook.stream("twice ", max_tokens=3).generation().done.reason == "length"


def test_what_is_wrong_is_said_before_anything_is_read(notebook: Notebook, head: Any) -> None:
    """An unknown option and a text that is no text leave everything as it was."""
    with pytest.raises(ConfigError, match="temprature"):
        notebook.stream("a", temprature=1)
    with pytest.raises(TokenizerError, match="surrogate"):
        notebook.stream("a\ud800")
    assert head.tokens_read == 0


def test_a_failing_model_ends_the_passage_and_no_more(notebook: Notebook, head: Any) -> None:
    """The error reaches the reader; the next passage works."""
    head.fail_after = head.tokens_read + 40
    with pytest.raises(RuntimeError, match="broken"):
        notebook.stream("once ").generation()
    head.fail_after = None
    assert len(notebook.stream("once ").generation().tokens) == 70


def test_memory_is_bounded(notebook: Notebook, monkeypatch: pytest.MonkeyPatch, reads: Any) -> None:
    """Once too much is remembered it is forgotten, and the text is read again."""
    monkeypatch.setattr("seqdemo.decoding.notebook._MOST", 100)
    text = TEXT + notebook.stream(TEXT).generation().text
    assert reads(lambda: list(notebook.stream(text, max_tokens=0))) == 1 + len(text.encode())
