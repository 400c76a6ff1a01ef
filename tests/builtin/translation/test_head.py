"""The translation head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seqdemo.builtin.translation.head import TranslationHead, _spelled
from seqdemo.decoding import Request, engine, search
from seqdemo.errors import ConfigError, DataError
from seqdemo.parts import assemble, spec, train_tokenizer
from seqdemo.plugin import BeamOptions, Translation
from seqdemo.plugin import state as verbs

Make = Callable[..., TranslationHead]
Rows = list[dict[str, str]]

KINDS: list[dict[str, Any]] = [
    {},
    {"attention": "additive", "shared_vocabulary": False},
    {"input_feeding": True},
    {"model": "scratch-gru", "encoder_layers": 1, "attention": "additive"},
]


@pytest.mark.parametrize("kind", KINDS)
def test_reading_at_once_is_reading_step_by_step(make: Make, rows: Rows, kind: dict[str, Any]) -> None:
    """Logits, state and attention after each target token, known as a whole or one by one."""
    head = make(**kind)
    context, state = head.start(rows)
    ids = torch.randint(3, 200, (len(rows), 7))
    want, end = head.logits(ids, state, context)
    weights = head.attend(ids, state, context)
    for t in range(7):
        out = head.next(ids[:, t : t + 1], state, context, trace=True)
        state = out.state
        assert torch.allclose(out.logits, want[:, t], atol=1e-5)
        assert torch.allclose(out.trace["attention"][:, 0], weights[:, t], atol=1e-9)
    assert verbs.max_difference(state, end) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_rows(make: Make, rows: Rows, kind: dict[str, Any]) -> None:
    """The loss of rows of different lengths is the sum of each one's, and padding may hold any ids."""
    head = make(**kind)
    items = [head.encode(row) for row in rows]
    together = head.loss(head.collate(items))
    alone = [head.loss(head.collate([item])) for item in items]
    assert together.count == sum(one.count for one in alone) == sum(len(target) for _, target in items)
    assert torch.allclose(together.sum, torch.stack([one.sum for one in alone]).sum(), atol=1e-4)
    batch = head.collate(items)
    beyond = torch.arange(batch["source"].shape[1]) >= batch["lengths"].unsqueeze(1)
    batch["source"] = batch["source"].masked_fill(beyond, 77)
    batch["inputs"] = torch.where(batch["targets"] == -100, 78, batch["inputs"])
    assert torch.allclose(head.loss(batch).sum, together.sum, atol=1e-4)


def test_a_context_is_that_of_its_row_alone(make: Make, rows: Rows) -> None:
    """Memory and keys of a short source beside long ones are those it has alone; the memory beyond is zero."""
    head = make()
    context, _ = head.start(rows)
    for place, row in enumerate(rows):
        own, _ = head.start([row])
        count = int(own["lengths"])
        assert torch.allclose(context["memory"][place, :count], own["memory"][0], atol=1e-9)
        assert not context["memory"][place, count:].any()


def test_the_encoder_is_torchs_bidirectional_layer(make: Make, rows: Rows) -> None:
    """One layer of LSTMs both ways gives what ``nn.LSTM(bidirectional=True)`` gives on packed rows."""
    head = make(encoder_layers=1)
    ahead, back = head.encoder.layers[0].ahead.layers, head.encoder.layers[0].back.layers
    peer = torch.nn.LSTM(10, 5, batch_first=True, bidirectional=True).double()
    for name, weight in ahead.named_parameters():
        getattr(peer, name).data = weight
        getattr(peer, f"{name}_reverse").data = getattr(back, name)
    batch = head.collate([head.encode(row) for row in rows])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        head.embedding(batch["source"]), batch["lengths"], batch_first=True, enforce_sorted=False
    )
    want, _ = torch.nn.utils.rnn.pad_packed_sequence(peer(packed)[0], batch_first=True)
    assert torch.allclose(head.start(rows)[0]["memory"], want, atol=1e-9)


def test_attention_is_its_equation(make: Make) -> None:
    """Both kinds beside loops over single positions."""
    for kind in ("dot", "additive"):
        attention = make(attention=kind).attention
        memory, queries = torch.randn(1, 4, 10).double(), torch.randn(1, 2, 6).double()
        mean, weights = attention(queries, memory, attention.keys(memory), torch.tensor([3]))
        for t in range(2):
            scores = []
            for s in range(3):
                q, k = attention.query.weight @ queries[0, t], attention.key.weight @ memory[0, s]
                if kind == "dot":
                    scores.append((q @ k / 7**0.5).item())
                else:
                    scores.append((attention.weigh.weight[0] @ torch.tanh(q + k)).item())
            want = torch.tensor(scores).double().softmax(0)
            assert torch.allclose(weights[0, t, :3], want)
            assert weights[0, t, 3] == 0
            assert torch.allclose(mean[0, t], want @ memory[0, :3])


def test_smoothing_is_for_training_only(make: Make, rows: Rows) -> None:
    """In training the loss is (1 - e) times the cross-entropy plus e times the mean over all tokens."""
    head = make(label_smoothing=0.2, dropout=0.0)
    batch = head.collate([head.encode(rows[0])])
    plain = head.loss(batch).sum
    smooth = head.train().loss(batch).sum
    context, state = head.start([rows[0]])
    spread = -head.logits(batch["inputs"], state, context)[0].log_softmax(2).mean(2).sum()
    assert smooth.item() == pytest.approx((0.8 * plain + 0.2 * spread).item(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_streams_side_by_side_are_searches_alone(make: Make, rows: Rows, kind: dict[str, Any]) -> None:
    """Greedy streams that share steps, contexts of different lengths joined, write what each writes alone."""
    head = make(**kind)
    options = head.config.options(max_tokens=15)
    streams = [engine("cpu").submit(Request(head, head.prompt(row), options, row)) for row in rows]
    for row, stream in zip(rows, streams, strict=True):
        (alone,) = search(head, [row], options, torch.device("cpu"))
        decoded = stream.decoded()
        streamed, searched = head.result(decoded), head.result(alone)
        assert isinstance(streamed, Translation)
        assert streamed.text == searched.text
        assert streamed.source == row["source"]
        assert streamed.score == pytest.approx(searched.alternatives[0].logprob, abs=1e-4)
        assert torch.allclose(torch.tensor(streamed.alignment), torch.tensor(searched.alignment), atol=1e-6)
        assert len(searched.alignment) == len(searched.target_tokens)
        assert {len(line) for line in searched.alignment} == {len(searched.source_tokens)}


def test_a_translation_says_what_it_is_made_of(make: Make, rows: Rows) -> None:
    """Tokens spell the texts, rows of the alignment sum to at most 1, alternatives are ranked from the text on."""
    head = make()
    options = head.config.options(beam_size=4, n_best=4, max_tokens=9)
    for row, decoded in zip(rows, search(head, rows, options, torch.device("cpu")), strict=True):
        found = head.result(decoded)
        assert "".join(found.source_tokens) == row["source"]
        assert "".join(found.target_tokens) == found.text
        assert str(found) == found.text == found.alternatives[0].text
        assert found.score == found.alternatives[0].score
        order = [(one.complete, one.score) for one in found.alternatives]
        assert order == sorted(order, reverse=True)
        assert len({one.text for one in found.alternatives}) == len(found.alternatives)
        assert all(0 < sum(line) <= 1 + 1e-9 for line in found.alignment)


def test_an_empty_source_is_an_empty_translation(make: Make) -> None:
    """Blank texts among others are not read at all; the others are."""
    head = make()
    given = [{"source": text} for text in ("", "ja", " \n")]
    found = search(head, given, head.config.options(max_tokens=5), torch.device("cpu"))
    assert [one.text == "" for one in found] == [True, False, True]
    empty = head.result(found[0])
    assert (empty.text, empty.score, empty.alignment, empty.alternatives) == ("", 0.0, (), ())


def test_the_limit_follows_the_source(make: Make) -> None:
    """So many tokens for each of the source's, and ten more, but never more than max_tokens."""
    head = make()
    options = head.config.options(max_ratio=2.0, max_tokens=30)
    assert head.max_tokens({"source": "abc"}, options) == 16
    assert head.max_tokens({"source": "a" * 50}, options) == 30
    assert head.max_tokens({"source": "abc"}, BeamOptions(max_tokens=30)) == 13


def test_a_source_that_is_too_long_says_so(make: Make) -> None:
    """A text of 100,000 characters, and what to do about it."""
    head = make(max_source_tokens=600)
    with pytest.raises(DataError, match=r"100,000 tokens long, and this model reads 600 at most\. Split it"):
        search(head, [{"source": "x" * 100_000}], head.config.options(), torch.device("cpu"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"target": "b"}, "column 'source'"),
        ({"source": "a", "target": None}, "column 'target'"),
        ({"source": "a", "target": " "}, "target is empty"),
        ({"source": "", "target": "b"}, "source is empty"),
    ],
)
def test_rows_that_cannot_be_learned_from(make: Make, row: dict[str, Any], said: str) -> None:
    """Each in one line."""
    with pytest.raises(DataError, match=said):
        make().encode(row)


def test_what_the_head_cannot_be_made_of() -> None:
    """A tokenizer without an end, and a decoder that reads the future."""
    task = spec("tasks", "translation", {"embedding_size": 4})
    models = {role: spec("models", "lstm", {"hidden_size": 4}) for role in ("encoder", "decoder", "refiner")}
    endless = {"text": train_tokenizer(spec("tokenizers", "bytes"), ["a"])}
    with pytest.raises(ConfigError, match="end_token = true"):
        assemble(task, models, endless)
    both = spec("models", "lstm", {"hidden_size": 4, "bidirectional": True})
    ending = {"text": train_tokenizer(spec("tokenizers", "bytes", {"end_token": True}), ["a"])}
    with pytest.raises(ConfigError, match="refiner writes from left to right"):
        assemble(task, {**models, "refiner": both}, ending)
    made = assemble(task, {**models, "encoder": both}, ending).head
    assert isinstance(made, TranslationHead)
    assert made.encoder.output_size == 8


def test_one_vocabulary_or_two(make: Make) -> None:
    """Shared, there is one tokenizer and one embedding, which also weighs the outputs; else the source has its own."""
    shared, apart = make(), make(shared_vocabulary=False)
    assert list(shared.tokenizers) == ["text"]
    assert shared.source_embedding is None
    assert list(apart.tokenizers) == ["source", "target"]
    assert apart.source_embedding is not None


@pytest.mark.parametrize(
    ("pieces", "share"),
    [
        (("", "你", "好吗", "？"), 0.0),
        (("", "", "Г", "", "д", "", "е", "?"), 0.75),
        (("I ", "like ", "", "", "♞", "."), 1 / 9),
        ((), 0.0),
    ],
)
def test_characters_without_a_token_are_counted(pieces: tuple[str, ...], share: float) -> None:
    """Those that several tokens stand for; not what follows a space that is taken away at the beginning."""
    assert _spelled(pieces) == pytest.approx(share)


def test_a_model_of_bytes_spells_everything_and_says_nothing(make: Make) -> None:
    """Where every character is read byte by byte, none is unknown."""
    head = make()
    (found,) = search(head, [{"source": "Гдe"}], BeamOptions(max_tokens=3), torch.device("cpu"))
    assert head.result(found).unknown == 0.0
