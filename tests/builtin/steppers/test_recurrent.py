"""The stepper of torch's layers against the head that it steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from seqdemo.builtin.steppers import recurrent
from seqdemo.builtin.steppers.config import RecurrentStepperConfig
from seqdemo.builtin.steppers.recurrent import RecurrentPrepared, RecurrentStepper
from seqdemo.decoding import GenericStepper, choose, rule, uniform
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import SamplingOptions, TokenHead
from seqdemo.plugin import state as verbs

from .conftest import lively, logprobs, tokens

Make = Callable[..., Pipeline]
CPU = torch.device("cpu")

VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", "model_config": {"hidden_size": 20, "num_layers": 3}},
    "lstm-no-bias": {"model": "lstm", "model_config": {"hidden_size": 20, "bias": False}},
    "lstm-one-hot": {"model": "lstm", "task_config": {"input": "one-hot"}},
    "lstm-tied": {"model": "lstm", "task_config": {"tie_weights": True, "embedding_size": 9}},
    "gru": {"model": "gru", "model_config": {"hidden_size": 21, "num_layers": 2}},
    "gru-no-bias": {"model": "gru", "model_config": {"hidden_size": 21, "bias": False}},
    "rnn": {"model": "rnn", "model_config": {"hidden_size": 19, "num_layers": 2}},
    "rnn-relu": {"model": "rnn", "model_config": {"hidden_size": 19, "nonlinearity": "relu"}},
}


@pytest.fixture(params=sorted(VARIANTS))
def head(request: pytest.FixtureRequest, make_pipeline: Make) -> TokenHead:
    """Each kind of head."""
    return lively(make_pipeline(**VARIANTS[request.param]).head)


def stepper(head: TokenHead, precision: Any = "fp32", slots: int = 4) -> RecurrentStepper:
    return RecurrentPrepared(head, CPU, precision).stepper(head, slots)


def seat(made: Any, head: TokenHead, rows: int = 1) -> list[int]:
    """Slots with different states in them."""
    slots = [made.claim() for _ in range(rows)]
    for slot in slots:
        with torch.no_grad():
            begun = head.next(torch.tensor([tokens(head, 5, slot)]), head.initial_state(1), {})
        made.put(slot, begun.state, {})
    return slots


@pytest.mark.parametrize("table", [True, False])
def test_full_precision_agrees_with_the_reference_over_two_thousand_tokens(
    head: TokenHead, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teacher-forced log-probabilities to 1e-4, with the embedding folded into a table and gathered; the state too."""
    if not table:
        monkeypatch.setattr(recurrent, "TABLE_BYTES", 0)
    ids = tokens(head, 2000)
    with torch.no_grad():
        wanted, end = head.logits(torch.tensor([ids]), head.initial_state(1), {})  # type: ignore[attr-defined]
    made = stepper(head)
    slot = made.claim()
    made.put(slot, head.initial_state(1), {})
    found = torch.cat([made.step([token], [slot]).clone() for token in ids])
    assert found.dtype == torch.float32
    assert (logprobs(found) - logprobs(wanted[0])).abs().max() < 1e-4
    taken = made.take(slot)
    verbs.check(taken, verbs.layout(end))
    assert verbs.max_difference(taken, end) < 1e-4


def test_where_sampled_texts_differ_the_draw_lay_beside_a_boundary(head: TokenHead) -> None:
    """The stepper and the head draw the same 500 tokens, or first differ where the number is within 1e-5 of both."""
    options = SamplingOptions(temperature=1.0, top_p=0.95, alternatives=0)
    both = [stepper(head), GenericStepper(head, 4, CPU)]
    slots = [seat(made, head)[0] for made in both]
    ids = [0, 0]
    for position in range(500):
        with torch.no_grad():
            logits = [made.step([one], [slot])[0].numpy() for made, one, slot in zip(both, ids, slots, strict=True)]
        number = uniform(3, position)
        ids = [choose(one, options, number).id for one in logits]
        if ids[0] != ids[1]:
            edges = np.cumsum(rule(logits[0], options)[1])
            assert np.abs(edges - number).min() < 1e-5
            return


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_rows_come_and_go_between_steps(head: TokenHead, precision: Any) -> None:
    """Whatever rows share a step and in whatever order, each reads as if it were alone; in int8 to the bit."""
    together, alone = stepper(head, precision), stepper(head, precision)
    slots, own = seat(together, head, 4), seat(alone, head, 4)
    for at, active in enumerate([[0, 1], [0, 1], [1, 0, 3], [3], [0, 1, 2, 3], [2, 3]]):
        ids = tokens(head, len(active), at)
        logits = together.step(ids, [slots[row] for row in active])
        for row, place in enumerate(active):
            single = alone.step([ids[row]], [own[place]])[0]
            bound = {"fp32": 1e-5, "bf16": 0.05, "int8": 0.0 if together.alike else 0.05}[precision]
            assert (logits[row] - single).abs().max() <= bound
    assert precision == "int8" or not together.alike
    if together.alike:
        for slot, place in zip(slots, own, strict=True):
            assert verbs.equal(together.take(slot), alone.take(place))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_state_goes_on_in_another_precision(head: TokenHead, precision: Any) -> None:
    """Taken after 200 tokens and put elsewhere it continues: same layout, close to having been there all along."""
    quick, exact = stepper(head, precision), stepper(head)
    (a,), (b,) = seat(quick, head), seat(exact, head)
    for token in tokens(head, 200):
        quick.step([token], [a])
        exact.step([token], [b])
    taken = quick.take(a)
    verbs.check(taken, verbs.layout(head.initial_state(1)))
    exact.put(b, taken, {})
    assert verbs.equal(exact.take(b), taken)
    with torch.no_grad():
        wanted = head.next(torch.tensor([[1]]), taken, {}).logits
    assert (logprobs(exact.step([1], [b])) - logprobs(wanted)).abs().max() < 1e-4


@pytest.mark.parametrize("count", [0, 1, 7, 80])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_piece_of_a_prompt_is_read_as_the_head_reads_it(head: TokenHead, precision: Any, count: int) -> None:
    """Log-probabilities and state of the whole sequence, to what the precision holds; what was given is unchanged."""
    with torch.no_grad():
        begun = head.next(torch.tensor([tokens(head, 5)]), head.initial_state(1), {}).state
        before, ids = verbs.clone(begun), torch.tensor([tokens(head, count)], dtype=torch.long)
        wanted = head.next(ids, begun, {})
    logits, after = stepper(head, precision).read(head, ids, begun, {})
    bound = {"fp32": 1e-4, "bf16": 0.2, "int8": 0.2}[precision]
    assert logits.dtype == torch.float32
    assert (logprobs(logits) - logprobs(wanted.logits)).abs().max() < bound
    verbs.check(after, verbs.layout(wanted.state))
    assert verbs.max_difference(after, wanted.state) < bound
    assert verbs.equal(begun, before)


def test_integers_read_a_prompt_in_any_pieces_as_they_step_it(head: TokenHead) -> None:
    """Where a row is alike beside others, one piece, several and single steps give the same bits."""
    made = stepper(head, "int8")
    if not made.alike:
        pytest.skip("no products of integers here")
    ids = tokens(head, 40)
    (slot,) = seat(made, head)
    begun = made.take(slot)
    whole = made.read(head, torch.tensor([ids]), begun, {})
    logits, state = made.read(head, torch.tensor([ids[:33]]), begun, {})
    logits, state = made.read(head, torch.tensor([ids[33:]]), state, {})
    for token in ids:
        stepped = made.step([token], [slot])
    for found, after in ((logits, state), (stepped, made.take(slot))):
        assert torch.equal(found, whole[0])
        assert verbs.equal(after, whole[1])


def test_a_damaged_state_shows_in_the_logits(head: TokenHead) -> None:
    """NaN in one entry of a state is not lost in integers, stepped or read."""
    made = stepper(head, "int8")
    (slot,) = seat(made, head)
    state = made.take(slot)
    for entry in state.values():
        entry[0, 0] = math.nan
    made.put(slot, state, {})
    assert made.step([1], [slot]).isnan().any()
    assert made.read(head, torch.tensor([[1]]), state, {})[0].isnan().any()


def test_what_is_taken_is_a_copy_and_what_is_put_is_unchanged(head: TokenHead) -> None:
    """Neither side's memory changes the other's, also inside the engine's inference mode."""
    made = stepper(head)
    given = head.initial_state(1)
    before = verbs.clone(given)
    with torch.inference_mode():
        slot = made.claim()
        made.put(slot, given, {})
        made.step([1], [slot])
        taken = made.take(slot)
    assert verbs.equal(given, before)
    for tensor in taken.values():
        assert not tensor.is_inference()
        tensor.zero_()
    assert not verbs.equal(made.take(slot), taken)


def test_a_step_that_raises_changes_nothing(head: TokenHead) -> None:
    """An id beyond the vocabulary is an error, and every slot is where it was."""
    made = stepper(head)
    slots = seat(made, head, 2)
    made.step([0, 1], slots)
    before = [made.take(slot) for slot in slots]
    for ids, active in (([99_999], slots[:1]), ([0, 99_999], slots)):
        with pytest.raises(IndexError):
            made.step(ids, active)
    assert all(verbs.equal(made.take(slot), state) for slot, state in zip(slots, before, strict=True))


def test_states_keep_the_dtype_of_the_weights(make_pipeline: Make) -> None:
    """A pipeline in bfloat16 is stepped in 32 bits and gets its states back in its own type."""
    head = make_pipeline().head
    assert isinstance(head, TokenHead)
    head.to(torch.bfloat16)
    made = stepper(head)
    slot = made.claim()
    made.put(slot, head.initial_state(1), {})
    made.step([1], [slot])
    verbs.check(made.take(slot), verbs.layout(head.initial_state(1)))


def test_one_thread_steps_and_the_others_come_back(make_pipeline: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small product is not divided among threads, and what was set before is set again, after an error too."""
    head = make_pipeline().head
    assert isinstance(head, TokenHead)
    made = stepper(head)
    (slot,) = seat(made, head)
    before, seen = torch.get_num_threads(), []
    plain = RecurrentStepper._step

    def spy(self: RecurrentStepper, ids: Any, active: Any) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return plain(self, ids, active)

    monkeypatch.setattr(RecurrentStepper, "_step", spy)
    try:
        torch.set_num_threads(2)
        made.step([1], [slot])
        with pytest.raises(IndexError):
            made.step([99_999], [slot])
        assert torch.get_num_threads() == 2
        monkeypatch.setattr(recurrent, "_PER_THREAD", made._count // 2)
        made.step([1], [slot])
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1, 2]


def test_any_number_of_threads_gives_the_same_bits(make_pipeline: Make) -> None:
    """In 8 bits time chooses how many work: a text must not depend on it. Forty steps, in which both are tried, and a
    prompt."""
    head = make_pipeline(model_config={"hidden_size": 200, "num_layers": 2}).head
    assert isinstance(head, TokenHead)
    if not stepper(head, "int8").alike:
        pytest.skip("this processor has no products of 8-bit integers")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made = stepper(head, "int8")
            slots, by = seat(made, head, 3), []
            for k in range(40):
                by.append(made._weights.crew.threads(2))
                logits = made.step([k % 5, 1, 2], slots)
            read, state = made.read(head, torch.arange(30)[None] % 7, head.initial_state(1), {})
            found.append([logits.clone(), read, *made.take(slots[0]).values(), *state.values()])
            assert set(by) == set(range(1, threads + 1))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, *found))


def test_only_what_it_can_step_is_offered(make_pipeline: Make) -> None:
    """Torch's three layers on the CPU in at most 32 bits; full precision is advised for small ones only."""

    def offers(head: Any, device: torch.device = CPU) -> tuple[str, ...]:
        return RecurrentStepperConfig().offers(head, device)

    small = make_pipeline().head
    assert offers(small) == ("fp32", "bf16", "int8")
    assert offers(small, torch.device("cuda")) == ()
    assert offers(make_pipeline(model="scratch-lstm").head) == ()
    large = make_pipeline(model="gru", model_config={"hidden_size": 600}).head
    assert set(offers(large)) == {"fp32", "bf16", "int8"}
    assert (offers(large)[0] == "int8") == stepper(large, "int8").alike
    assert offers(small.double()) == ()


@pytest.mark.parametrize("name", ["shakespeare", "stories"])
def test_int8_costs_a_shipped_checkpoint_at_most_half_a_percent(name: str) -> None:
    """Perplexity on 200 tokens that the checkpoint wrote itself, int8 beside full precision."""
    import seqdemo

    pipe = seqdemo.load(name, device="cpu")
    head = pipe.head
    assert isinstance(head, TokenHead)
    drawn = stepper(head)
    slot, ids = drawn.claim(), [head.prompt({"text": ""})[-1]]
    drawn.put(slot, head.initial_state(1), {})
    options = SamplingOptions(temperature=1.0, alternatives=0)
    loss = {"fp32": 0.0, "int8": 0.0}
    rounded = stepper(head, "int8")
    other = rounded.claim()
    rounded.put(other, head.initial_state(1), {})
    for position in range(200):
        logits = {"fp32": drawn.step(ids[-1:], [slot])[0], "int8": rounded.step(ids[-1:], [other])[0]}
        ids.append(choose(logits["fp32"].numpy(), options, uniform(1, position)).id)
        for precision, one in logits.items():
            loss[precision] -= float(logprobs(one)[ids[-1]])
    assert math.exp((loss["int8"] - loss["fp32"]) / 200) < 1.005
