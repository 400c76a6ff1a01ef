"""State verbs against plain tensor operations."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from seqdemo.errors import StateError
from seqdemo.plugin import state as verbs

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int8,
    torch.uint8,
    torch.bool,
]


@st.composite
def states(draw, rows=None):
    """A state of up to four entries of any dtype and rank."""
    count = draw(st.integers(0, 4)) if rows is None else rows
    names = draw(st.lists(st.sampled_from(["a.h", "a.c", "b.h", "head.é"]), min_size=1, unique=True))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    state = {}
    for name in names:
        shape = (count, *draw(st.lists(st.integers(0, 3), max_size=2)))
        state[name] = (torch.randn(shape, generator=generator) * 50).to(draw(st.sampled_from(DTYPES)))
    return state


few = settings(max_examples=60, deadline=None)


@few
@given(state=states(), data=st.data())
def test_select_takes_the_rows_asked_for(state, data):
    """Rows come in the order given, repeats allowed, as copies, whether asked for by list or by tensor."""
    rows = verbs.batch_size(state)
    chosen = data.draw(st.lists(st.integers(0, rows - 1), max_size=5)) if rows else []
    picked = verbs.select(state, chosen)
    assert verbs.layout(picked) == verbs.layout(state)
    for name, tensor in state.items():
        assert torch.equal(picked[name], tensor[chosen])
    assert verbs.equal(verbs.select(state, torch.tensor(chosen, dtype=torch.long)), picked)
    before = verbs.clone(state)
    for tensor in picked.values():
        tensor.zero_()
    assert verbs.equal(state, before)


@few
@given(state=states(), cut=st.integers(0, 4))
def test_concat_undoes_a_split(state, cut):
    """Two parts of a state concatenated are the state, bit for bit and dtype for dtype."""
    rows = verbs.batch_size(state)
    parts = [verbs.select(state, range(min(cut, rows))), verbs.select(state, range(min(cut, rows), rows))]
    assert verbs.equal(verbs.concat(parts), state)


@few
@given(state=states(rows=3), mask=st.lists(st.booleans(), min_size=3, max_size=3))
def test_where_chooses_row_by_row(state, mask):
    """Each row is the new one where the mask is true and the old one elsewhere, in the same dtype."""
    old = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    chosen = verbs.where(torch.tensor(mask), state, old)
    assert verbs.layout(chosen) == verbs.layout(state)
    for row, new in enumerate(mask):
        assert verbs.equal(verbs.select(chosen, [row]), verbs.select(state if new else old, [row]))


@few
@given(state=states(), metadata=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3))
def test_bytes_round_trip(state, metadata):
    """Every dtype, shape and name, and the metadata, come back from bytes exactly."""
    found, told = verbs.from_bytes(verbs.to_bytes(state, metadata))
    assert verbs.equal(found, state)
    assert told == metadata


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_round_trip_of_each_dtype(dtype):
    """Each dtype on its own survives, with its extreme values."""
    tensor = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    if dtype.is_floating_point:
        tensor[0] = torch.tensor([torch.finfo(dtype).max, torch.nan])
    elif dtype != torch.bool:
        tensor[0] = torch.tensor([torch.iinfo(dtype).max, torch.iinfo(dtype).min])
    found, told = verbs.from_bytes(verbs.to_bytes({"h": tensor}))
    assert verbs.equal(found, {"h": tensor})
    assert told == {}


def test_bytes_of_entries_that_share_memory():
    """A tensor under two names, views and transposes are saved as what they show."""
    h = torch.randn(2, 3)
    state = {"h": h, "output": h, "row": h[:, 1], "turned": h.expand(2, 3).t().t()[:, ::2]}
    assert verbs.equal(verbs.from_bytes(verbs.to_bytes(state))[0], state)


@few
@given(state=states())
def test_bytes_are_those_that_safetensors_writes_for_torch(state):
    """Whichever of its two ways is the faster one."""
    apart = {name: tensor.contiguous().clone() for name, tensor in state.items()}
    assert verbs.to_bytes(state, {"a": 1}) == save(apart, {"seqdemo": json.dumps({"a": 1})})


@few
@given(data=st.binary(max_size=40), cut=st.integers(0, 200), at=st.integers(0, 200))
def test_other_bytes_are_refused(data, cut, at):
    """Rubbish, and a saved state cut short or with a byte altered, give a StateError or a well-formed state."""
    saved = verbs.to_bytes({"h": torch.ones(2, 3)}, {"a": 1})
    with pytest.raises(StateError, match="not a saved state"):
        verbs.from_bytes(saved[: min(cut, len(saved) - 1)])
    altered = bytearray(saved)
    altered[at % len(saved)] ^= 0x41
    for attempt in (data, bytes(altered)):
        try:
            state, metadata = verbs.from_bytes(attempt)
        except StateError:
            continue
        assert isinstance(metadata, dict)
        assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())


@pytest.mark.parametrize(
    "header",
    [b"[]", b"1", b"null", b'{"__metadata__": 3}', b'{"__metadata__": {"seqdemo": "[1]"}}', b"[" * 100_000],
)
def test_strange_headers_are_refused(header):
    """A header that is JSON of another shape gives a StateError too."""
    with pytest.raises(StateError, match="not a saved state"):
        verbs.from_bytes(len(header).to_bytes(8, "little") + header)


def test_batch_size_wants_agreement():
    """The rows are counted, none for an empty state, and entries that disagree are refused."""
    assert verbs.batch_size({}) == 0
    assert verbs.batch_size({"a": torch.zeros(3, 2), "b": torch.zeros(3)}) == 3
    with pytest.raises(StateError, match=r"\[2, 3\]"):
        verbs.batch_size({"a": torch.zeros(3), "b": torch.zeros(2)})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "lacks 'h'; it has no entries"),
        ({"c": torch.zeros(1, 2)}, "lacks 'h'; it has c"),
        ({"h": torch.zeros(1, 2), "c": torch.zeros(1, 2)}, "'c' that is not expected"),
        ({"h": torch.zeros(1, 3)}, "'h' is .*3.*expected .*2"),
        ({"h": torch.zeros(1, 2).double()}, "float64.*float32"),
    ],
)
def test_check_names_the_first_difference(state, words):
    """What is missing, unknown, or of another shape or dtype is named; the number of rows does not matter."""
    expected = verbs.layout({"h": torch.zeros(1, 2)})
    verbs.check({"h": torch.ones(5, 2)}, expected)
    with pytest.raises(StateError, match=words):
        verbs.check(state, expected)


def test_concat_refuses_what_does_not_fit():
    """Nothing to concatenate and layouts that differ are refused."""
    with pytest.raises(StateError, match="at least one"):
        verbs.concat([])
    with pytest.raises(StateError, match="float64"):
        verbs.concat([{"h": torch.zeros(1, 2)}, {"h": torch.zeros(1, 2).double()}])


def test_clone_and_detach_leave_the_graph():
    """A clone shares neither memory nor graph; a detached state shares memory only."""
    weight = torch.ones(2, 2, requires_grad=True)
    state = {"h": weight * 2}
    copy, cut = verbs.clone(state), verbs.detach(state)
    assert not copy["h"].requires_grad
    assert not cut["h"].requires_grad
    assert copy["h"].data_ptr() != state["h"].data_ptr()
    assert cut["h"].data_ptr() == state["h"].data_ptr()
    assert state["h"].requires_grad


def test_equal_is_bit_for_bit():
    """NaN equals itself; another dtype, name, sign of zero or number of rows does not."""
    state = {"h": torch.tensor([[1.0, torch.nan]])}
    assert verbs.equal(state, verbs.clone(state))
    assert not verbs.equal({"h": torch.zeros(1, 2)}, {"h": torch.zeros(1, 2).double()})
    assert not verbs.equal({"h": torch.zeros(1, 2)}, {"h": -torch.zeros(1, 2)})
    assert not verbs.equal({"h": torch.zeros(1, 2)}, {"h": torch.zeros(2, 2)})
    assert not verbs.equal({"h": torch.zeros(1, 2)}, {"c": torch.zeros(1, 2)})
    assert not verbs.equal({"h": torch.zeros(1, 2)}, {})


def test_max_difference_hides_nothing():
    """The largest difference over all entries; NaN in either is infinite, and equal infinities do not differ."""
    zero, nan = torch.zeros(1, 2), torch.full((1, 2), torch.nan)
    assert verbs.max_difference({}, {}) == 0.0
    assert verbs.max_difference({"a": zero, "b": zero}, {"a": zero + 1, "b": zero - 3}) == 3.0
    assert verbs.max_difference({"a": zero == 0}, {"a": zero != 0}) == 1.0
    assert verbs.max_difference({"a": zero, "b": zero}, {"a": zero, "b": nan}) == torch.inf
    assert verbs.max_difference({"a": nan}, {"a": nan}) == torch.inf
    assert verbs.max_difference({"a": zero + torch.inf}, {"a": zero + torch.inf}) == 0.0
    assert verbs.max_difference({"a": zero + torch.inf}, {"a": zero}) == torch.inf
    with pytest.raises(StateError, match="1 and 2 rows"):
        verbs.max_difference({"a": zero}, {"a": torch.zeros(2, 2)})


def test_prefixes_are_undone():
    """A prefix is put before every name and taken away again, and only whole prefixes count."""
    state = {"h": torch.zeros(1), "inner.c": torch.ones(1)}
    named = verbs.prefixed(state, "layer1")
    assert list(named) == ["layer1.h", "layer1.inner.c"]
    assert verbs.equal(verbs.unprefixed(named | verbs.prefixed(state, "layer10"), "layer1"), state)


def test_nbytes_and_move():
    """Bytes are counted over all entries in their own widths, and moving keeps dtypes."""
    state = {"h": torch.zeros(2, 3), "n": torch.zeros(2, dtype=torch.long), "b": torch.zeros(2, dtype=torch.bfloat16)}
    assert verbs.nbytes(state) == 24 + 16 + 4
    assert verbs.layout(verbs.move(state, "meta")) == verbs.layout(state)


def test_metadata_is_json():
    """Metadata of nested JSON values comes back equal."""
    metadata = {"a": [1, {"b": None}], "text": "状态 \x00"}
    _, told = verbs.from_bytes(verbs.to_bytes({"h": torch.zeros(1)}, metadata))
    assert told == json.loads(json.dumps(metadata))
