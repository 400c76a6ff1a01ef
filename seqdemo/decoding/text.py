"""The text side of one stream: ids in, certain text out, stop strings never shown."""

from __future__ import annotations

from collections.abc import Iterable

from seqdemo.plugin import Tokenizer

__all__ = ["TextStream", "token_text"]


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
        self._stops = tuple(dict.fromkeys(stops))
        self._longest = max(map(len, self._stops), default=0)
        self.held = held
        self.stopped_by: str | None = None
        """The stop string that was found."""

    @property
    def pending(self) -> bytes:
        """Bytes of an incomplete character."""
        return self._decoder.pending

    def push(self, token: int) -> str:
        """The text that became certain with this token. Once a stop string was found: what came before it."""
        text = self.held + self._decoder.push(token)
        if not self._stops:
            self.held = ""
            return text
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            _, at, self.stopped_by = min(found)
            self.held = ""
            return text[:at]
        keep = self._maybe(text)
        self.held = text[len(text) - keep :]
        return text[: len(text) - keep]

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
