"""Runs against stepping and drawing one token at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqdemo_native.library import levels
from seqdemo_native.stepper import NativePrepared, NativeStepper

from seqdemo.decoding import Choice, choose, uniform
from seqdemo.plugin import RunRow, SamplingOptions, TokenHead, unpacked
from seqdemo.plugin import state as verbs

Make = Callable[..., TokenHead]
CPU = torch.device("cpu")

RULES: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 1.0, "alternatives": 5},
    {"temperature": 0.8, "top_k": 7, "alternatives": 3},
    {"temperature": 1.3, "top_p": 0.7},
    {"temperature": 0.9, "top_k": 20, "top_p": 0.9, "alternatives": 50},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 1.0, "repetition_penalty": 1.7, "repetition_window": 5, "top_k": 9, "alternatives": 2},
    {"temperature": 0.0, "repetition_penalty": 1.5, "alternatives": 4},
    {"temperature": 0.7, "repetition_penalty": 0.8, "top_p": 0.95, "min_p": 0.02},
]


def stepped(
    made: NativeStepper, row: RunRow, logits: Any, count: int, forbidden: Any, ends: Any = ()
) -> tuple[list[Choice], Any]:
    """The same by drawing outside."""
    found: list[Choice] = []
    recent = list(row.recent)
    for at in range(count):
        found.append(choose(logits, row.options, uniform(row.seed, row.position + at), recent, forbidden))
        recent.append(found[-1].id)
        logits = made.step([found[-1].id], [row.slot])[0].numpy().copy()
        if found[-1].id in ends:
            break
    return found, logits


def prepared(head: TokenHead, precision: Any = "int8", slots: int = 16) -> tuple[NativeStepper, NativeStepper]:
    made = NativePrepared(head, CPU, precision)
    return made.stepper(head, slots), made.stepper(head, slots)


def begin(made: NativeStepper, head: TokenHead, rows: int) -> Any:
    """States after one token each, and the logits there."""
    for slot in range(rows):
        made.put(slot, head.initial_state(1), {})
    return made.step([slot % 7 for slot in range(rows)], range(rows)).numpy().copy()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_run_is_stepping_token_for_token(head: TokenHead, precision: Any) -> None:
    """Rows with every kind of rules in one run: ids, what is reported, and the state and logits after are equal."""
    made, other = prepared(head, precision)
    logits = begin(made, head, len(RULES))
    begin(other, head, len(RULES))
    forbidden = [3, 5]
    rows = [
        RunRow(slot, SamplingOptions(**{"alternatives": 0, **rules}), 90 + slot, 11 * slot, [1, 2, 1, slot])
        for slot, rules in enumerate(RULES)
    ]
    assert all(made.runs(row.options) for row in rows)
    ran = made.run(40, rows, logits, forbidden, [])
    assert len(ran.ids) == 40
    for slot, row in enumerate(rows):
        choices, after = stepped(other, row, logits[slot], 40, forbidden)
        assert [one[slot] for one in ran.ids] == [choice.id for choice in choices]
        np.testing.assert_allclose([one[slot] for one in ran.logprobs], [one.logprob for one in choices], atol=2e-6)
        np.testing.assert_allclose([one[slot] for one in ran.entropies], [one.entropy for one in choices], atol=1e-5)
        for reported, choice in zip((one[slot] for one in ran.reported), choices, strict=True):
            ids, raw, ruled = unpacked(reported or b"")
            assert ids == [candidate.id for candidate in choice.candidates]
            np.testing.assert_allclose(raw, [candidate.raw for candidate in choice.candidates], rtol=1e-5, atol=1e-9)
            np.testing.assert_allclose(ruled, [candidate.ruled for candidate in choice.candidates], rtol=1e-9)
        np.testing.assert_array_equal(ran.logits[slot], after)
        assert verbs.equal(made.take(slot), other.take(slot))


def test_runs_one_after_another_are_one_run(head: TokenHead) -> None:
    """The same rows further on, some of them in another order and other rules in between: each has its own rules."""
    made, other = prepared(head)
    logits, same = begin(made, head, len(RULES)), begin(other, head, len(RULES))
    options = [SamplingOptions(**{"alternatives": 0, **rules}) for rules in RULES]
    found: list[list[int]] = [[1, 2, 1, slot] for slot in range(len(RULES))]
    for turn in range(5):
        order = list(range(len(RULES)))[turn % 3 :]
        if turn == 3:
            order.reverse()
            options[2] = options[2].model_copy(update={"temperature": 0.2})
        rows = [RunRow(slot, options[slot], 90 + slot, len(found[slot]), found[slot]) for slot in order]
        ran = made.run(7, rows, logits[order], [3, 5], [])
        for place, (slot, row) in enumerate(zip(order, rows, strict=True)):
            choices, after = stepped(other, row, same[slot], 7, [3, 5])
            found[slot] = [*found[slot], *(choice.id for choice in choices)]
            assert [one[place] for one in ran.ids] == found[slot][-7:]
            assert [unpacked(one[place] or b"")[0] for one in ran.reported] == [
                [candidate.id for candidate in choice.candidates] for choice in choices
            ]
            logits[slot], same[slot] = ran.logits[place].numpy(), after


@given(data=st.data())
@settings(deadline=None, max_examples=80)
def test_every_rule_on_any_logits_draws_what_seqdemo_draws(data: st.DataObject) -> None:
    """One token from made-up logits with ties and minus infinities, by any combination of rules."""
    made, size = _rig()
    options = SamplingOptions(
        temperature=data.draw(st.sampled_from([0.0, 0.3, 1.0, 20.0])),
        top_k=data.draw(st.integers(0, size + 2)),
        top_p=data.draw(st.sampled_from([0.05, 0.37, 0.9, 1.0])),
        min_p=data.draw(st.sampled_from([0.0, 0.013, 0.5])),
        repetition_penalty=data.draw(st.sampled_from([1.0, 0.6, 1.9])),
        repetition_window=data.draw(st.integers(0, 6)),
        alternatives=data.draw(st.integers(0, 8)),
    )
    values = data.draw(st.lists(st.sampled_from([-np.inf, -3.1, 0.0, -0.0, 0.7, 2.3]), min_size=size, max_size=size))
    noise = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=size) * data.draw(st.sampled_from([0, 1]))
    logits = (np.array(values) + noise).astype(np.float32)
    recent = data.draw(st.lists(st.integers(0, size - 1), max_size=9))
    forbidden = data.draw(st.lists(st.integers(0, size - 1), max_size=4, unique=True))
    row = RunRow(0, options, data.draw(st.integers(0, 2**63 - 1)), data.draw(st.integers(0, 10**9)), recent)
    ran = made.run(1, [row], logits[None], forbidden, [])
    possible = np.delete(logits, forbidden)
    if not len(possible) or possible.max() == -np.inf:
        assert len(ran.ids) == 0
        return
    wanted = choose(logits, options, uniform(row.seed, row.position), recent, forbidden)
    assert np.asarray(ran.ids).tolist() == [[wanted.id]]
    assert ran.logprobs[0][0] == pytest.approx(wanted.logprob, abs=1e-5)
    assert unpacked(ran.reported[0][0] or b"")[0] == [one.id for one in wanted.candidates]


WIDE = "".join(map(chr, range(33, 400)))
"""A text with so many characters that a nucleus may hold more tokens than are put in order."""


@pytest.mark.parametrize("level", levels())
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_nucleus_of_any_width_is_what_seqdemo_keeps(level: str, data: st.DataObject) -> None:
    """Beside 64, 128 and all tokens, many of them equal, and on every level: the same tokens are drawn."""
    made, size = _rig(level, WIDE)
    options = SamplingOptions(
        temperature=data.draw(st.sampled_from([0.4, 1.0, 20.0])),
        top_k=data.draw(st.sampled_from([0, 40, 63, 64, 65, 100, 127, 128, 129, 300])),
        top_p=data.draw(st.sampled_from([0.1, 0.5, 0.9, 0.99, 0.9999])),
        alternatives=0,
    )
    noise = np.random.default_rng(data.draw(st.integers(0, 999))).normal(size=size)
    logits = np.round(noise * data.draw(st.sampled_from([0.0, 0.3, 3.0])), data.draw(st.sampled_from([0, 1, 6])))
    for position in range(8):
        row = RunRow(0, options, 7, position, [])
        wanted = choose(logits.astype(np.float32), options, uniform(7, position), [], [])
        assert made.run(1, [row], logits[None].astype(np.float32), [], []).ids == [[wanted.id]]


_made: dict[tuple[str, str], tuple[NativeStepper, int, TokenHead]] = {}


def _rig(level: str = "", text: str = "a small text") -> tuple[NativeStepper, int]:
    """One stepper for all examples."""
    if (level, text) not in _made:
        from seqdemo.pipeline import pipeline

        pipe = pipeline(model="lstm", tokenizer="char", texts=[text], device="cpu", model_config={"hidden_size": 8})
        assert isinstance(pipe.head, TokenHead)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SEQDEMO_NATIVE_LEVEL", level)
            made = NativePrepared(pipe.head, CPU, "int8").stepper(pipe.head, 1)
        made.put(0, pipe.head.initial_state(1), {})
        _made[level, text] = made, pipe.head.output_tokenizer.vocab_size, pipe.head
    return _made[level, text][:2]


def test_a_run_ends_for_all_rows_with_the_first_end(make_head: Make) -> None:
    """The token that ends a text was read; every row read as many."""
    head = make_head()
    made, other = prepared(head)
    logits = begin(made, head, 3)
    begin(other, head, 3)
    rows = [RunRow(slot, SamplingOptions(temperature=1.0, alternatives=0), slot, 0, []) for slot in range(3)]
    whole = [[choice.id for choice in stepped(other, row, logits[row.slot], 60, [])[0]] for row in rows]
    end = whole[1][17]
    first = min(ids.index(end) for ids in whole if end in ids)
    ran = made.run(60, rows, logits, [], [end])
    assert np.asarray(ran.ids).tolist() == [list(one) for one in zip(*(ids[: first + 1] for ids in whole), strict=True)]


def test_nothing_is_drawn_from_what_is_no_distribution(make_head: Make) -> None:
    """Logits that are no numbers, or none that may be chosen, end a run before its first token; nothing is read."""
    head = make_head()
    made, _ = prepared(head)
    logits = begin(made, head, 1)
    before = made.take(0)
    row = RunRow(0, SamplingOptions(alternatives=0), 1, 0, [])
    everything = list(range(logits.shape[1]))
    bad = [logits * np.nan, np.full_like(logits, -np.inf), np.full_like(logits, np.inf)]
    assert [len(made.run(5, [row], one, [], []).ids) for one in bad] == [0, 0, 0]
    assert not len(made.run(5, [row], logits, everything, []).ids)
    assert verbs.equal(made.take(0), before)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_row_goes_back_within_its_last_run(make_head: Make, precision: Any) -> None:
    """Rewound to any token of the run it is, bit for bit, where stepping so far leads; the other row stays."""
    head = make_head("gru")
    made, other = prepared(head, precision)
    rows = [RunRow(slot, SamplingOptions(temperature=1.0, alternatives=0), slot, 0, []) for slot in range(2)]
    for count in (0, 1, 13, 20):
        logits = begin(made, head, 2)
        begin(other, head, 2)
        ran = made.run(20, rows, logits, [], [])
        after = made.take(0)
        made.rewind(1, count)
        for ids in ran.ids[:count]:
            other.step([ids[1]], [1])
        assert verbs.equal(made.take(1), other.take(1))
        assert verbs.equal(made.take(0), after)
        np.testing.assert_array_equal(made.step([2], [1]), other.step([2], [1]))


def test_threads_change_nothing(make_head: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run by one thread, by two and by three, many times over."""
    head = make_head("lstm", model_config={"hidden_size": 200, "num_layers": 2})
    found = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("SEQDEMO_NATIVE_THREADS", threads)
        made, _ = prepared(head)
        logits = begin(made, head, 5)
        rows = [RunRow(slot, SamplingOptions(temperature=1.0, alternatives=0), slot, 0, []) for slot in range(5)]
        ran = made.run(200, rows, logits, [], [])
        found.append((np.asarray(ran.ids).tolist(), np.asarray(ran.logprobs).tolist()))
    assert found[0] == found[1] == found[2]
