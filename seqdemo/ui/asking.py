"""One question to a pipeline, answered in a thread: streamed where tokens come one by one, at once elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.plugin import Done, Result, Token

if TYPE_CHECKING:
    from seqdemo.plugin import Tokenizer

__all__ = ["Answer", "Asking", "strange"]

_BYTES = 300
"""A vocabulary this small without an unknown token is one of bytes: it has a token for everything."""
_LOOKED = 2000
"""Characters of a text whose tokens are looked at."""

_pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="seqdemo-answer")
_log = logging.getLogger(__name__)

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question.

    Attributes:
        result: of the pipeline.
        strange: the share of the input's tokens that stand for nothing in the vocabulary.
        without: why the result says less than was asked for; empty where it does not.
    """

    result: Result
    strange: float = 0.0
    without: str = ""


class Asking:
    """A question under way.

    Args:
        held: opens the pipeline, in use until it is closed again.
        row: the input.
        attempts: options to answer it with, those that ask for the most first: what is too long to be explained is
            answered without the explanation.

    Attributes:
        answer: once it is there.
        error: what went wrong, if something did.
        cancelled: nobody waits for it any more.
    """

    def __init__(
        self, held: Callable[[], AbstractContextManager[Any]], row: Mapping[str, Any], attempts: Sequence[Options]
    ) -> None:
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self._held = held
        self._row = row
        self._attempts = attempts
        self._written: list[str] = []
        self._stream: Any = None
        self.cancelled = False
        self._future = _pool.submit(self._run)

    @property
    def finished(self) -> bool:
        """Nothing more will come."""
        return self._future.done()

    @property
    def text(self) -> str:
        """What has been written so far, where it is written token by token."""
        return "".join(self._written)

    def cancel(self) -> None:
        """Stop waiting for the answer; what is streamed ends."""
        self.cancelled = True
        self._future.cancel()
        if (stream := self._stream) is not None:
            stream.close()

    def _run(self) -> None:
        try:
            with self._held() as pipe:
                self.answer = self._answered(pipe)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises ends this question, and is said on the page
            if not isinstance(error, SeqdemoError):
                _log.error("A question could not be answered.", exc_info=error)
            self.error = error

    def _answered(self, pipe: Any) -> Answer:
        text = next(iter(self._row.values()), "")
        unknown = strange(pipe, text) if isinstance(text, str) else 0.0
        if self._streams(pipe):
            return Answer(self._streamed(pipe, str(text)), unknown)
        without = ""
        for place, options in enumerate(self._attempts):
            try:
                return Answer(pipe.predict(self._row, **options), unknown, without)
            except DataError as error:
                if place == len(self._attempts) - 1:
                    raise
                without = without or str(error)
        raise AssertionError

    def _streams(self, pipe: Any) -> bool:
        from seqdemo.plugin import TokenHead

        return isinstance(pipe.head, TokenHead) and self._attempts[0].get("beam_size", 1) == 1

    def _streamed(self, pipe: Any, text: str) -> Result:
        from seqdemo.plugin import Decoded

        tokens: list[Token] = []
        done: Done | None = None
        self._stream = stream = pipe.stream(text, **self._attempts[0])
        if self.cancelled:
            stream.close()
        for event in stream:
            if isinstance(event, Token):
                tokens.append(event)
                self._written.append(event.text)
            elif isinstance(event, Done):
                done = event
        assert done is not None
        whole = "".join(self._written) + done.text
        made: Result = pipe.head.result(Decoded(text, whole, tuple(tokens), done))
        return made


def strange(pipe: Any, text: str) -> float:
    """The share of a text's tokens that stand for nothing in the vocabulary, or for part of a character: most of them,
    where the model has never seen the language."""
    tokenizer: Tokenizer = next(iter(pipe.tokenizers.values()))
    unknown = tokenizer.special_tokens.get("unk")
    if unknown is None and tokenizer.vocab_size <= _BYTES:
        return 0.0
    ids = tokenizer.encode(text[:_LOOKED])
    return sum(token == unknown or not _whole(tokenizer.token_bytes(token)) for token in ids) / max(len(ids), 1)


def _whole(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
