"""Everything that is built in passes the kit."""

from __future__ import annotations

from typing import Any

from seqdemo.testing import ModelSubject, TaskSubject, TokenizerSubject, parametrize_with_checks

ENDING = TokenizerSubject("bytes", {"end_token": True})


@parametrize_with_checks(
    [
        *(ModelSubject(name) for name in ("rnn", "lstm", "gru", "scratch-rnn", "scratch-lstm", "scratch-gru")),
        ModelSubject("lstm", {"hidden_size": 6, "bidirectional": True}),
    ]
)
def test_models(check: Any) -> None:
    """Two small layers of each, and one that reads both ways."""
    check()


@parametrize_with_checks(
    [
        TokenizerSubject("bytes"),
        TokenizerSubject("bytes", {"end_token": True}),
        TokenizerSubject("char"),
        TokenizerSubject("char", {"unknown": "unk", "vocab_size": 40, "end_token": True}),
        TokenizerSubject("words"),
        TokenizerSubject("sentencepiece"),
        TokenizerSubject("sentencepiece", {"algorithm": "bpe", "vocab_size": 600}),
    ]
)
def test_tokenizers(check: Any) -> None:
    """Each as it comes, and with what changes its vocabulary."""
    check()


@parametrize_with_checks(
    [
        TaskSubject("generation"),
        TaskSubject("generation", {"input": "one-hot"}, model="scratch-lstm"),
        TaskSubject("generation", {"tie_weights": True, "embedding_size": 6}, tokenizer="words"),
    ]
)
def test_generation(check: Any) -> None:
    """Learned and one-hot inputs, tied weights."""
    check()


@parametrize_with_checks(
    [
        TaskSubject("sentiment"),
        TaskSubject(
            "sentiment",
            {"pooling": "last+mean", "balance": True, "label_smoothing": 0.1, "embedding_dropout": 0.3},
            model=ModelSubject("lstm", {"hidden_size": 6, "bidirectional": True}),
            tokenizer="words",
        ),
    ]
)
def test_classification(check: Any) -> None:
    """Labels come from the rows; attention and maximum over a causal model, ends and mean over one both ways."""
    check()


@parametrize_with_checks(
    [
        TaskSubject("translation", {"embedding_size": 6, "attention_size": 5}, tokenizer=ENDING),
        TaskSubject(
            "translation",
            {
                "embedding_size": 6,
                "attention_size": 5,
                "attention": "additive",
                "input_feeding": True,
                "shared_vocabulary": False,
            },
            model="scratch-gru",
            tokenizer=ENDING,
        ),
    ]
)
def test_translation(check: Any) -> None:
    """As it comes, and with everything that changes what is read and fed."""
    check()
