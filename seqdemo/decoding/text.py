"""The text side of one stream: ids in, certain text out, stop strings never shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from weakref import WeakKeyDictionary

from seqdemo.plugin import Tokenizer

__all__ = ["TextStream", "token_text"]

_whole: WeakKeyDictionary[Tokenizer, dict[int, str]] = WeakKeyDictionary()
"""Tokens seen to begin and end with whole characters, and their texts."""


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token on its own, as text; a part of a character becomes U+FFFD."""
    return tokenizer.token_bytes(token).decode("utf-8", "replace")


class TextStream:
    """Turns ids into text that is certain.

    Two things are held back: the bytes of an incomplete character (``pending``), and text that could be the beginning
    of a stop string (``held``). Both together are all it remembers, so a snapshot can keep them. Of several stop
    strings the one completed first wins, and of those completed by the same character the longest; so what is
    found does not depend on how the text was cut into tokens.

    Args:
        tokenizer: of the ids.
        stops: texts that end the stream, none of them empty.
        pending, held: to go on where another stream was.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Iterable[str] = (), pending: bytes = b"", held: str = "") -> None:
        self._decoder = tokenizer.decoder()
        self._decoder.pending = pending
        self._whole = _whole.setdefault(tokenizer, {})
        self._between = not pending
        self._stops = tuple(dict.fromkeys(stops))
        self._longest = max(map(len, self._stops), default=0)
        self.held = held
        self.stopped_by: str | None = None
        """The stop string that was found."""

    @property
    def pending(self) -> bytes:
        """Bytes of an incomplete character."""
        return self._decoder.pending

    def push_all(self, tokens: Sequence[int], ends: AbstractSet[int]) -> list[str]:
        """What :meth:`push` gives for each token, up to one of ``ends`` or one that completes a stop string."""
        if self._between and not self._stops and not self.held and ends.isdisjoint(tokens):
            known = [self._whole.get(token) for token in tokens]
            if None not in known:
                return known  # type: ignore[return-value]  # no None is in it
        texts: list[str] = []
        for token in tokens:
            texts.append(self.push(token))
            if token in ends or self.stopped_by is not None:
                break
        return texts

    def push(self, token: int) -> str:
        """The text that became certain with this token. Once a stop string was found: what came before it."""
        piece = self._whole.get(token) if self._between else None
        if piece is None:
            piece = self._decode(token)
        if not self._stops and not self.held:
            return piece
        text = self.held + piece
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            _, at, self.stopped_by = min(found)
            self.held = ""
            return text[:at]
        keep = self._maybe(text)
        self.held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _decode(self, token: int) -> str:
        """A token's text where it stands; it is known from then on, if it holds whole characters."""
        began = self._between
        piece = self._decoder.push(token)
        self._between = not self._decoder.pending
        if began and self._between:
            self._whole[token] = piece
        return piece

    def _maybe(self, text: str) -> int:
        """Length of the longest end of the text that a stop string begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0

    def finish(self) -> str:
        """What was held back, when no more will come; an incomplete character becomes U+FFFD."""
        rest = "" if self.stopped_by is not None else self.held + self._decoder.finish()
        self.held = ""
        return rest
