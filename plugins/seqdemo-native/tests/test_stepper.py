"""The compiled stepper against the head that it steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from seqdemo_native import weights
from seqdemo_native.config import NativeStepperConfig
from seqdemo_native.library import level, levels
from seqdemo_native.stepper import NativePrepared, NativeStepper

from seqdemo.decoding import GenericStepper, choose, uniform
from seqdemo.errors import ConfigError, PluginError
from seqdemo.plugin import SamplingOptions, TokenHead
from seqdemo.plugin import state as verbs

Make = Callable[..., TokenHead]
CPU = torch.device("cpu")


def stepper(head: TokenHead, precision: Any = "fp32", slots: int = 4) -> NativeStepper:
    return NativePrepared(head, CPU, precision).stepper(head, slots)


def tokens(head: TokenHead, count: int, seed: int = 0) -> list[int]:
    size = head.output_tokenizer.vocab_size
    return torch.randint(size, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def seat(made: Any, head: TokenHead, rows: int = 1) -> list[int]:
    """Slots with different states in them."""
    slots = [made.claim() for _ in range(rows)]
    for slot in slots:
        with torch.no_grad():
            begun = head.next(torch.tensor([tokens(head, 5, slot)]), head.initial_state(1), {})
        made.put(slot, begun.state, {})
    return slots


def logprobs(logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits.double(), -1)


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("table", [True, False])
def test_full_precision_agrees_with_the_reference(
    head: TokenHead, level: str, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teacher-forced log-probabilities to 1e-4 over 2,000 tokens (300 on lesser levels), on every level, with the
    embedding folded into a table and gathered; the state too."""
    monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", level)
    if not table:
        monkeypatch.setattr(weights, "TABLE_BYTES", 0)
    ids = tokens(head, 2000 if level == levels()[0] else 300)
    twin = head.double()
    with torch.no_grad():
        wanted, end = twin.logits(torch.tensor([ids]), twin.initial_state(1), {})
    head = head.float()
    made = stepper(head)
    slot = made.claim()
    made.put(slot, head.initial_state(1), {})
    found = torch.cat([made.step([token], [slot]).clone() for token in ids])
    assert (logprobs(found) - logprobs(wanted[0])).abs().max() < 1e-4
    taken = made.take(slot)
    assert {name: entry.shape for name, entry in taken.items()} == {name: entry.shape for name, entry in end.items()}
    assert max(float((taken[name] - end[name]).abs().max()) for name in end) < 1e-4


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_levels_agree(head: TokenHead, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of 50 tokens: in int8 the same bits on every level, in 32 bits to 1e-4."""
    found = []
    for one in levels():
        monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", one)
        made = stepper(head, precision)
        (slot,) = seat(made, head)
        found.append(torch.cat([made.step([token], [slot]).clone() for token in tokens(head, 50)]))
    for other in found[1:]:
        assert (other - found[0]).abs().max() <= (0.0 if precision == "int8" else 1e-4)


def test_int8_is_as_close_as_the_built_in_steppers(head: TokenHead) -> None:
    """Log-probabilities of 200 tokens are as far from full precision as those of seqdemo's own int8, within a half."""
    from seqdemo.builtin.steppers.recurrent import RecurrentPrepared

    def all_of(made: Any) -> torch.Tensor:
        (slot,) = seat(made, head)
        return logprobs(torch.cat([made.step([token], [slot]).clone() for token in tokens(head, 200)]))

    wanted = all_of(stepper(head))
    own = (all_of(stepper(head, "int8")) - wanted).abs().mean()
    other = (all_of(RecurrentPrepared(head, CPU, "int8").stepper(head, 4)) - wanted).abs().mean()
    assert own < 1.5 * other + 1e-3


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_rows_come_and_go_and_depend_on_no_other(
    head: TokenHead, precision: Any, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever rows share a step, in whatever order and however many threads there are: the bits of a row alone."""
    alone = stepper(head, precision, 8)
    monkeypatch.setenv("SEQDEMO_NATIVE_THREADS", threads)
    together = stepper(head, precision, 8)
    assert together.alike
    slots, own = seat(together, head, 8), seat(alone, head, 8)
    for at, active in enumerate([[0, 1], [0, 1], [1, 0, 3], [3], [7, 0, 1, 2, 3, 5, 4], [2, 3], [6, 5, 4, 3, 2, 1]]):
        ids = tokens(head, len(active), at)
        logits = together.step(ids, [slots[row] for row in active])
        for row, place in enumerate(active):
            assert torch.equal(logits[row], alone.step([ids[row]], [own[place]])[0])
    for slot, place in zip(slots, own, strict=True):
        assert verbs.equal(together.take(slot), alone.take(place))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("count", [0, 1, 16, 17, 64, 150])
def test_a_prompt_is_read_as_by_steps(
    head: TokenHead, precision: Any, threads: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits, or as the head reads where that is quicker. All slots are taken, and notice nothing."""
    monkeypatch.setenv("SEQDEMO_NATIVE_THREADS", threads)
    made, twin, other = (stepper(head, precision) for _ in range(3))
    slots, own = seat(made, head, made.slots), seat(twin, head, made.slots)
    theirs = made.step([3, 4, 5, 6], slots)
    before = theirs.clone()
    twin.step([3, 4, 5, 6], own)
    ids, state = tokens(head, count), other.take(seat(other, head, 1)[0])
    given = torch.tensor([ids], dtype=torch.long)
    with torch.inference_mode():
        logits, after = made.read(head, given, state, {})
        wanted, end, *_ = head.next(given, state, {})
    if count and (count <= 16 or (precision == "int8" and level() != "plain")):
        wanted = [other.step([token], [0]).clone() for token in ids][-1]
        assert torch.equal(logits, wanted)
        assert verbs.equal(after, other.take(0))
    else:
        assert (logits - wanted).abs().max() < 1e-5
        assert verbs.max_difference(after, end) < 1e-5
    assert torch.equal(theirs, before)
    assert torch.equal(made.step([7, 6, 5, 4], slots), twin.step([7, 6, 5, 4], own))
    for slot, place in zip(slots, own, strict=True):
        assert verbs.equal(made.take(slot), twin.take(place))


def test_a_state_goes_on_in_the_generic_stepper_and_back(head: TokenHead) -> None:
    """Taken from one and put into the other, both ways: the same as having been there all along."""
    native, generic, whole = stepper(head), GenericStepper(head, 1, CPU), GenericStepper(head, 1, CPU)
    (a,), (b,), (c,) = (seat(one, head) for one in (native, generic, whole))
    ids = tokens(head, 30)
    with torch.no_grad():
        wanted = torch.cat([whole.step([token], [c]).clone() for token in ids])
        found = [native.step([token], [a]).clone() for token in ids[:10]]
        verbs.check(native.take(a), verbs.layout(head.initial_state(1)))
        generic.put(b, native.take(a), {})
        found += [generic.step([token], [b]).clone() for token in ids[10:20]]
        native.put(a, generic.take(b), {})
        found += [native.step([token], [a]).clone() for token in ids[20:]]
    assert (torch.cat(found) - wanted).abs().max() < 1e-4


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


def test_what_does_not_fit_is_refused_and_changes_nothing(make_head: Make) -> None:
    """Ids, slots and states that do not belong here."""
    head = make_head()
    made = stepper(head)
    slots = seat(made, head, 2)
    before = [made.take(slot) for slot in slots]
    wrong = {name: entry[:, :-1] for name, entry in head.initial_state(1).items()}
    for trouble in (
        lambda: made.step([99_999], slots[:1]),
        lambda: made.step([0, -1], slots),
        lambda: made.put(slots[0], wrong, {}),
        lambda: made.put(9, head.initial_state(1), {}),
        lambda: made.put(made.slots, head.initial_state(1), {}),
        lambda: made.read(head, torch.tensor([[1, 99_999]]), head.initial_state(1), {}),
        lambda: made.take(-1),
        lambda: made.rewind(slots[0], 1),
    ):
        with pytest.raises(PluginError):
            trouble()
    assert all(verbs.equal(made.take(slot), state) for slot, state in zip(slots, before, strict=True))


def test_only_what_it_can_step_is_offered(make_head: Make) -> None:
    """Torch's three layers on the CPU in at most 32 bits; int8 is advised from a million weights on."""

    def offers(head: TokenHead, device: torch.device = CPU) -> tuple[str, ...]:
        return NativeStepperConfig().offers(head, device)

    small = make_head()
    assert offers(small) == ("fp32", "int8")
    assert offers(make_head(model_config={"hidden_size": 600})) == ("int8", "fp32")
    assert offers(small, torch.device("cuda")) == ()
    assert offers(make_head(model="scratch-lstm")) == ()
    assert offers(small.double()) == ()


def test_a_model_that_computes_more_than_its_layers_is_refused(
    make_head: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A residual around the layers shows on the first tokens; so do weights that are no numbers."""
    head = make_head(task_config={"embedding_size": 12}, model_config={"hidden_size": 12})
    io = head.token_io()
    assert io is not None
    assert io.model is not None
    plain = io.model.forward

    def residual(x: torch.Tensor, *rest: Any) -> Any:
        y, state = plain(x, *rest)
        return y + x, state

    with monkeypatch.context() as changed:
        changed.setattr(io.model, "forward", residual)
        with pytest.raises(PluginError, match="does not compute what its layers alone do"):
            NativePrepared(head, CPU, "fp32")
    with torch.no_grad():
        next(head.parameters())[0] = math.nan
    with pytest.raises(PluginError, match="not numbers"):
        NativePrepared(head, CPU, "int8")


def test_levels_and_threads_can_be_forced(make_head: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in use is said; what cannot be is an error that names what can."""
    head = make_head()
    monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", "plain")
    monkeypatch.setenv("SEQDEMO_NATIVE_THREADS", "2")
    assert "plain C++ kernels, 2 threads" in NativePrepared(head, CPU, "int8").description
    monkeypatch.setenv("SEQDEMO_NATIVE_THREADS", "none")
    with pytest.raises(ConfigError, match="from 1 to 64"):
        NativePrepared(head, CPU, "int8")
    monkeypatch.delenv("SEQDEMO_NATIVE_THREADS")
    monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", "sse9")
    with pytest.raises(ConfigError, match="plain"):
        NativePrepared(head, CPU, "int8")


def test_states_keep_the_dtype_of_the_weights(make_head: Make) -> None:
    """A pipeline in bfloat16 is stepped in 32 bits and gets its states back in its own type."""
    head = make_head().to(torch.bfloat16)
    made = stepper(head, "int8")
    slot = made.claim()
    made.put(slot, head.initial_state(1), {})
    made.step([1], [slot])
    verbs.check(made.take(slot), verbs.layout(head.initial_state(1)))


@pytest.mark.parametrize("name", ["shakespeare", "stories"])
def test_int8_costs_a_shipped_checkpoint_at_most_half_a_percent(name: str) -> None:
    """Perplexity on 200 tokens that the checkpoint wrote itself, int8 beside full precision."""
    import seqdemo

    head = seqdemo.load(name, device="cpu").head
    assert isinstance(head, TokenHead)
    exact, rounded = stepper(head), stepper(head, "int8")
    for made in (exact, rounded):
        made.put(made.claim(), head.initial_state(1), {})
    ids, loss = [head.prompt({"text": ""})[-1]], {"fp32": 0.0, "int8": 0.0}
    options = SamplingOptions(temperature=1.0, alternatives=0)
    for position in range(200):
        logits = {"fp32": exact.step(ids[-1:], [0])[0], "int8": rounded.step(ids[-1:], [0])[0]}
        ids.append(choose(logits["fp32"].numpy(), options, uniform(1, position)).id)
        for precision, one in logits.items():
            loss[precision] -= float(logprobs(one)[ids[-1]])
    assert math.exp((loss["int8"] - loss["fp32"]) / 200) < 1.005
