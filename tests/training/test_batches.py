"""Batches by position, and what is held out."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.errors import DataError
from seqdemo.training.batches import Examples, Streams, evaluation_examples, evaluation_streams, token_ids
from seqdemo.training.data import Source, Table
from seqdemo.training.split import split


def table(rows: list[str], plain: bool = False) -> Table:
    return Table(Source("x", 1, "0" * 64), [{"text": row} for row in rows], plain)


@settings(deadline=None, max_examples=60)
@given(tokens=st.integers(2, 400), batch=st.integers(1, 6), window=st.integers(1, 40), epoch=st.integers(0, 3))
def test_windows_of_a_stream_are_contiguous(tokens: int, batch: int, window: int, epoch: int) -> None:
    """Within an epoch each stream goes on where its last window ended, and targets are the next tokens."""
    ids = torch.arange(tokens, dtype=torch.int32)
    if tokens - 1 < batch:
        with pytest.raises(DataError, match="smaller --batch-size"):
            Streams(ids, batch, window)
        return
    streams = Streams(ids, batch, window, shift=True, seed=3)
    found = [streams.batch(epoch, index) for index in range(streams.steps)]
    inputs = torch.cat([one["inputs"] for one in found], 1)
    assert torch.equal(torch.cat([one["targets"] for one in found], 1), inputs + 1)
    assert torch.equal(inputs, inputs[:, :1] + torch.arange(inputs.shape[1]))
    assert inputs.shape[0] == batch
    assert len(set(inputs.flatten().tolist())) == inputs.numel()


def test_two_processes_hold_what_a_doubled_batch_holds() -> None:
    """Process p of P with batch B has rows pB … (p + 1)B - 1 of one process with batch PB, in every epoch."""
    ids = torch.arange(500, dtype=torch.int32)
    whole = Streams(ids, 6, 7, shift=True)
    halves = [Streams(ids, 3, 7, shift=True, rank=rank, world=2) for rank in (0, 1)]
    assert whole.steps == halves[0].steps == halves[1].steps
    for epoch in range(3):
        for index in range(whole.steps):
            both = torch.cat([half.batch(epoch, index)["inputs"] for half in halves])
            assert torch.equal(whole.batch(epoch, index)["inputs"], both)


def test_epochs_cut_windows_elsewhere_and_deterministically() -> None:
    """The shift depends on seed and epoch alone; without it every epoch is the same."""
    ids = torch.arange(500, dtype=torch.int32)
    starts = [Streams(ids, 2, 20, shift=True, seed=1).batch(epoch, 0)["inputs"][0, 0].item() for epoch in range(20)]
    again = [Streams(ids, 2, 20, shift=True, seed=1).batch(epoch, 0)["inputs"][0, 0].item() for epoch in range(20)]
    assert starts == again
    assert starts[0] == 0
    assert len(set(starts)) > 5
    assert all(0 <= start < 20 for start in starts)
    both = [Streams(ids, 2, 20, shift=True, seed=1).batch(epoch, 0)["inputs"][:, 0] for epoch in range(20)]
    assert len({int(second - first) for first, second in both}) > 5, "streams end elsewhere, too"
    still = Streams(ids, 2, 20)
    assert torch.equal(still.batch(0, 1)["inputs"], still.batch(5, 1)["inputs"])


@settings(deadline=None, max_examples=60)
@given(tokens=st.integers(2, 3000), streams=st.integers(1, 7), window=st.integers(1, 300), world=st.integers(1, 3))
def test_evaluation_predicts_every_token_once(tokens: int, streams: int, window: int, world: int) -> None:
    """Over all processes and windows, each token but the first is a target exactly once, after its own input."""
    ids = torch.arange(tokens, dtype=torch.int32)
    seen: list[int] = []
    for rank in range(world):
        for batch in evaluation_streams(ids, streams, window, rank=rank, world=world):
            counted = batch["targets"] != -100
            assert torch.equal(batch["inputs"][counted] + 1, batch["targets"][counted])
            seen += batch["targets"][counted].tolist()
    assert sorted(seen) == list(range(1, tokens))


def test_evaluation_of_one_token() -> None:
    """There is nothing to predict in one token."""
    with pytest.raises(DataError, match="at least 2"):
        list(evaluation_streams(torch.zeros(1, dtype=torch.int32), 1, 4))


def collate(items: object) -> dict[str, torch.Tensor]:
    return {"x": torch.tensor(items)}


@pytest.mark.parametrize("world", [1, 2, 3])
def test_examples_come_once_an_epoch_in_another_order(world: int) -> None:
    """Each epoch gives whole batches without repeats, in an order of its own, the same when asked again."""
    items = list(range(23))
    seen = []
    for epoch in range(2):
        parts = [Examples(items, 4, collate, rank=rank, world=world, seed=5) for rank in range(world)]
        found = [part.batch(epoch, i)["x"].tolist() for i in range(parts[0].steps) for part in parts]
        flat = [x for batch in found for x in batch]
        assert len(set(flat)) == len(flat) == parts[0].steps * 4 * world
        assert found == [part.batch(epoch, i)["x"].tolist() for i in range(parts[0].steps) for part in parts]
        seen.append(flat)
    assert seen[0] != seen[1]


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 50), min_size=3, max_size=400),
    batch=st.integers(1, 8),
    world=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_batches_by_size_hold_each_row_once(sizes: list[int], batch: int, world: int, epoch: int) -> None:
    """With sizes too, an epoch is whole batches without repeats, any of which can be asked for out of turn."""
    items = list(range(len(sizes)))
    parts = [Examples(items, batch, collate, rank=rank, world=world, seed=5, sizes=sizes) for rank in range(world)]
    steps, rows = parts[0].steps, parts[0].batch_size
    found = [part.batch(epoch, i)["x"].tolist() for i in range(steps) for part in parts]
    flat = [x for batch in found for x in batch]
    assert len(set(flat)) == len(flat) == steps * rows * world
    late = Examples(items, batch, collate, rank=world - 1, world=world, seed=5, sizes=sizes)
    assert late.batch(epoch, steps - 1)["x"].tolist() == found[-1]
    whole = Examples(items, rows * world, collate, seed=5, sizes=sizes)
    together = [x for part in parts for x in part.batch(epoch, 0)["x"].tolist()]
    assert whole.batch(epoch, 0)["x"].tolist() == together


def test_batches_by_size_are_alike_and_come_in_any_order() -> None:
    """Rows of a batch differ little in size; small and large batches follow one another at random, anew each epoch."""
    draw = torch.Generator().manual_seed(2)
    sizes = torch.randint(1, 101, (1600,), generator=draw).tolist()
    examples = Examples(list(range(1600)), 16, collate, seed=1, sizes=sizes)
    epochs = []
    for epoch in range(2):
        means = []
        for index in range(examples.steps):
            chosen = [sizes[row] for row in examples.batch(epoch, index)["x"].tolist()]
            assert max(chosen) - min(chosen) <= 20  # of 100, where 50 batches are sorted together
            means.append(sum(chosen) / len(chosen))
        rising = sum(a < b for a, b in pairwise(means)) / (len(means) - 1)
        assert 0.35 < rising < 0.65
        epochs.append(means)
    assert epochs[0] != epochs[1]


def test_fewer_examples_than_a_batch() -> None:
    """A batch is as large as the data allows; fewer rows than processes is an error."""
    small = Examples([1, 2, 3], 8, collate)
    assert (small.batch_size, small.steps) == (3, 1)
    with pytest.raises(DataError, match="too few for 4 processes"):
        Examples([1, 2, 3], 8, collate, world=4)


def test_evaluation_of_examples_covers_all() -> None:
    """Every item is evaluated once over all processes."""
    items = list(range(11))
    seen = [x for rank in (0, 1) for b in evaluation_examples(items, 3, collate, rank=rank, world=2) for x in b["x"]]
    assert sorted(map(int, seen)) == items
    sizes = [5, 1, 9, 2, 2, 7, 0, 3, 3, 8, 6]
    by_size = [x for b in evaluation_examples(items, 3, collate, sizes=sizes) for x in b["x"].tolist()]
    assert sorted(by_size) == items
    assert [sizes[x] for x in by_size] == sorted(sizes)


def test_token_ids_are_joined() -> None:
    """Rows follow one another; empty ones leave no trace."""
    assert token_ids([[1, 2], [], [3]]).tolist() == [1, 2, 3]
    assert token_ids([]).shape == (0,)


def test_split_of_a_text_is_its_end() -> None:
    """nanoGPT's 90/10: the first 90 % of the characters train."""
    train, held = split([table(["0123456789" * 10], plain=True)], 0.1)
    assert train == [{"text": "0123456789" * 9}]
    assert held == [{"text": "0123456789"}]


@pytest.mark.parametrize(("fraction", "count"), [(0.1, 10), (0.25, 25), (0.5, 50), (0.0, 0), (0.01, 1)])
def test_split_of_rows_is_spread(fraction: float, count: int) -> None:
    """The share is held out exactly, no row twice, over all files together."""
    rows = [f"row {n}" for n in range(100)]
    train, held = split([table(rows[:37]), table(rows[37:])], fraction)
    assert len(held) == count
    assert sorted(row["text"] for row in train + held) == sorted(rows)


@pytest.mark.parametrize(("fraction", "count"), [(0.1, 200), (0.25, 37), (0.5, 10), (0.3, 100)])
def test_split_of_examples_is_scattered(fraction: float, count: int) -> None:
    """As many rows as otherwise, one of each stretch; labels that take turns are all held out."""
    rows = [f"{n % 2} {n}" for n in range(count)]
    evenly = split([table(rows)], fraction)[1]
    train, held = split([table(rows[:9]), table(rows[9:])], fraction, scattered=True)
    assert sorted(row["text"] for row in train + held) == sorted(rows)
    assert len(held) == len(evenly)
    before = -1
    for mine, theirs in zip(held, evenly, strict=True):
        place, end = (int(row["text"].split()[1]) for row in (mine, theirs))
        assert before < place <= end
        before = end
    assert {row["text"][0] for row in held} == {"0", "1"}
    assert split([table(rows)], fraction, scattered=True)[1] == held


def test_split_of_too_little() -> None:
    """One character, or one row, leaves nothing to hold out."""
    for tables in ([table(["a"], plain=True)], [table(["one"])], [table([])]):
        with pytest.raises(DataError, match="too little"):
            split(tables, 0.1)
