"""The generation head against plain torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from seqdemo.builtin.generation.head import GenerationHead
from seqdemo.errors import ConfigError
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import state as verbs

Make = Callable[..., Pipeline]

VARIANTS = [
    {},
    {"input": "one-hot"},
    {"tie_weights": True},
    {"tie_weights": True, "embedding_size": 12},
]


def head_of(pipe: Pipeline) -> GenerationHead:
    assert isinstance(pipe.head, GenerationHead)
    return pipe.head


@pytest.mark.parametrize("task_config", VARIANTS)
def test_loss_is_cross_entropy(make_pipeline: Make, task_config: dict[str, object]) -> None:
    """The loss is torch's own cross-entropy of embedding, nn.LSTM and linear layer, padding targets left out."""
    pipe = make_pipeline(task_config={"embedding_size": 8, **task_config})
    head = head_of(pipe).double()
    vocab = pipe.tokenizers["text"].vocab_size
    ids = torch.randint(vocab, (3, 11), generator=torch.Generator().manual_seed(0))
    targets = ids[:, 1:].clone()
    targets[0, 4:] = -100
    out = head.loss({"inputs": ids[:, :-1], "targets": targets})
    x = F.one_hot(ids[:, :-1], vocab).double() if head.embedding is None else head.embedding(ids[:, :-1])
    layer = torch.nn.LSTM(x.shape[2], 12, batch_first=True).double()
    own = [p for name, p in head.decoder.named_parameters()]
    assert [p.shape for p in own] == [p.shape for p in layer.parameters()]
    with torch.no_grad():
        for mine, theirs in zip(own, layer.parameters(), strict=True):
            theirs.copy_(mine)
    y, (h, c) = layer(x)
    logits = head.output(y if head.project is None else head.project(y))
    expected = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(out.sum, expected)
    assert out.count == (targets != -100).sum()
    assert out.state is not None
    torch.testing.assert_close(out.state["decoder.layer0.h"], h[0])
    torch.testing.assert_close(out.state["decoder.layer0.c"], c[0])
    torch.testing.assert_close(out.state["head.output"], y[:, -1])


@pytest.mark.parametrize("task_config", VARIANTS)
def test_next_agrees_with_logits(make_pipeline: Make, task_config: dict[str, object]) -> None:
    """Steps, chunks, ragged chunks and a bare state give the same distribution as reading everything at once."""
    pipe = make_pipeline(task_config={"embedding_size": 8, **task_config})
    head = head_of(pipe).double()
    ids = torch.randint(pipe.tokenizers["text"].vocab_size, (2, 9), generator=torch.Generator().manual_seed(1))
    context, start = head.start([{"text": ""}] * 2)
    frozen = verbs.clone(start)
    whole, end = head.logits(ids, start, context)
    state = start
    for t in range(9):
        out = head.next(ids[:, t : t + 1], state, context)
        torch.testing.assert_close(out.logits, whole[:, t], rtol=1e-5, atol=1e-6)
        state = out.state
        bare = head.next(ids[:, :0], state, context)
        torch.testing.assert_close(bare.logits, out.logits)
    assert verbs.max_difference(state, end) < 1e-10
    assert verbs.equal(start, frozen)
    ragged = head.next(ids, start, context, lengths=torch.tensor([4, 0]))
    torch.testing.assert_close(ragged.logits[0], whole[0, 3], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ragged.logits[1], head.next(ids[:, :0], start, context).logits[1])
    assert verbs.max_difference(verbs.select(ragged.state, [1]), verbs.select(start, [1])) == 0
    traced = head.next(ids, start, context, trace=True)
    torch.testing.assert_close(traced.logits, whole[:, -1], rtol=1e-5, atol=1e-6)


def test_token_io_is_what_the_model_reads_and_writes(make_pipeline: Make) -> None:
    """The offered tables reproduce the head's own vectors and logits, and the names are those of its state."""
    for task_config in ({"embedding_size": 8}, {"input": "one-hot"}, {"tie_weights": True, "embedding_size": 8}):
        head = head_of(make_pipeline(task_config=task_config))
        io = head.token_io()
        assert io is not None
        ids = torch.tensor([[1, 2, 3]])
        assert io.model is not None
        y, inner = io.model(io.embedding[ids])
        expected, state = head.logits(ids, head.initial_state(1), {})
        p = y if io.project is None else y @ io.project[0].T + io.project[1]
        torch.testing.assert_close(p @ io.weight.T + io.bias, expected)
        assert io.output is not None
        torch.testing.assert_close(state, verbs.prefixed(inner, io.role) | {io.output: y[:, -1]})


def test_dropout_only_while_training(make_pipeline: Make) -> None:
    """All dropouts are off in evaluation; locked dropout drops the same features at every position."""
    task_config = {"embedding_size": 64, "embedding_dropout": 0.5, "output_dropout": 0.5, "locked_dropout": True}
    head = head_of(make_pipeline(task_config=task_config))
    ids = torch.tensor([[1, 1, 1, 1]])
    torch.testing.assert_close(head._vectors(ids)[0, 0], head._vectors(ids)[0, 3])
    head.train()
    x = head._vectors(ids)
    assert (x == 0).any()
    assert torch.equal(x[0, 0], x[0, 3])


def test_metrics_compare_across_tokenizers(make_pipeline: Make) -> None:
    """Bits per character and byte count characters and bytes, not tokens, and merge over processes."""
    text = "我爱你 ab"
    for tokenizer in ("char", "bytes"):
        pipe = make_pipeline(tokenizer=tokenizer, texts=[text])
        head = head_of(pipe)
        ids = torch.tensor([pipe.tokenizers["text"].encode(text)])
        batch = {"inputs": ids, "targets": ids}
        out = head.loss(batch)
        whole, left, right = head.metrics(), head.metrics(), head.metrics()
        for counter in (whole, whole, left, right):
            counter.update(batch, out)
        left.merge(right.totals)
        assert left.compute() == whole.compute()
        values = whole.compute()
        nats = out.sum.item()
        assert values["bits_per_character"] == pytest.approx(nats / math.log(2) / 6)
        assert values["bits_per_byte"] == pytest.approx(nats / math.log(2) / 12)
        assert values["perplexity"] == pytest.approx(math.exp(nats / ids.numel()))


def test_bidirectional_is_refused_by_name(make_pipeline: Make) -> None:
    """A model that reads the future cannot generate, and the message says which setting to change."""
    with pytest.raises(ConfigError, match="bidirectional"):
        make_pipeline(model_config={"hidden_size": 4, "bidirectional": True})


@pytest.mark.parametrize(
    "task_config",
    [{"input": "one-hot", "tie_weights": True}, {"turn_template": "no place"}, {"turn_template": "{message}{message}"}],
)
def test_contradictions_are_refused(make_pipeline: Make, task_config: dict[str, object]) -> None:
    """Settings that cannot go together are refused when the head is built."""
    with pytest.raises(ConfigError):
        make_pipeline(task_config=task_config)


def test_turns(make_pipeline: Make) -> None:
    """A message goes through the template; a reply that did not close itself is closed before the next message."""
    task_config = {"turn_template": "a: {message}\nb:", "turn_end": "\n", "stop": ["\n"]}
    pipe = make_pipeline(task_config=task_config, texts=["ab: \n hi"])
    head, decode = head_of(pipe), pipe.tokenizers["text"].decode
    assert decode(head.turn("hi", first=True)) == "a: hi\nb:"
    assert decode(head.turn("hi")) == "a: hi\nb:"
    assert decode(head.turn("hi", closed=False)) == "\na: hi\nb:"
    assert head.stop_texts == ("\n",)


def test_empty_prompt_reads_something(make_pipeline: Make) -> None:
    """There is always at least one token to read before the first is chosen."""
    for texts in (["ab\n"], ["a b"], ["ab"]):
        assert len(head_of(make_pipeline(texts=texts)).prompt({"text": ""})) == 1
