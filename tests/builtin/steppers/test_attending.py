"""The stepper of translators against the head whose work it does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import seqdemo
from seqdemo.builtin.steppers import attending
from seqdemo.builtin.steppers.attending import AttendingPrepared
from seqdemo.builtin.steppers.config import AttendingStepperConfig
from seqdemo.builtin.translation.config import TranslationOptions
from seqdemo.builtin.translation.head import TranslationHead
from seqdemo.decoding.beam import search
from seqdemo.decoding.prepare import sharing
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import Decoded, State
from seqdemo.plugin import state as verbs

from .conftest import lively

CPU = torch.device("cpu")
ROWS = [{"source": text} for text in ("ein Hund", "zwei kleine Katzen", "ja", "drei Männer gehen")]
TEXTS = [row["source"] for row in ROWS]

VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "lstm-two-layers": {"model_config": {"hidden_size": 11, "num_layers": 2, "bias": False}},
    "additive-two-vocabularies": {"task_config": {"attention": "additive", "shared_vocabulary": False}},
    "gru": {"model": "gru"},
    "rnn-relu": {"model": "rnn", "model_config": {"hidden_size": 12, "nonlinearity": "relu"}},
}


def made(precision: str = "auto", **variant: Any) -> Pipeline:
    """A small translator whose distributions are not flat."""
    values: dict[str, Any] = {"tokenizer_config": {"end_token": True}, "model_config": {"hidden_size": 12}, **variant}
    values["task_config"] = {"embedding_size": 10, "attention_size": 7, **values.get("task_config", {})}
    pipe = seqdemo.pipeline("translation", device="cpu", precision=precision, **values)
    lively(pipe.head)
    return pipe


@pytest.fixture(params=sorted(VARIANTS))
def head(request: pytest.FixtureRequest) -> TranslationHead:
    """Each kind of head."""
    found = made(**VARIANTS[request.param]).head
    assert isinstance(found, TranslationHead)
    return found


@pytest.mark.parametrize("table", [True, False])
@torch.inference_mode()
def test_full_precision_agrees_with_the_head(
    head: TranslationHead, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory and keys of sources of different lengths; then logits, attention and state over 40 tokens."""
    if not table:
        monkeypatch.setattr(attending, "TABLE_BYTES", 0)
    prepared = AttendingPrepared(head, CPU, "fp32")
    wanted, state = head.start(ROWS)
    context, own = prepared.start(head, ROWS)
    assert verbs.max_difference(context, wanted) < 1e-5
    assert verbs.equal(own, state)
    ids = torch.randint(3, 200, (len(ROWS), 40), generator=torch.Generator().manual_seed(0))
    for t in range(40):
        token = ids[:, t : t + 1]
        want, found = head.next(token, state, wanted), prepared.advance(head, token, own, context)
        assert (found.logits.log_softmax(1) - want.logits.log_softmax(1)).abs().max() < 1e-4
        assert found.attention is not None
        assert want.attention is not None
        assert (found.attention - want.attention).abs().max() < 1e-5
        state, own = want.state, found.state
    assert verbs.max_difference(own, state) < 1e-4


@torch.inference_mode()
def test_integers_depend_on_no_neighbour(head: TranslationHead) -> None:
    """What is read of a source, and a step with its own context, are the same bits alone and beside others."""
    prepared = AttendingPrepared(head, CPU, "int8")
    context, _ = prepared.start(head, ROWS)
    for row, one in enumerate(ROWS):
        alone, state = prepared.start(head, [one])
        length = int(alone["lengths"])
        for name in ("memory", "keys"):
            assert torch.equal(context[name][row, :length], alone[name][0])
        assert not context["memory"][row, length:].any()
        several = [verbs.select(each, [0, 0, 0]) for each in (state, alone)]
        single = prepared.advance(head, torch.tensor([[5]]), state, alone)
        together = prepared.advance(head, torch.tensor([[9], [5], [7]]), *several)
        assert torch.equal(together.logits[1], single.logits[0])


@torch.inference_mode()
def test_rows_of_one_input_share_its_context(head: TranslationHead) -> None:
    """Any number of rows for each input, none for some: as if each had a copy of it."""
    prepared = AttendingPrepared(head, CPU, "fp32")
    context, state = prepared.start(head, ROWS)
    owners = torch.tensor([0, 0, 0, 2, 3, 3])
    ids, own = torch.tensor([[5], [9], [7], [5], [40], [5]]), verbs.select(state, owners)
    shared = prepared.advance_sharing(head, ids, own, context, owners)
    copied = prepared.advance(head, ids, own, verbs.select(context, owners))
    assert (shared.logits - copied.logits).abs().max() < 1e-4
    assert shared.attention is not None
    assert copied.attention is not None
    assert (shared.attention - copied.attention).abs().max() < 1e-5
    assert verbs.max_difference(shared.state, copied.state) < 1e-5


def test_a_search_that_shares_contexts_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts, scores and attention, of inputs that end at different times."""
    head = made("fp32").head
    assert isinstance(head, TranslationHead)
    rows = [{"source": text} for text in (*TEXTS, *(f"{one}, {other}" for one in TEXTS for other in TEXTS))]
    options = TranslationOptions(beam_size=4, n_best=4, max_tokens=60)

    def searched() -> list[Decoded]:
        return search(head, rows, options, CPU)

    assert sharing(head, CPU) is not None
    shared = searched()
    monkeypatch.setattr("seqdemo.decoding.beam.sharing", lambda *_: None)
    for one, other in zip(shared, searched(), strict=True):
        assert [each.ids for each in one.hypotheses] == [each.ids for each in other.hypotheses]
        scores = [each.score for each in other.hypotheses]
        assert [each.score for each in one.hypotheses] == pytest.approx(scores, abs=1e-4)
        assert one.attention is not None
        assert other.attention is not None
        assert (one.attention - other.attention).abs().max() < 1e-4
    assert len({one.done.usage.tokens for one in shared}) > 3


def drift(head: TranslationHead, precision: Any) -> float:
    """Mean difference of log-probabilities from the head's, over 20 tokens."""
    prepared = AttendingPrepared(head, CPU, precision)
    (context, state), (own, mine) = head.start(ROWS), prepared.start(head, ROWS)
    total = 0.0
    for token in range(40, 60):
        ids = torch.full((len(ROWS), 1), token)
        want, found = head.next(ids, state, context), prepared.advance(head, ids, mine, own)
        total += float((found.logits.log_softmax(1) - want.logits.log_softmax(1)).abs().mean())
        state, mine = want.state, found.state
    return total / 20


@torch.inference_mode()
def test_low_precision_stays_close(head: TranslationHead) -> None:
    """Rounding is seen, and stays small beside the spread of the log-probabilities."""
    context, state = head.start(ROWS)
    spread = float(head.next(torch.full((len(ROWS), 1), 40), state, context).logits.std())
    for precision in ("bf16", "int8"):
        assert 0 < drift(head, precision) < 0.05 * spread


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_list_is_its_texts_and_a_stream_is_a_beam_of_one(precision: str) -> None:
    """Token for token, in the precision asked for, which is named."""
    pipe = made(precision)
    assert (pipe.stepper.name, pipe.stepper.precision) == ("attending", precision)
    together = pipe.predict(TEXTS, max_tokens=12)
    for text, one in zip(TEXTS, together, strict=True):
        assert str(pipe(text, max_tokens=12)) == str(pipe.stream(text, max_tokens=12).decoded().text) == str(one)
    wide = pipe.predict(TEXTS, max_tokens=12, beam_size=3)
    for text, one in zip(TEXTS, wide, strict=True):
        assert pipe(text, max_tokens=12, beam_size=3).text == one.text


def test_attention_is_kept_while_tokens_are_chosen() -> None:
    """A searched translation and a streamed one, which is read once more, are aligned alike; each row with its end."""
    pipe = made("fp32")
    searched = pipe(TEXTS[1], max_tokens=12)
    streamed = pipe.head.result(pipe.stream(TEXTS[1], max_tokens=12).decoded())  # type: ignore[operator]
    assert searched.target_tokens == streamed.target_tokens
    assert torch.allclose(torch.tensor(searched.alignment), torch.tensor(streamed.alignment), atol=1e-5)


def test_a_damaged_state_is_an_error_and_not_a_text() -> None:
    """NaN goes through integers too."""
    head = made().head
    assert isinstance(head, TranslationHead)
    prepared = AttendingPrepared(head, CPU, "int8")
    context, state = prepared.start(head, ROWS)
    broken: State = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    assert prepared.advance(head, torch.full((4, 1), 5), broken, context).logits.isnan().all()


class Changed(TranslationHead):
    """May step in another way."""


def test_it_serves_what_it_knows() -> None:
    """Not input feeding, models of other kinds, other devices, wider numbers, or heads derived from its own."""
    config = AttendingStepperConfig()
    head = made().head
    assert isinstance(head, TranslationHead)
    assert config.offers(head, CPU)[0] == "fp32"
    assert not config.offers(head, torch.device("cuda"))
    assert not config.offers(head.double(), CPU)
    for variant in ({"task_config": {"input_feeding": True}}, {"model": "scratch-gru"}):
        other = made(**variant).head
        assert isinstance(other, TranslationHead)
        assert not config.offers(other, CPU)
    head = head.float()
    head.__class__ = Changed
    assert not config.offers(head, CPU)


def test_integers_are_advised_for_large_models() -> None:
    """Above a million weights a token."""
    head = made(model_config={"hidden_size": 256}, task_config={"embedding_size": 128}).head
    assert isinstance(head, TranslationHead)
    assert AttendingStepperConfig().offers(head, CPU)[0] == "int8"
