"""The classification head against plain torch, text by text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from seqdemo.builtin.classification import head as module
from seqdemo.builtin.classification.config import ClassificationConfig, ClassificationOptions
from seqdemo.builtin.classification.head import ClassificationHead
from seqdemo.errors import ConfigError, DataError, TokenizerError
from seqdemo.plugin import Classification
from seqdemo.plugin import state as verbs
from seqdemo.plugin.config import build

Make = Callable[..., ClassificationHead]
POOLS = ["last", "max", "mean", "attention", "attention+max"]
PLAIN = ClassificationOptions()


def by_hand(head: ClassificationHead, text: str) -> torch.Tensor:
    """The logits of one text: torch's own LSTM over the embedding, pooled by plain code, through the linear layer."""
    ids = torch.tensor(head.tokenizer.encode(text), dtype=torch.long)
    both = not head.encoder.causal
    layer = torch.nn.LSTM(4, 5, 2, batch_first=True, bidirectional=both).double()
    own = list(head.encoder.parameters())
    with torch.no_grad():
        for mine, theirs in zip(own, layer.parameters(), strict=True):
            theirs.copy_(mine)
    width = 10 if both else 5
    y = layer(head.embedding(ids)[None])[0][0] if len(ids) else torch.zeros(0, width, dtype=torch.float64)
    vectors = []
    for name in head.config.pooling.split("+"):
        if len(ids) == 0:
            vectors.append(torch.zeros(width * 2 if name == "last" and both else width, dtype=torch.float64))
        elif name == "last":
            vectors.append(torch.cat([y[-1], y[0]]) if both else y[-1])
        elif name == "attention":
            part: Any = head.pooling.parts["attention"]
            vectors.append(torch.softmax(part.score(torch.tanh(part.hidden(y))), 0).T[0] @ y)
        else:
            vectors.append(y.max(0).values if name == "max" else y.mean(0))
    logits: torch.Tensor = head.output(torch.cat(vectors))
    return logits


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLS)
def test_a_ragged_batch_is_its_texts_one_by_one(
    make_head: Make, texts: list[str], pooling: str, bidirectional: bool
) -> None:
    """Loss and predictions of texts of any lengths, an empty one among them, are those of plain torch on each."""
    head = make_head(bidirectional=bidirectional, pooling=pooling)
    labels = ["bad", "good", "odd", "good", "bad"]
    batch = head.collate([head.encode({"text": t, "label": label}) for t, label in zip(texts, labels, strict=True)])
    logits = torch.stack([by_hand(head, text) for text in texts])
    out = head.loss(batch)
    torch.testing.assert_close(out.logits, logits)
    torch.testing.assert_close(out.sum, F.cross_entropy(logits, torch.tensor([0, 1, 2, 1, 0]), reduction="sum"))
    assert out.count.item() == 5
    results = head.predict([{"text": text} for text in texts], PLAIN)
    for result, row, text in zip(results, torch.softmax(logits, 1), texts, strict=True):
        assert isinstance(result, Classification)
        assert result.text == text
        assert [result.scores[name] for name in head.labels] == pytest.approx(row.tolist())
        assert str(result) == result.label == next(iter(result.scores)) == head.labels[int(row.argmax())]
        assert list(result.scores.values()) == sorted(result.scores.values(), reverse=True)


@pytest.mark.parametrize("model", ["rnn", "gru", "scratch-lstm"])
def test_any_registered_model(make_head: Make, texts: list[str], model: str) -> None:
    """Other models give in a batch what they give alone, either way round."""
    for bidirectional in (False, True):
        head = make_head(model, bidirectional, num_layers=1)
        together = head.predict([{"text": text} for text in texts], PLAIN)
        alone = [head.predict([{"text": text}], PLAIN)[0] for text in texts]
        for a, b in zip(together, alone, strict=True):
            assert isinstance(a, Classification)
            assert isinstance(b, Classification)
            assert a.scores == pytest.approx(b.scores)


def test_smoothing_and_class_weights_train_only(make_head: Make, texts: list[str]) -> None:
    """While training the loss is torch's weighted and smoothed one; the validation loss is the plain one."""
    weights = (0.5, 2.0, 1.5)
    head = make_head(label_smoothing=0.2, class_weights=weights)
    batch = head.collate([head.encode({"text": text, "label": "good"}) for text in texts])
    logits = torch.stack([by_hand(head, text) for text in texts])
    truth = torch.ones(len(texts), dtype=torch.long)
    torch.testing.assert_close(head.loss(batch).sum, F.cross_entropy(logits, truth, reduction="sum"))
    head.train()
    weighted = torch.tensor(weights, dtype=torch.float64)
    logprobs = torch.log_softmax(logits, 1)
    smoothed = 0.8 * logprobs[:, 1] * 2.0 + 0.2 / 3 * (logprobs * weighted).sum(1)
    torch.testing.assert_close(head.loss(batch).sum, -smoothed.sum())


def test_dropouts_are_for_training(make_head: Make) -> None:
    """In evaluation nothing is dropped; while training whole tokens are blanked, and the pooled vector loses values."""
    head = make_head(token_dropout=0.5, output_dropout=0.5)
    ids = torch.ones(1, 400, dtype=torch.long)
    assert torch.equal(head.vectors(ids), head.embedding(ids))
    state = head.initial_state(1)
    state = head.read(head.vectors(ids), state, torch.tensor([400]))
    assert torch.equal(head.logits(state), head.logits(state))
    head.train()
    blank = (head.vectors(ids)[0] == 0).double().mean(1)
    assert set(blank.tolist()) == {0.0, 1.0}
    assert 120 < blank.sum() < 280
    assert not torch.equal(head.logits(state), head.logits(state))


@pytest.mark.parametrize("pooling", POOLS)
def test_a_long_text_is_read_in_pieces(make_head: Make, monkeypatch: pytest.MonkeyPatch, pooling: str) -> None:
    """A causal model gives the same however small the pieces are, also beside short texts, in a state of one size."""
    text = "the plot goes nowhere and the actors look lost in it, truly a fine film. " * 3
    head = make_head(pooling=pooling)
    size = verbs.nbytes(head.initial_state(1))
    for piece in (1, 7, 64):
        monkeypatch.setattr(module, "PIECE", piece)
        found = head.predict([{"text": "dull"}, {"text": text}], PLAIN)
        for result, one in zip(found, ["dull", text], strict=True):
            assert isinstance(result, Classification)
            wanted = torch.softmax(by_hand(head, one), 0)
            assert [result.scores[name] for name in head.labels] == pytest.approx(wanted.tolist())
        states = list(head.reading([head.tokenizer.encode(text)]))
        assert {verbs.nbytes(state) for state in states} == {size}
    assert len(states) > 1


def test_a_model_that_reads_both_ways_takes_long_texts_in_stretches(
    make_head: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the longest stretch, the outputs of stretches read afresh are pooled together."""
    head = make_head(bidirectional=True, pooling="max")
    ids = head.tokenizer.encode("the plot goes nowhere and the actors look lost in it")
    monkeypatch.setattr(module, "STRETCH", 4)
    *_, state = head.reading([ids])
    parts = [head.encoder(head.embedding(torch.tensor([ids[at : at + 4]])))[0] for at in range(0, len(ids), 4)]
    torch.testing.assert_close(head.logits(state)[0], head.output(torch.cat(parts, 1).amax(1)[0]))


def test_predicting_gives_way(make_head: Make, texts: list[str]) -> None:
    """Between results there are pauses, at least one for each piece read; results keep the order of the inputs."""
    head = make_head()
    rows = [{"text": text} for text in reversed(texts)]
    steps = list(head.predicting(rows, PLAIN))
    assert [str(step.text) for step in steps if isinstance(step, Classification)] == [row["text"] for row in rows]
    assert steps.count(None) > len(rows)


def test_the_ends_of_a_text_too_long_for_training_are_kept(make_head: Make) -> None:
    """``longest`` cuts the middle out while training, and nothing otherwise."""
    head = make_head(longest=5)
    item = head.encode({"text": "the plot goes nowhere and the actors look lost in it", "label": "bad"})
    assert head.size(item) == 5
    assert head.collate([item])["ids"][0].tolist() == item[0]
    head.train()
    assert head.collate([item])["ids"][0].tolist() == [*item[0][:3], *item[0][-2:]]


def test_labels_of_any_kind(make_head: Make) -> None:
    """Whole numbers and words with white space around them are labels; nothing and fractions are refused."""
    head = make_head(labels=["0", "1"])
    assert head.encode({"text": "dull", "label": 1})[1] == head.encode({"text": "dull", "label": " 1 "})[1] == 1
    for bad in (None, "", "  ", 0.5, ["0"]):
        with pytest.raises(DataError, match="A label is a word or a whole number"):
            head.encode({"text": "dull", "label": bad})
    with pytest.raises(DataError, match=r"'2' is not one that this head tells apart; they are: 0, 1\."):
        head.encode({"text": "dull", "label": "2"})
    with pytest.raises(DataError, match="column 'text'"):
        head.predict([{"text": 3}], PLAIN)


def test_unknown_characters(make_head: Make) -> None:
    """With an unknown token a text in another script has a result; without one, the error names the character."""
    head = make_head(tokenizer="char", tokenizer_config={"unknown": "unk"})
    (result,) = head.predict([{"text": "我爱你"}], ClassificationOptions(explain="running"))
    assert isinstance(result, Classification)
    assert result.tokens == ("<unk>",) * 3
    with pytest.raises(TokenizerError, match="我"):
        make_head(tokenizer="char").predict([{"text": "我爱你"}], PLAIN)


def test_shares_of_labels(make_head: Make, texts: list[str]) -> None:
    """A row may say how likely each label is: cross-entropy is against that, and the likeliest counts as its label."""
    head = make_head()
    rows: list[Any] = [{"good": 0.75, "bad": 0.25}, "odd", {"odd": 1}, {"bad": 0.2, "odd": 0.5, "good": 0.3}, "bad"]
    batch = head.collate([head.encode({"text": t, "label": row}) for t, row in zip(texts, rows, strict=True)])
    assert batch["labels"].tolist() == [1, 2, 2, 2, 0]
    logprobs = torch.stack([torch.log_softmax(by_hand(head, text), 0) for text in texts])
    wanted = torch.tensor([[0.25, 0.75, 0], [0, 0, 1], [0, 0, 1], [0.2, 0.3, 0.5], [1, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(head.loss(batch).sum, -(wanted * logprobs).sum(), rtol=1e-6, atol=1e-6)
    for bad in ({}, {"good": 0.5}, {"good": 1.5, "bad": -0.5}, {"good": "1"}):
        with pytest.raises(DataError, match="must be numbers that add up to 1"):
            head.encode({"text": "dull", "label": bad})
    with pytest.raises(DataError, match="'fine' is not one that this head tells apart"):
        head.encode({"text": "dull", "label": {"good": 0.5, "fine": 0.5}})


def test_labels_come_from_the_training_rows() -> None:
    """Different labels, numbers by size and words by the alphabet; given ones stay; balanced weights average to 1."""
    config = ClassificationConfig()
    assert config.completed([{"label": "no"}, {"label": "yes"}, {"label": "no"}]).labels == ("no", "yes")
    assert config.completed([{"label": n} for n in (10, 9, 2, 10)]).labels == ("2", "9", "10")
    given = ClassificationConfig(labels=("yes", "no"))
    assert given.completed([{"label": "other"}]) == given
    rows = [{"label": label} for label in ["a"] * 6 + ["b"] * 3 + ["c"]]
    weights = ClassificationConfig(balance=True).completed(rows).class_weights
    assert weights == pytest.approx((10 / 18, 10 / 9, 10 / 3))
    assert (6 * weights[0] + 3 * weights[1] + weights[2]) / 10 == pytest.approx(1)
    graded = [{"label": {"a": 0.6, "b": 0.3, "c": 0.1}}] * 10
    assert ClassificationConfig(balance=True).completed(graded).class_weights == pytest.approx(weights)
    assert ClassificationConfig(balance=True, labels=("c", "b", "a")).completed(rows).class_weights == weights[::-1]


@pytest.mark.parametrize(
    ("rows", "config", "said"),
    [
        ([{"label": "a"}], {}, "only the label 'a'"),
        ([], {}, "holds no labels"),
        ([{"label": str(n)} for n in range(1001)], {}, "1,001 different labels.*--column label=NAME"),
        ([{"label": "a"}, {"label": "b"}], {"labels": ("a", "z"), "balance": True}, "no row with the label 'z'"),
        ([{"label": "a"}, {"label": None}], {}, "A label is a word"),
    ],
)
def test_labels_that_cannot_be_used(rows: list[dict[str, Any]], config: dict[str, Any], said: str) -> None:
    """One line says what is wrong with the labels of the data."""
    with pytest.raises(DataError, match=said):
        ClassificationConfig(**config).completed(rows)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pooling": "max+max"}, "names one way twice"),
        ({"pooling": "median"}, "pooling = 'median' is not accepted"),
        ({"labels": ["a"]}, "at least two"),
        ({"labels": ["a", "a"]}, "at least two"),
        ({"labels": ["a", "b "]}, "white space"),
        ({"labels": ["a", "b"], "class_weights": [1.0]}, "1 class_weights for 2 labels"),
    ],
)
def test_configs_that_do_not_go_together(values: dict[str, Any], said: str) -> None:
    """One line says which values contradict each other."""
    with pytest.raises(ConfigError, match=said):
        build(ClassificationConfig, values, "task 'sentiment'")


def test_a_head_needs_labels(make_head: Make) -> None:
    """Without training data there are no labels, and the error says what to do."""
    with pytest.raises(ConfigError, match="labels = "):
        make_head(labels=[])
