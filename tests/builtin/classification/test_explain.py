"""Explanations against prefixes read one by one and a finite-difference integral in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from seqdemo.builtin.classification.config import ClassificationOptions
from seqdemo.builtin.classification.explain import LONGEST_BOTH_WAYS, LONGEST_GRADIENTS, TOLERANCE
from seqdemo.builtin.classification.head import ClassificationHead
from seqdemo.errors import DataError
from seqdemo.plugin import Classification

Make = Callable[..., ClassificationHead]


def explained(head: ClassificationHead, text: str, how: str = "all") -> Classification:
    (result,) = head.predict([{"text": text}], ClassificationOptions.model_validate({"explain": how}))
    assert isinstance(result, Classification)
    return result


def log_odds(head: ClassificationHead, x: torch.Tensor, label: str) -> torch.Tensor:
    """Of vectors ``(N, T, E)``, straight from the model's outputs: ``(N,)``."""
    y, _ = head.encoder(x)
    pooled = head.pooling.vector(head.pooling.of(y, torch.full((len(x),), x.shape[1])))
    return torch.logit(torch.softmax(head.output(pooled), 1)[:, head.labels.index(label)])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "attention+mean"])
def test_contributions_are_the_integral(make_head: Make, pooling: str, bidirectional: bool) -> None:
    """Each token's contribution is the path integral, taken by central differences at 400 midpoints."""
    head = make_head(bidirectional=bidirectional, pooling=pooling, num_layers=1)
    result = explained(head, "the plot, truly", "gradients")
    x = head.embedding(torch.tensor(head.tokenizer.encode("the plot, truly"))).detach()
    path = ((torch.arange(400) + 0.5) / 400)[:, None, None] * x
    wanted = []
    for token in range(len(x)):
        # The derivative in the direction of this token's own vector is its share of the integrand.
        moved = torch.zeros_like(x)
        moved[token] = 1e-4 * x[token]
        slopes = (log_odds(head, path + moved, result.label) - log_odds(head, path - moved, result.label)) / 2e-4
        wanted.append(slopes.mean().item())
    assert result.contributions == pytest.approx(wanted, abs=2e-3)
    assert result.base == pytest.approx(log_odds(head, torch.zeros_like(x)[None], result.label).item())


@pytest.mark.parametrize("pooling", ["max", "attention+max", "last"])
def test_contributions_are_complete(make_head: Make, pooling: str) -> None:
    """Base and contributions add up to the log-odds of the result, to within the stated tolerance."""
    for model, both in (("lstm", True), ("gru", False)):
        head = make_head(model, both, pooling=pooling)
        for text in ("the plot goes nowhere and the actors look lost in it", "good. bad. good?", "dull"):
            result = explained(head, text, "gradients")
            assert result.contributions is not None
            assert result.base is not None
            whole = torch.logit(torch.tensor(result.scores[result.label], dtype=torch.float64)).item()
            miss = abs(result.base + sum(result.contributions) - whole)
            assert miss <= max(TOLERANCE, TOLERANCE * abs(whole - result.base))
            assert result.running is None


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "attention+max", "mean"])
def test_the_running_prediction_is_that_of_each_prefix(make_head: Make, pooling: str, bidirectional: bool) -> None:
    """After each token the probabilities are those of the text up to there, and the last are the result's."""
    head = make_head(bidirectional=bidirectional, pooling=pooling)
    text = "good. bad. good? the plot goes nowhere and the actors look lost in it. " * 2
    result = explained(head, text, "running")
    assert result.running is not None
    assert result.contributions is None
    for end in range(1, len(result.tokens) + 1):
        prefix = explained(head, "".join(result.tokens[:end]), "none")
        assert {name: values[end - 1] for name, values in result.running.items()} == pytest.approx(prefix.scores)
    assert {name: values[-1] for name, values in result.running.items()} == pytest.approx(result.scores)


def test_long_texts_run_in_chunks(make_head: Make) -> None:
    """The running prediction goes on where a chunk ended."""
    head = make_head(tokenizer="bytes", num_layers=1)
    text = "the plot goes nowhere " * 30
    result = explained(head, text, "running")
    assert result.running is not None
    for end in (255, 256, 257, 512, len(text)):
        prefix = explained(head, text[:end], "none")
        assert {name: values[end - 1] for name, values in result.running.items()} == pytest.approx(prefix.scores)


def test_nothing_to_explain(make_head: Make) -> None:
    """An empty text has a result, no tokens, and a base that is all of it."""
    result = explained(make_head(), "")
    assert result.tokens == ()
    assert result.contributions == ()
    assert result.running is not None
    assert set(result.running.values()) == {()}
    assert result.base == pytest.approx(
        torch.logit(torch.tensor(result.scores[result.label], dtype=torch.float64)).item()
    )


def test_tokens_are_the_text(make_head: Make) -> None:
    """Together the tokens are the text, a character of several bytes being at its last one."""
    for tokenizer in ("bytes", "char"):
        head = make_head(tokenizer=tokenizer, tokenizer_config={"unknown": "unk"} if tokenizer == "char" else {})
        assert "".join(explained(head, "a film", "running").tokens) == "a film"
    tokens = explained(make_head(tokenizer="bytes"), "é!", "running").tokens
    assert tokens == ("", "é", "!")


def test_too_long_to_explain(make_head: Make) -> None:
    """Limits are said with the figures and what to do instead; the prediction itself has none."""
    text = "a" * (LONGEST_GRADIENTS + 1)
    with pytest.raises(DataError, match=r"2,049 tokens.*at most 2,048 tokens.*'running'"):
        explained(make_head(tokenizer="bytes", num_layers=1), text, "gradients")
    both = make_head(tokenizer="bytes", bidirectional=True, num_layers=1)
    with pytest.raises(DataError, match=r"at most 512 tokens.*bidirectional = false"):
        explained(both, "a" * (LONGEST_BOTH_WAYS + 1), "running")
    assert explained(both, text, "none").label in both.labels
