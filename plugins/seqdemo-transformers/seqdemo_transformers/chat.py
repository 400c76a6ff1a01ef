"""Conversations by a tokenizer's chat template, one message at a time. Imports no torch."""

from __future__ import annotations

from functools import cached_property

from seqdemo.errors import TokenizerError

from .tokenizer import PretrainedTokenizer

__all__ = ["Chat"]

_EARLIER, _REPLY, _MESSAGE = "seqdemo-earlier", "seqdemo-reply", "seqdemo-message"


class Chat:
    """What a template puts before and after a message, read off conversations it renders.

    A state has read everything before, so each message needs only what follows the reply before it.

    Raises:
        TokenizerError: the template cannot hold a conversation of several turns.
    """

    def __init__(self, tokenizer: PretrainedTokenizer) -> None:
        self._tokenizer = tokenizer

    def _later(self, message: str) -> str:
        """The template's text from the end of a reply to the beginning of the next."""
        roles = (("user", _EARLIER), ("assistant", _REPLY), ("user", message))
        text = self._tokenizer.render([{"role": role, "content": content} for role, content in roles])
        _, found, after = text.partition(_REPLY)
        if not found:
            raise TokenizerError("This model's chat template leaves replies out, so it cannot go on from one.")
        return after

    @cached_property
    def end(self) -> int | None:
        """The special token with which the template closes a reply, if it does."""
        ids = self._tokenizer.encode_marked(self._later(_MESSAGE))
        return ids[0] if ids and ids[0] in self._tokenizer.special_tokens.values() else None

    def turn(self, message: str, first: bool, ended: bool) -> list[int]:
        """Token ids of a message, up to where the reply begins.

        Args:
            message: its text; what looks like a special token in it is text.
            first: nothing was read before.
            ended: the reply before closed itself, by a token that is not read twice.
        """
        special = any(mark in message for mark in self._tokenizer.special_tokens)
        shown = _MESSAGE if special else message
        text = self._tokenizer.render([{"role": "user", "content": shown}]) if first else self._later(shown)
        if special:
            before, _, after = text.partition(_MESSAGE)
            encode = self._tokenizer.encode_marked
            ids = [*encode(before), *self._tokenizer.encode(message), *encode(after)]
        else:
            ids = self._tokenizer.encode_marked(text)
        return ids[1:] if not first and ended and self.end is not None and ids[:1] == [self.end] else ids
