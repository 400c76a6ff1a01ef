"""Steppers that draw several tokens by themselves, in the engine, against steppers that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from seqdemo.decoding import Engine, GenericStepper, choose, uniform
from seqdemo.errors import PluginError
from seqdemo.plugin import Ran, Reported, RunRow, SamplingOptions, Token
from seqdemo.plugin import state as verbs

CPU = torch.device("cpu")


class Runner(GenericStepper):
    """Draws as the contract says, by the plainest loop; each run is written down."""

    counts: list[int]

    def runs(self, options: SamplingOptions) -> bool:
        return options.top_k != 13

    def run(
        self, count: int, rows: Sequence[RunRow], logits: Any, forbidden: Sequence[int], ends: Sequence[int]
    ) -> Ran:
        self.before = {row.slot: self.take(row.slot) for row in rows}
        recent = [list(row.recent) for row in rows]
        found = Ran([], [], [], [], torch.from_numpy(np.array(logits)))
        while len(found.ids) < count:
            drawn = zip(rows, found.logits.numpy(), recent, strict=True)
            place = len(found.ids)
            try:
                picks = [
                    choose(one, row.options, uniform(row.seed, row.position + place), seen, forbidden)
                    for row, one, seen in drawn
                ]
            except PluginError:
                break
            ids = [pick.id for pick in picks]
            reported: list[Reported | None] = [
                tuple([getattr(one, name) for one in pick.candidates] for name in ("id", "raw", "ruled"))  # type: ignore[misc]
                if row.options.alternatives
                else None
                for row, pick in zip(rows, picks, strict=True)
            ]
            for seen, token in zip(recent, ids, strict=True):
                seen.append(token)
            after = self.step(ids, [row.slot for row in rows]).clone()
            for kept, new in zip(
                found[:4], (ids, [p.logprob for p in picks], [p.entropy for p in picks], reported), strict=True
            ):
                kept.append(new)  # type: ignore[arg-type]
            found = found._replace(logits=after)
            if set(ids) & set(ends):
                break
        self.drawn = {row.slot: [ids[at] for ids in found.ids] for at, row in enumerate(rows)}
        self.counts.append(len(found.ids))
        return found

    def rewind(self, slot: int, count: int) -> None:
        self.put(slot, self.before[slot], {})
        for token in self.drawn[slot][:count]:
            self.step([token], [slot])


@pytest.fixture
def counts() -> list[int]:
    """Tokens of each run."""
    return []


@pytest.fixture
def drawing(counts: list[int]) -> Iterator[Engine]:
    """An engine whose steppers draw."""

    def make(head: Any, slots: int, device: torch.device) -> Runner:
        made = Runner(head, slots, device)
        made.counts = counts
        return made

    found = Engine("cpu", make=make)
    yield found
    found.close()


@pytest.fixture
def plain() -> Iterator[Engine]:
    """An engine whose steppers do not."""
    found = Engine("cpu", make=GenericStepper)
    yield found
    found.close()


def same(one: Any, two: Any) -> None:
    """Two streams that ended alike: events, and the places they can be gone on from."""
    first, second = one.decoded(), two.decoded()
    assert [(t.id, t.text, t.position) for t in first.tokens] == [(t.id, t.text, t.position) for t in second.tokens]
    for a, b in zip(first.tokens, second.tokens, strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=1e-5)
        assert a.entropy == pytest.approx(b.entropy, abs=1e-5)
        assert [each.id for each in a.alternatives] == [each.id for each in b.alternatives]
    assert (first.text, first.done.reason, one.stopped_by) == (second.text, second.done.reason, two.stopped_by)
    assert one.anchors.keys() == two.anchors.keys()
    for a, b in zip([one.snapshot, *one.anchors.values()], [two.snapshot, *two.anchors.values()], strict=True):
        assert (a.position, a.pending, a.held, a.recent) == (b.position, b.pending, b.held, b.recent)
        assert verbs.max_difference(a.state, b.state) < 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 100},
        {"max_tokens": 33, "temperature": 0.0, "alternatives": 0},
        {"max_tokens": 80, "repetition_penalty": 1.3, "top_p": 0.9},
        {"max_tokens": 1},
        {"max_tokens": 0},
    ],
)
def test_runs_give_what_steps_give(
    toy: Any, head: Any, drawing: Engine, plain: Engine, counts: list[int], options: dict[str, Any]
) -> None:
    """Events, end, snapshot and anchors; runs stop where an anchor is due."""
    same(drawing.submit(toy.ask(head, **options)), plain.submit(toy.ask(head, **options)))
    assert sum(counts) == options["max_tokens"]
    assert max(counts, default=0) <= 32


def test_a_text_that_stops_within_a_run_ends_where_it_stopped(toy: Any, drawing: Engine, plain: Engine) -> None:
    """By a stop string: the snapshot is the place after the token that completed it. By an end id: so it is too."""
    whole = plain.submit(toy.ask(toy.ToyHead(), max_tokens=60)).decoded()
    for at in (5, 20, 40):
        stop = (whole.text[at : at + 3],)
        same(*(one.submit(toy.ask(toy.ToyHead(), max_tokens=60, stop=stop)) for one in (drawing, plain)))
    found = [one.submit(toy.ask(toy.ToyHead(end=2.0), max_tokens=200)) for one in (drawing, plain)]
    same(*found)
    assert found[0].snapshot.recent[-1] == toy.EOS


def test_rows_that_share_runs_each_get_their_own(
    toy: Any, head: Any, drawing: Engine, plain: Engine, counts: list[int]
) -> None:
    """Different lengths, seeds, rules and stop strings; one whose rules the stepper does not know is stepped."""
    wishes: list[dict[str, Any]] = [
        {"seed": seed, "max_tokens": 20 + 13 * seed, "top_k": seed, "alternatives": seed % 3} for seed in range(5)
    ]
    wishes += [{"seed": 8, "stop": ("a",)}, {"seed": 9, "top_k": 13, "max_tokens": 9}]
    found = [[one.submit(toy.ask(head, **wish)) for wish in wishes] for one in (drawing, plain)]
    for one, two in zip(*found, strict=True):
        same(one, two)
    assert max(counts) > 1


def test_a_row_nothing_can_be_drawn_for_ends_with_its_error(toy: Any, drawing: Engine) -> None:
    """What was written before it is kept."""
    head = toy.ToyHead()
    plain, calls = head.next, [0]

    def broken(ids: Any, state: Any, *rest: Any, **more: Any) -> Any:
        calls[0] += ids.shape[1] == 1
        out = plain(ids, state, *rest, **more)
        return out._replace(logits=out.logits * (float("nan") if calls[0] > 20 else 1.0))

    head.next = broken
    stream = drawing.submit(toy.ask(head, max_tokens=50))
    seen: list[Any] = []
    with pytest.raises(PluginError, match="not numbers"):
        seen.extend(stream)
    assert len([one for one in seen if isinstance(one, Token)]) == 21


def test_runs_are_short_while_prompts_wait(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the chunk that was read before; 10 ms where nobody waits. By a clock of steps and chunks alone."""
    now, events = [0.0], list[tuple[str, int]]()

    class Clocked(Runner):
        counts: list[int] = []  # noqa: RUF012 - of this test's only stepper

        def step(self, ids: Sequence[int], active: Sequence[int]) -> torch.Tensor:
            now[0] += 0.001
            return super().step(ids, active)

        def read(self, head: Any, ids: torch.Tensor, *rest: Any) -> Any:
            now[0] += 0.003
            events.append(("read", ids.shape[1]))
            return super().read(head, ids, *rest)

        def run(self, count: int, *rest: Any) -> Ran:
            events.append(("run", count))
            return super().run(count, *rest)

    monkeypatch.setattr("seqdemo.decoding.lane.perf_counter", lambda: now[0])
    engine, head = Engine("cpu", make=Clocked), toy.ToyHead()
    requests = [
        toy.ask(head, max_tokens=200, alternatives=0),
        toy.ask(head, "a" * 2000, max_tokens=60, alternatives=0),
    ]
    streams = engine.each(lambda one: [engine.submit(request) for request in one], [requests])[0]
    for stream in streams:
        stream.decoded()
    engine.close()
    reads = [at for at, (what, _) in enumerate(events) if what == "read"]
    while_waiting = [count for at, (what, count) in enumerate(events) if what == "run" and reads[1] < at < reads[-1]]
    after = [count for what, count in events[reads[-1] :] if what == "run"]
    assert len(reads) >= 8
    assert max(while_waiting) == 3
    assert max(after) in {9, 10}
