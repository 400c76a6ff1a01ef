"""Steps on memory that stays where it is, against the head; on the CPU a recorder stands in for CUDA graphs."""

from __future__ import annotations

import copy
import gc
import itertools
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seqdemo.builtin.steppers import graphs
from seqdemo.builtin.steppers.capture import Work
from seqdemo.builtin.steppers.config import GraphStepperConfig
from seqdemo.builtin.steppers.graphs import GraphPrepared, GraphStepper, width_of
from seqdemo.decoding import GenericStepper, check_precision, stepping
from seqdemo.errors import ConfigError, PluginError
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import State, TokenHead
from seqdemo.plugin import state as verbs

from .conftest import lively, logprobs, tokens

Make = Callable[..., Pipeline]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")

VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm", "model_config": {"hidden_size": 20, "num_layers": 2}},
    "lstm-tied": {"model": "lstm", "task_config": {"tie_weights": True, "embedding_size": 9}},
    "gru-one-hot": {"model": "gru", "task_config": {"input": "one-hot"}},
    "rnn": {"model": "rnn", "model_config": {"hidden_size": 19, "num_layers": 2}},
    "scratch-lstm": {"model": "scratch-lstm", "model_config": {"hidden_size": 11}},
}

cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Does to work what a CUDA graph does: it is called once, and from then on the same operations are done on the
    same memory, whatever Python would decide now."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.captured = 0
        self._operations: list[Any] = []

    def __call__(self, work: Work) -> Work:
        self.captured += 1
        operations = self._operations = list[Any]()
        with self:
            work()

        def replay() -> None:
            with torch.inference_mode():
                for function, arguments, options, kept in operations:
                    for old, new in zip(kept, tree_leaves(function(*arguments, **options)), strict=True):
                        if old.data_ptr() != new.data_ptr():
                            old.copy_(new)

        return replay

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        found = function(*arguments, **(options or {}))
        self._operations.append((function, arguments, options or {}, tree_leaves(found)))
        return found


@pytest.fixture(params=sorted(VARIANTS))
def head(request: pytest.FixtureRequest, make_pipeline: Make) -> TokenHead:
    """Each kind of head."""
    return lively(make_pipeline(**VARIANTS[request.param]).head)


@pytest.fixture
def one(make_pipeline: Make) -> TokenHead:
    """An LSTM."""
    made = make_pipeline().head
    assert isinstance(made, TokenHead)
    return made


def stepper(head: TokenHead, precision: Any = "fp32", slots: int = 6, capture: Any = Recorder) -> GraphStepper:
    return GraphPrepared(head, CPU, precision, capture).stepper(head, slots)


def state_of(head: TokenHead, seed: int) -> State:
    """The state after five tokens."""
    with torch.no_grad():
        return head.next(torch.tensor([tokens(head, 5, seed)]), head.initial_state(1), {}).state


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_schedule_gives_what_the_head_gives(head: TokenHead, data: st.DataObject) -> None:
    """Rows join, leave and step in any company and order, and each reads as the head reads it, logits and states."""
    both: list[Any] = [stepper(head, slots=5), GenericStepper(head, 5, CPU)]
    size, seated, seeds = head.output_tokenizer.vocab_size, list[int](), itertools.count()
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()) and seated:
            gone = seated.pop(data.draw(st.integers(0, len(seated) - 1)))
            for made in both:
                made.free(gone)
        while not seated or (len(seated) < 5 and data.draw(st.booleans())):
            state, slots = state_of(head, next(seeds)), [made.claim() for made in both]
            before = verbs.clone(state)
            for made in both:
                made.put(slots[0], state, {})
            assert verbs.equal(state, before)
            seated.append(slots[0])
        active = data.draw(st.lists(st.sampled_from(seated), min_size=1, unique=True))
        ids = data.draw(st.lists(st.integers(0, size - 1), min_size=len(active), max_size=len(active)))
        with torch.inference_mode(data.draw(st.booleans())):
            found = both[0].step(ids, active)
        with torch.inference_mode():
            wanted = both[1].step(ids, active)
        assert found.shape == (len(active), size)
        assert found.dtype == torch.float32
        assert (logprobs(found) - logprobs(wanted)).abs().max() < 1e-5
        for slot in seated:
            assert verbs.max_difference(*(made.take(slot) for made in both)) < 1e-5


def test_widths_are_powers_of_two_and_all_slots() -> None:
    """A step is never narrower than its rows, never twice as wide, and never wider than there are slots."""
    assert [width_of(count, 24) for count in (1, 2, 3, 4, 5, 8, 9, 16, 17, 24)] == [1, 2, 4, 4, 8, 8, 16, 16, 24, 24]
    assert {width_of(count, 80) for count in range(1, 81)} == {1, 2, 4, 8, 16, 32, 64, 80}


def test_each_width_is_captured_once_and_memory_stays(one: TokenHead) -> None:
    """Steps of widths seen before capture nothing; logits and states lie where they lay."""
    capture = Recorder()
    prepared = GraphPrepared(one, CPU, "fp32", Recorder)
    places = graphs._Places(prepared._weights, 6, capture)
    arena = {name: (entry.data_ptr(), tuple(entry.shape)) for name, entry in places.arena.items()}
    assert {name: shape for name, (_, shape) in arena.items()} == {
        name: (7, *row.shape[1:]) for name, row in one.initial_state(1).items()
    }
    seen = set()
    for count in (1, 2, 1, 3, 4, 3, 6, 5, 6):
        logits = places.step([0] * count, list(range(count)))
        assert tuple(logits.shape) == (count, one.output_tokenizer.vocab_size)
        seen.add(logits.data_ptr())
    assert capture.captured == 4
    assert len(seen) == 1
    assert arena == {name: (entry.data_ptr(), tuple(entry.shape)) for name, entry in places.arena.items()}
    assert {width: tuple(made.shape) for width, (made, _) in places._ready.items()} == {
        width: (2, width) for width in (1, 2, 4, 6)
    }


def test_graphs_wait_for_the_next_stepper(one: TokenHead) -> None:
    """A stepper that ends leaves its memory to the next of that size, never to one beside it; both end with what was
    prepared."""
    prepared = GraphPrepared(one, CPU, "fp32", Recorder)
    first, beside = prepared.stepper(one, 3), prepared.stepper(one, 3)
    places = weakref.ref(first._places)
    assert first._places is not beside._places
    del first
    gc.collect()
    again, other = prepared.stepper(one, 3), prepared.stepper(one, 4)
    assert again._places is places()
    assert other._places is not places()
    assert again.idle
    del prepared, beside, again
    gc.collect()
    assert places() is None


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", 0.2)])
def test_a_piece_of_a_prompt_is_read_as_the_head_reads_it(
    head: TokenHead, precision: Any, bound: float, count: int
) -> None:
    """Log-probabilities and state of the whole sequence, in the head's own types; what was given is unchanged."""
    begun, ids = state_of(head, 1), torch.tensor([tokens(head, count)], dtype=torch.long)
    before = verbs.clone(begun)
    with torch.no_grad():
        wanted = head.next(ids, begun, {})
    logits, after = stepper(head, precision).read(head, ids, begun, {})
    assert logits.dtype == torch.float32
    assert (logprobs(logits) - logprobs(wanted.logits)).abs().max() < bound
    verbs.check(after, verbs.layout(wanted.state))
    assert verbs.max_difference(after, wanted.state) < bound
    assert verbs.equal(begun, before)


def test_bfloat16_follows_the_reference(head: TokenHead) -> None:
    """Over 100 tokens the mean log-probability is off by less than a hundredth, and states keep the head's types."""
    made, ids = stepper(head, "bf16"), tokens(head, 100)
    with torch.no_grad():
        wanted, end = head.logits(torch.tensor([ids]), head.initial_state(1), {})
    made.put(0, head.initial_state(1), {})
    found = torch.cat([made.step([token], [0]).clone() for token in ids])
    targets = torch.tensor(ids[1:]).unsqueeze(1)
    off = (logprobs(found[:-1]) - logprobs(wanted[0, :-1])).gather(1, targets).mean()
    assert off.abs() < 0.01
    verbs.check(made.take(0), verbs.layout(end))


def test_what_is_taken_is_a_copy(one: TokenHead) -> None:
    """Memory that the caller gets is its own and ordinary, also inside the engine's inference mode."""
    made = stepper(one)
    with torch.inference_mode():
        slot = made.claim()
        made.put(slot, one.initial_state(1), {})
        made.step([1], [slot])
        taken = made.take(slot)
    for tensor in taken.values():
        assert not tensor.is_inference()
        tensor.zero_()
    assert not verbs.equal(made.take(slot), taken)


@pytest.mark.parametrize("token", [-1, 99_999])
def test_a_token_that_does_not_exist_is_refused(one: TokenHead, token: int) -> None:
    """Before anything is computed: every slot is as it was."""
    made = stepper(one)
    made.put(0, state_of(one, 1), {})
    before = made.take(0)
    with pytest.raises(PluginError, match=r"not all in 0 … "):
        made.step([token], [0])
    assert verbs.equal(made.take(0), before)


def raising(work: Work) -> Work:
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def idling(work: Work) -> Work:
    work()
    return lambda: None


@pytest.mark.parametrize(
    ("capture", "said"),
    [
        (None, "steps not captured (cpu has no CUDA graphs); "),
        (raising, "steps not captured (capturing failed: operation not permitted when stream is capturing); "),
        (idling, "steps not captured (captured steps are off by "),
        (Recorder(), "steps captured in CUDA graphs; "),
    ],
)
def test_why_steps_are_not_captured_is_said(one: TokenHead, capture: Any, said: str) -> None:
    """No CUDA, a capture that raises, one that computes nothing: the steps are the plain ones, and right."""
    prepared = GraphPrepared(one, CPU, "fp32", None if capture is None else lambda: capture)
    assert prepared.description.startswith(said)
    found = []
    for made in (prepared.stepper(one, 1), GenericStepper(one, 1, CPU)):
        made.put(0, one.initial_state(1), {})
        found.append(made.step([1], [0]))
    torch.testing.assert_close(*found)


def test_only_what_it_can_step_is_offered(make_pipeline: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA whatever stands between an embedding and an output; integers are refused by name."""

    def offers(head: Any, device: torch.device = CUDA) -> tuple[str, ...]:
        return GraphStepperConfig().offers(head, device)

    head: Any = make_pipeline().head
    assert offers(head) == ("fp32", "bf16")
    assert offers(head, CPU) == ()
    assert offers(make_pipeline(model="scratch-gru").head) == ("fp32", "bf16")
    for precision in ("fp32", "bf16", "auto"):
        check_precision(head, CUDA, precision)
    with pytest.raises(ConfigError, match=r"'int8' is not to be had for this pipeline on cuda: .*auto, fp32, bf16\."):
        check_precision(head, CUDA, "int8")
    assert offers(head.to(torch.bfloat16)) == ("bf16", "fp32")
    assert offers(head.to(torch.float16)) == ()
    monkeypatch.setattr(head, "token_io", lambda: None)
    assert offers(head) == ()


# --- on CUDA -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", sorted(VARIANTS), indirect=True)
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", 0.3)])
class TestOnCuda:
    """The same with real graphs, against the head in float64 on the CPU."""

    pytestmark = cuda

    def test_two_hundred_steps_agree_with_the_reference(self, head: TokenHead, precision: Any, bound: float) -> None:
        """Teacher-forced log-probabilities and states of three rows that come and go, after a prompt read whole."""
        twin: Any = copy.deepcopy(head).double()
        head.to(CUDA)
        prepared = GraphPrepared(head, CUDA, precision)
        assert prepared.description.startswith("steps captured in CUDA graphs")
        made, rows = prepared.stepper(head, 4), range(3)
        ids = torch.tensor([tokens(head, 220, row) for row in rows])
        with torch.no_grad():
            wanted, end = twin.logits(ids, twin.initial_state(3), {})
        slots = [made.claim() for _ in rows]
        found: list[list[torch.Tensor]] = [[] for _ in rows]
        for row, slot in enumerate(slots):
            _, state = made.read(head, ids[row : row + 1, :20].to(CUDA), head.initial_state(1), {})
            made.put(slot, state, {})
        at = [20] * 3
        for turn in range(3 * 200):
            active = [row for row in rows if at[row] < 220 and (turn + row) % (row + 2)]
            if not active:
                continue
            logits = made.step([int(ids[row, at[row]]) for row in active], [slots[row] for row in active])
            for row, one in zip(active, logits.clone().cpu(), strict=True):
                found[row].append(one)
                at[row] += 1
        assert at == [220] * 3
        for row, slot in enumerate(slots):
            off = (logprobs(torch.stack(found[row])) - logprobs(wanted[row, 20:])).abs().max()
            assert off < bound
            for name, entry in made.take(slot).items():
                assert (entry.device.type, entry.dtype) == ("cuda", torch.float32)
                assert (entry.cpu().double() - end[name][row : row + 1]).abs().max() < bound

    def test_the_pipeline_takes_it(self, head: TokenHead, precision: Any, bound: float) -> None:
        """What serves a pipeline on CUDA says that its steps are captured."""
        head.to(CUDA).precision = precision
        found = stepping(head, torch.device("cuda", 0))
        assert (found.name, found.precision) == ("graphs", precision)
        assert "captured in CUDA graphs" in found.description


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_weights_lie_side_by_side_for_cudnn(make_pipeline: Make, name: str) -> None:
    """Moved to the GPU and copied for a stepper, a layer is read without being gathered first."""
    head: Any = make_pipeline(model=name, device="cuda").head
    made = GraphPrepared(head, CUDA, "fp32").stepper(head, 1)
    ids, state = torch.tensor([[1, 2, 3]], device="cuda"), head.initial_state(1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        made.read(head, ids, state, {})
        head.next(ids, state, {})
