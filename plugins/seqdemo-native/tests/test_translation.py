"""The compiled translator against the head whose work it does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqdemo_native import translation
from seqdemo_native.config import NativeTranslationConfig
from seqdemo_native.library import levels
from seqdemo_native.translation import NativeTranslation

import seqdemo
from seqdemo.builtin.translation.config import TranslationOptions
from seqdemo.builtin.translation.head import TranslationHead
from seqdemo.decoding import stepping
from seqdemo.decoding.beam import search
from seqdemo.decoding.likeliest import likeliest
from seqdemo.errors import PluginError
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import Context, Decoded, State
from seqdemo.plugin import state as verbs

CPU = torch.device("cpu")
ROWS = [{"source": text} for text in ("ein Hund", "zwei kleine Katzen", "ja", "drei Männer gehen", "", "x" * 40)]

VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "lstm-two-layers": {"model_config": {"hidden_size": 70, "num_layers": 2, "bias": False}},
    "additive-two-vocabularies": {"task_config": {"attention": "additive", "shared_vocabulary": False}},
    "gru": {"model": "gru", "task_config": {"encoder_layers": 3}},
    "rnn-relu": {"model": "rnn", "model_config": {"hidden_size": 12, "nonlinearity": "relu"}},
}


def made(precision: str = "auto", **variant: Any) -> Pipeline:
    """A small translator whose distributions are not flat."""
    values: dict[str, Any] = {"tokenizer_config": {"end_token": True}, "model_config": {"hidden_size": 12}, **variant}
    values["task_config"] = {"embedding_size": 10, "attention_size": 37, **values.get("task_config", {})}
    pipe = seqdemo.pipeline("translation", device="cpu", precision=precision, **values)
    with torch.no_grad():
        for parameter in pipe.head.parameters():
            parameter.mul_(2.0)
    return pipe


def headed(**variant: Any) -> TranslationHead:
    head = made(**variant).head
    assert isinstance(head, TranslationHead)
    return head


@pytest.fixture(params=sorted(VARIANTS))
def head(request: pytest.FixtureRequest) -> TranslationHead:
    """Each kind of head."""
    return headed(**VARIANTS[request.param])


def tokens(count: int) -> torch.Tensor:
    return torch.randint(3, 200, (len(ROWS), count), generator=torch.Generator().manual_seed(0))


def away(found: State, wanted: State) -> float:
    """How far entries are apart, whose shapes are the same."""
    assert {name: entry.shape for name, entry in found.items()} == {name: one.shape for name, one in wanted.items()}
    return max(float((found[name] - wanted[name]).abs().max()) for name in wanted)


def written(prepared: NativeTranslation, head: TranslationHead, ids: torch.Tensor) -> tuple[Context, list[Any]]:
    """The context of ``ROWS``, and what each step after it gave."""
    context, state = prepared.start(head, ROWS)
    steps = []
    for t in range(ids.shape[1]):
        steps.append(prepared.advance(head, ids[:, t : t + 1], state, context))
        state = steps[-1].state
    return context, steps


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("table", [True, False])
@torch.inference_mode()
def test_full_precision_agrees_with_the_head(
    head: TranslationHead, level: str, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64: memory and keys of sources of different lengths; then logits, attention and state over 40 tokens."""
    monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", level)
    if not table:
        monkeypatch.setattr(translation, "TABLE_BYTES", 0)
    ids = tokens(40)
    context, steps = written(NativeTranslation(head, CPU, "fp32"), head, ids)
    twin = head.double()
    wanted, state = twin.start(ROWS)
    assert away(context, wanted) < 1e-5
    for t, found in enumerate(steps):
        want = twin.next(ids[:, t : t + 1], state, wanted)
        assert (found.logits.double().log_softmax(1) - want.logits.double().log_softmax(1)).abs().max() < 1e-4
        assert (found.attention - want.attention).abs().max() < 1e-5
        state = want.state
        assert away(found.state, state) < 1e-4


@torch.inference_mode()
def test_levels_and_threads_give_the_same_bits(head: TranslationHead, monkeypatch: pytest.MonkeyPatch) -> None:
    """In int8, of sources and of 20 steps; with three threads where one would do."""
    ids, found = tokens(20), []
    for level, threads in [*((one, "1") for one in levels()), (levels()[0], "3")]:
        monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", level)
        monkeypatch.setenv("SEQDEMO_NATIVE_THREADS", threads)
        found.append(written(NativeTranslation(head, CPU, "int8"), head, ids))
    first, steps = found[0]
    for context, others in found[1:]:
        assert verbs.equal(context, first)
        for one, other in zip(steps, others, strict=True):
            assert torch.equal(one.logits, other.logits)
            assert torch.equal(one.attention, other.attention)
            assert verbs.equal(one.state, other.state)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@torch.inference_mode()
def test_a_row_depends_on_no_neighbour(head: TranslationHead, precision: Any) -> None:
    """What is read of a source, and a step with its own context, are the same bits alone and beside others."""
    prepared = NativeTranslation(head, CPU, precision)
    context, _ = prepared.start(head, ROWS)
    for row, one in enumerate(ROWS):
        alone, state = prepared.start(head, [one])
        length = int(alone["lengths"])
        for name in ("memory", "keys"):
            assert torch.equal(context[name][row, :length], alone[name][0])
            assert not context[name][row, length:].any()
        several = [verbs.select(each, [0, 0, 0]) for each in (state, alone)]
        single = prepared.advance(head, torch.tensor([[5]]), state, alone)
        together = prepared.advance(head, torch.tensor([[9], [5], [7]]), *several)
        assert torch.equal(together.logits[1], single.logits[0])


@torch.inference_mode()
def test_rows_of_one_input_share_its_context(head: TranslationHead) -> None:
    """Any number of rows for each input, none for some: the bits of rows that each have a copy of it."""
    prepared = NativeTranslation(head, CPU, "int8")
    context, state = prepared.start(head, ROWS)
    owners = torch.tensor([0, 0, 0, 2, 3, 3])
    ids, own = torch.tensor([[5], [9], [7], [5], [40], [5]]), verbs.select(state, owners)
    shared = prepared.advance_sharing(head, ids, own, context, owners)
    copied = prepared.advance(head, ids, own, verbs.select(context, owners))
    assert torch.equal(shared.logits, copied.logits)
    assert verbs.equal(shared.state, copied.state)


@torch.inference_mode()
def test_int8_is_as_close_as_the_built_in_stepper(head: TranslationHead) -> None:
    """Log-probabilities of 20 tokens are as far from the head's as those of seqdemo's own int8, within a half."""
    from seqdemo.builtin.steppers.attending import AttendingPrepared

    ids = tokens(20)

    def drift(prepared: Any) -> float:
        (context, state), (own, mine) = head.start(ROWS), prepared.start(head, ROWS)
        total = 0.0
        for t in range(20):
            read = ids[:, t : t + 1]
            want, found = head.next(read, state, context), prepared.advance(head, read, mine, own)
            total += float((found.logits.log_softmax(1) - want.logits.log_softmax(1)).abs().mean())
            state, mine = want.state, found.state
        return total / 20

    assert 0 < drift(NativeTranslation(head, CPU, "int8")) < 1.5 * drift(AttendingPrepared(head, CPU, "int8")) + 1e-3


@pytest.mark.parametrize("beam", [1, 4])
def test_a_search_finds_what_the_built_in_stepper_finds(beam: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, scores and attention in full precision, of inputs that end at different times; and installed is enough."""
    head = made("fp32").head
    assert isinstance(head, TranslationHead)
    rows = [{"source": f"{one['source']}, {other['source']}"} for one in ROWS for other in ROWS]
    options = TranslationOptions(beam_size=beam, n_best=beam, max_tokens=60)

    def searched() -> list[Decoded]:
        return search(head, rows, options, CPU)

    assert stepping(head, CPU).name == "native-translation"
    found = searched()
    monkeypatch.setattr(NativeTranslationConfig, "offers", lambda *_: ())
    head.precision = "auto"
    assert stepping(head, CPU).name == "attending"
    pairs = list(zip(found, searched(), strict=True))
    # Two continuations may be so close that rounding decides between them.
    same = [(a, b) for a, b in pairs if [one.ids for one in a.hypotheses] == [one.ids for one in b.hypotheses]]
    assert len(same) > 0.9 * len(pairs)
    for one, other in same:
        scores = [each.score for each in other.hypotheses]
        assert [each.score for each in one.hypotheses] == pytest.approx(scores, abs=1e-4)
        assert one.attention is not None
        assert other.attention is not None
        assert (one.attention - other.attention).abs().max() < 1e-4
    assert len({one.done.usage.tokens for one in found}) > 3


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_list_is_its_texts_and_a_stream_is_a_beam_of_one(precision: str) -> None:
    """Token for token."""
    pipe, texts = made(precision), [row["source"] for row in ROWS]
    together = pipe.predict(texts, max_tokens=12)
    for text, one in zip(texts, together, strict=True):
        assert str(pipe(text, max_tokens=12)) == str(one)
        if text:
            assert str(pipe.stream(text, max_tokens=12).decoded().text) == str(one)
    wide = pipe.predict(texts, max_tokens=12, beam_size=3)
    assert [pipe(text, max_tokens=12, beam_size=3).text for text in texts] == [one.text for one in wide]


@pytest.fixture(scope="module")
def prepared() -> NativeTranslation:
    """Of 257 tokens."""
    return NativeTranslation(headed(), CPU, "fp32")


@given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 5), count=st.integers(1, 20),
    spread=st.sampled_from([0.0, 1, 9]), forbidden=st.sets(st.integers(0, 256), max_size=250),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_the_likeliest_tokens_are_those_of_a_sorted_softmax(
    prepared: NativeTranslation, seed: int, rows: int, count: int, spread: float, forbidden: set[int]
) -> None:
    """In float64; with more asked for than are allowed, and with many that are equal, of which the first counts."""
    logits = (torch.randn(rows, 257, generator=torch.Generator().manual_seed(seed)) * spread).round(decimals=1)
    logprobs, ids = prepared.likeliest(logits, count, sorted(forbidden))
    wanted = logits.double().log_softmax(1)
    wanted[:, sorted(forbidden)] = -torch.inf
    values, places = wanted.sort(dim=1, descending=True, stable=True)
    real = values[:, :count] > -torch.inf
    assert torch.equal(logprobs > -torch.inf, real)
    assert torch.equal(ids[real], places[:, :count][real])
    torch.testing.assert_close(logprobs[real], values[:, :count][real], atol=1e-5, rtol=0.0)
    steps, _ = likeliest(logits, count, sorted(forbidden))
    torch.testing.assert_close(logprobs, steps, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("damage", [float("nan"), -float("nan"), float("inf")])
def test_rows_that_are_no_distribution_are_told_by_nan(prepared: NativeTranslation, damage: float) -> None:
    """The others are as they were."""
    logits = torch.randn(4, 257)
    logits[1, 200] = damage
    logits[2] = -torch.inf
    logprobs, _ = prepared.likeliest(logits, 3, [])
    assert logprobs.isnan().any(1).tolist() == [False, True, True, False]


def test_a_damaged_state_is_an_error_and_not_a_text() -> None:
    """NaN goes through integers too."""
    head = headed()
    prepared = NativeTranslation(head, CPU, "int8")
    context, state = prepared.start(head, ROWS)
    broken: State = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    assert prepared.advance(head, torch.full((len(ROWS), 1), 5), broken, context).logits.isnan().all()


class Changed(TranslationHead):
    """Steps in another way."""

    def next(self, *given: Any, **named: Any) -> Any:
        out = super().next(*given, **named)
        return out._replace(logits=out.logits.flip(1))


def test_it_serves_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not bfloat16, input feeding, the lowest level, or a head that computes more than its layers."""
    config, head = NativeTranslationConfig(), headed()
    assert set(config.offers(head, CPU)) == {"fp32", "int8"}
    assert not config.offers(head, torch.device("cuda"))
    assert not config.offers(headed(task_config={"input_feeding": True}), CPU)
    monkeypatch.setenv("SEQDEMO_NATIVE_LEVEL", "plain")
    assert not config.offers(head, CPU)
    head.__class__ = Changed
    with pytest.raises(PluginError, match="does not compute what its layers alone do"):
        NativeTranslation(head, CPU, "fp32")
    broken = headed()
    with torch.no_grad():
        broken.combine.weight[0, 0] = torch.nan
    with pytest.raises(PluginError, match="not numbers"):
        NativeTranslation(broken, CPU, "fp32")


def test_what_does_not_fit_is_refused() -> None:
    """Ids beyond the vocabulary, rows of sources that are not there, states of another size."""
    head = headed()
    prepared = NativeTranslation(head, CPU, "fp32")
    context, state = prepared.start(head, ROWS)
    ids = torch.full((len(ROWS), 1), 5)
    with pytest.raises(PluginError, match="Token ids"):
        prepared.advance(head, ids + 1000, state, context)
    with pytest.raises(PluginError, match="not there"):
        prepared.advance_sharing(head, ids, state, context, torch.arange(len(ROWS)) + 1)
    with pytest.raises(PluginError, match="do not fit"):
        prepared.advance(head, ids, {name: entry[:, :5] for name, entry in state.items()}, context)
    with pytest.raises(PluginError, match="tokens were asked for"):
        prepared.likeliest(torch.zeros(1, 257), 258, [])
