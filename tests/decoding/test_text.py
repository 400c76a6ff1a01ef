from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.decoding.text import TextStream


def naive(text: str, stops: list[str]) -> tuple[str, str | None]:
    """Character by character: the first stop string completed ends it; of several, the longest."""
    for end in range(1, len(text) + 1):
        ended = [stop for stop in stops if text[:end].endswith(stop)]
        if ended:
            longest = max(ended, key=len)
            return text[: end - len(longest)], longest
    return text, None


class Pieces:
    """A tokenizer whose tokens are the pieces of one text, cut anywhere, inside characters too."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def token_bytes(self, token: int) -> bytes:
        return self.pieces[token]

    def decoder(self) -> Any:
        from seqdemo.plugin.tokenizer import TextDecoder

        return TextDecoder(self)  # type: ignore[arg-type]


letters = st.text(alphabet="aab你é", max_size=24)
stops = st.lists(st.text(alphabet="ab你é", min_size=1, max_size=5), max_size=3)


@settings(deadline=None, max_examples=250)
@given(letters, stops, st.data())
def test_any_cut_into_tokens_gives_what_a_search_of_the_text_gives(text: str, stops: list[str], data: Any) -> None:
    """Text, stop string and what was shown at each moment do not depend on the tokens, a resumed stream included."""
    raw = text.encode()
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=12))})
    tokenizer: Any = Pieces([raw[a:b] for a, b in pairwise(cuts)])
    resume_at = data.draw(st.integers(0, len(tokenizer.pieces)))
    stream, shown = TextStream(tokenizer, stops), ""
    want, stop = naive(text, stops)
    for token in range(len(tokenizer.pieces)):
        if token == resume_at:
            stream = TextStream(tokenizer, stops, stream.pending, stream.held)
        shown += stream.push(token)
        assert want.startswith(shown)
        if stream.stopped_by is not None:
            break
    assert shown + stream.finish() == want
    assert stream.stopped_by == stop


def test_only_what_may_become_a_stop_string_is_held_back(toy: Any) -> None:
    """Text is shown as soon as it is certain, and not later."""
    stream = TextStream(toy.ToyTokenizer(), ["END", "\n\n"])
    assert [stream.push(byte) for byte in b"aEbEN"] == ["a", "", "Eb", "", ""]
    assert stream.held == "EN"
    assert stream.push(ord("x")) == "ENx"
    assert stream.push(ord("\n")) == ""
    assert stream.finish() == "\n"


def test_half_a_character_at_the_end_becomes_a_replacement_character(toy: Any) -> None:
    """It is held back while more may come, and never shown as something else."""
    stream = TextStream(toy.ToyTokenizer(), ["好x"])
    half = "你".encode()[:2]
    assert [stream.push(byte) for byte in half] == ["", ""]
    assert stream.pending == half
    assert stream.finish() == "\ufffd"


@settings(deadline=None, max_examples=150)
@given(letters, stops, st.data())
def test_a_run_of_tokens_gives_what_each_gives(text: str, stops: list[str], data: Any) -> None:
    """Up to a stop string or an end, whatever was pushed before; what is held back is the same then."""
    raw = text.encode()
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=12))})
    tokenizer: Any = Pieces([raw[a:b] for a, b in pairwise(cuts)])
    tokens = data.draw(st.lists(st.integers(0, len(cuts) - 2), max_size=12)) if len(cuts) > 1 else []
    ends = data.draw(st.sets(st.sampled_from(tokens), max_size=1)) if tokens else set()
    split = data.draw(st.integers(0, len(tokens)))
    one, other = TextStream(tokenizer, stops), TextStream(tokenizer, stops)
    wanted: list[str] = []
    for token in tokens:
        wanted.append(one.push(token))
        if token in ends or one.stopped_by is not None:
            break
    found = other.push_all(tokens[:split], ends)
    if len(found) == split and other.stopped_by is None and ends.isdisjoint(tokens[:split]):
        found += other.push_all(tokens[split:], ends)
    assert found == wanted
    assert (other.stopped_by, other.held, other.pending) == (one.stopped_by, one.held, one.pending)
