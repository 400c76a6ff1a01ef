"""One question to a pipeline: streamed or at once, with less explanation where the input is too long for all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import pytest

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.plugin import Classification, Translation
from seqdemo.ui.asking import Asking, strange


def asked(pipe: Any, row: Mapping[str, Any], *attempts: Mapping[str, Any]) -> Asking:
    found = Asking(lambda: nullcontext(pipe), row, attempts)
    deadline = time.monotonic() + 60
    while not found.finished:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


class Explains:
    """Explains short texts only."""

    head = None
    tokenizers: Mapping[str, Any] = {}

    def __init__(self, make: Callable[..., Any]) -> None:
        self.tokenizers = make().tokenizers
        self.tried: list[Any] = []

    def predict(self, row: Mapping[str, str], **options: Any) -> Classification:
        self.tried.append(options["explain"])
        if options["explain"] == "broken":
            raise RuntimeError("inside out")
        if options["explain"] != "none" and len(row["text"]) > 3:
            raise DataError(f"Too long for {options['explain']}.")
        return Classification("fine", {"fine": 1.0}, row["text"])


@pytest.fixture
def translator(make_pipeline: Callable[..., Any]) -> Any:
    """Untrained, with another weight on each token so that something is written."""
    return make_pipeline(
        task="translation",
        tokenizer_config={"end_token": True},
        task_config={"embedding_size": 8, "attention_size": 4, "encoder_layers": 1},
    )


def test_greedy_text_streams_and_is_what_predict_gives(translator: Any) -> None:
    """The answer of a streamed question is that of the search with a beam of one, alignment included; what was written
    on the way is its text."""
    options = {"beam_size": 1, "n_best": 1, "max_tokens": 12}
    found = asked(translator, {"source": "The time"}, options)
    expected = translator.predict("The time", **options)
    assert found.error is None
    assert found.answer is not None
    result = found.answer.result
    assert isinstance(result, Translation)
    assert result.text == expected.text
    assert found.text in (result.text, result.text.rstrip())
    assert result.score == pytest.approx(expected.alternatives[0].logprob, abs=1e-4)
    assert len(result.alignment) == len(result.target_tokens) > 0


def test_a_search_answers_at_once(translator: Any) -> None:
    """With a beam nothing is written before the end, and all texts found are there."""
    found = asked(translator, {"source": "The time"}, {"beam_size": 3, "n_best": 2, "max_tokens": 6})
    assert found.text == ""
    assert found.answer is not None
    assert len(found.answer.result.alternatives) == 2  # type: ignore[attr-defined]


def test_less_is_explained_where_all_is_too_much(make_pipeline: Callable[..., Any]) -> None:
    """Options that ask for less are tried in turn, and why is kept; an error that is not about the input is not."""
    pipe = Explains(make_pipeline)
    long = asked(pipe, {"text": "long text"}, {"explain": "all"}, {"explain": "some"}, {"explain": "none"})
    assert pipe.tried == ["all", "some", "none"]
    assert long.answer is not None
    assert long.answer.without == "Too long for all."
    short = asked(pipe, {"text": "abc"}, {"explain": "all"}, {"explain": "none"})
    assert short.answer is not None
    assert short.answer.without == ""
    failed = asked(pipe, {"text": "long text"}, {"explain": "all"})
    assert isinstance(failed.error, SeqdemoError)
    assert isinstance(asked(pipe, {"text": "a"}, {"explain": "broken"}, {"explain": "none"}).error, RuntimeError)


def test_a_cancelled_question_ends(translator: Any) -> None:
    """Cancelling closes the stream behind it."""
    found = Asking(lambda: nullcontext(translator), {"source": "The time"}, [{"beam_size": 1, "max_ratio": 100.0}])
    found.cancel()
    deadline = time.monotonic() + 60
    while not found.finished:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert found.answer is None or isinstance(found.answer.result, Translation)


def test_a_text_in_another_language_is_noticed(make_pipeline: Callable[..., Any]) -> None:
    """The share of a text that a vocabulary has nothing for, be it unknown or written byte by byte; a vocabulary of
    bytes has everything."""
    english = make_pipeline(tokenizer="words", texts=["a good film and a bad film"])
    assert strange(english, "a good film") == 0
    assert strange(english, "这部电影很好") == 1
    assert strange(english, "a good 电影") == pytest.approx(2 / 5)
    assert strange(make_pipeline(tokenizer="bytes"), "这部电影") == 0
    assert strange(english, "") == 0
