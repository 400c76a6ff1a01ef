"""Token events as bytes."""

from __future__ import annotations

import json
import zlib
from array import array
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seqdemo.decoding.stream import Channel
from seqdemo.errors import StoreError
from seqdemo.plugin import Alternative, Token
from seqdemo.store.tokens import pack_ids, pack_tokens, unpack_ids, unpack_tokens

from .conftest import token

numbers = st.floats(allow_nan=False)
ids = st.integers(0, 2**31 - 1)
texts = st.text(st.characters(), max_size=5)
alternatives = st.builds(Alternative, ids, texts, numbers, numbers)
tokens = st.builds(Token, ids, texts, numbers, numbers, st.lists(alternatives, max_size=3).map(tuple), ids)


@given(st.lists(tokens, max_size=5))
def test_events_come_back_whole(events: list[Token]) -> None:
    """Packing loses nothing: any text, lone surrogates included, and infinite numbers."""
    assert unpack_tokens(pack_tokens(events)) == events


@given(st.lists(ids))
def test_ids_come_back_whole(some: list[int]) -> None:
    """So do token ids."""
    assert unpack_ids(pack_ids(some)) == tuple(some)


@pytest.mark.parametrize("data", [b"", b"x", pack_tokens([token(0, "a")])[:-3]])
def test_damaged_events_are_refused(data: bytes) -> None:
    """Bytes that are no events are an error, not a crash."""
    with pytest.raises(StoreError, match="damaged"):
        unpack_tokens(data)


@given(st.lists(tokens, max_size=3), st.data())
def test_any_damage_is_an_error_or_does_no_harm(events: list[Token], data: Any) -> None:
    """Whatever a byte of what was packed is changed to."""
    packed = pack_tokens(events)
    assume(packed[:1] == b"\x01")
    plain = bytearray(zlib.decompress(packed[1:]))
    plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    with suppress(StoreError):
        assert len(unpack_tokens(b"\x01" + zlib.compress(bytes(plain)))) <= len(plain)


@given(st.lists(tokens, max_size=5))
def test_what_was_written_as_json_is_read(events: list[Token]) -> None:
    """By versions of the file before the third."""
    rows = [[*values(one)[:4], [values(other) for other in one.alternatives], one.position] for one in events]
    packed = zlib.compress(json.dumps(rows, ensure_ascii=False).encode("utf-8", "surrogatepass"), 1)
    assert unpack_tokens(packed) == events


def values(one: Any) -> list[Any]:
    return [getattr(one, field.name) for field in fields(one)]


def test_alternatives_that_nobody_has_looked_at_come_back() -> None:
    """A token of the engine has them as bytes, and their texts by id."""
    channel = Channel(0, {3: "c", 5: "e"}.__getitem__, Any)  # type: ignore[arg-type]
    reported = array("d", [5, 3, 0.75, 0.25, 1.0, 0.0]).tobytes()
    channel.add((5, "e", -0.25, 0.5, reported, 7))
    channel.add((3, "c", -1.5, 0.5, None, 8))
    events = [channel.get(), channel.get()]
    assert unpack_tokens(pack_tokens(events)) == [  # type: ignore[arg-type]
        Token(5, "e", -0.25, 0.5, (Alternative(5, "e", 0.75, 1.0), Alternative(3, "c", 0.25, 0.0)), 7),
        Token(3, "c", -1.5, 0.5, (), 8),
    ]
