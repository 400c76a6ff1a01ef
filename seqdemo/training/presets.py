"""Settings that are known to work, by name. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seqdemo.errors import UnknownNameError

__all__ = ["PRESETS", "Preset", "preset", "settings"]


@dataclass(frozen=True, slots=True)
class Preset:
    """Names and config values; whatever is given beside a preset wins over it.

    Attributes:
        name: as ``--preset`` takes it.
        summary: one sentence for listings.
        task, model, tokenizer: registered names.
        task_config, model_config, tokenizer_config, training: config values; those of models maybe by role.
    """

    name: str
    summary: str
    task: str = "generation"
    model: str = "lstm"
    tokenizer: str = "char"
    task_config: Mapping[str, Any] = field(default_factory=dict)
    model_config: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_config: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


_CHAT_MARKS = (">", "<")
"""What a message and a reply begin with; each is a token of its own."""

_CHAT_TURNS: Mapping[str, Any] = {"turn_template": ">{message}\n<", "turn_end": "\n", "stop": ("\n",)}

_TRANSLATOR_TRAINING: Mapping[str, Any] = {
    "batch_size": 64,
    "learning_rate": 2e-3,
    "warmup_steps": 400,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "average": 0.999,
    "precision": "bf16",
    "save_dtype": "float16",
}

_SUBWORD_TRAINING: Mapping[str, Any] = {
    "batch_size": 32,
    "window": 128,
    "learning_rate": 3e-3,
    "warmup_steps": 200,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "average": 0.998,
    "precision": "bf16",
    "save_dtype": "float16",
}

_WORDS: Mapping[str, Any] = {"lowercase": True, "keep_spaces": False}
"""For a classifier of texts in words: one token for a word, wherever it stands."""

_ALL = (
    Preset(
        "shakespeare-3min",
        "A character LSTM that learns tinyshakespeare in three minutes on two CPU cores.",
        task_config={"embedding_size": 64, "embedding_dropout": 0.05, "output_dropout": 0.15},
        model_config={"hidden_size": 512, "num_layers": 2, "dropout": 0.15},
        training={
            "max_seconds": 174.0,
            "batch_size": 32,
            "window": 128,
            "learning_rate": 5e-3,
            "warmup_steps": 40,
            "weight_decay": 0.02,
            "clip_norm": 1.0,
            "average": 0.98,
            "validate_every": 200,
        },
    ),
    Preset(
        "shakespeare",
        "The shipped character LSTM: 3.4M parameters, 41 passes over tinyshakespeare, about two hours on one CPU core.",
        task_config={
            "embedding_size": 128,
            "embedding_dropout": 0.15,
            "output_dropout": 0.5,
            "locked_dropout": True,
        },
        model_config={"hidden_size": 512, "num_layers": 2, "dropout": 0.4, "weight_dropout": 0.25},
        training={
            "steps": 10_000,
            "batch_size": 32,
            "window": 128,
            "learning_rate": 3e-3,
            "warmup_steps": 200,
            "weight_decay": 0.05,
            "clip_norm": 1.0,
            "average": 0.999,
            "validate_every": 500,
            "precision": "bf16",
            "save_dtype": "float16",
        },
    ),
    Preset(
        "stories",
        "The shipped story generator: a subword LSTM of 4.9M parameters, about 45 minutes on one CPU core.",
        tokenizer="sentencepiece",
        tokenizer_config={"vocab_size": 4096},
        task_config={"embedding_size": 256, "tie_weights": True, "embedding_dropout": 0.05, "output_dropout": 0.1},
        model_config={"hidden_size": 512, "num_layers": 2, "dropout": 0.1},
        training={"steps": 2600, "validate_every": 650, **_SUBWORD_TRAINING},
    ),
    Preset(
        "chat-en",
        "The shipped English conversations: a subword LSTM of 4.9M parameters, 50 minutes on one CPU core.",
        tokenizer="sentencepiece",
        tokenizer_config={"vocab_size": 4096, "user_symbols": _CHAT_MARKS},
        task_config={
            "embedding_size": 256,
            "tie_weights": True,
            "embedding_dropout": 0.05,
            "output_dropout": 0.1,
            **_CHAT_TURNS,
        },
        model_config={"hidden_size": 512, "num_layers": 2, "dropout": 0.1},
        training={"steps": 2600, "validate_every": 650, **_SUBWORD_TRAINING},
    ),
    Preset(
        "chat-zh",
        "The shipped Chinese conversations: a subword LSTM of 5.4M parameters, 40 minutes on one CPU core.",
        tokenizer="sentencepiece",
        tokenizer_config={"vocab_size": 6400, "user_symbols": _CHAT_MARKS},
        task_config={
            "embedding_size": 256,
            "tie_weights": True,
            "embedding_dropout": 0.1,
            "output_dropout": 0.35,
            "locked_dropout": True,
            **_CHAT_TURNS,
        },
        model_config={"hidden_size": 512, "num_layers": 2, "dropout": 0.3, "weight_dropout": 0.15},
        training={"steps": 1600, "validate_every": 200, **_SUBWORD_TRAINING},
    ),
    Preset(
        "multi30k",
        "A translator of 12M parameters for Multi30k, or as many pairs of other short sentences; an hour on two CPU "
        "cores.",
        task="translation",
        tokenizer="sentencepiece",
        tokenizer_config={"vocab_size": 6000},
        task_config={"embedding_size": 512, "dropout": 0.35, "label_smoothing": 0.1},
        model_config={
            "encoder": {"hidden_size": 256},
            "decoder": {"hidden_size": 512},
            "refiner": {"hidden_size": 512},
        },
        training={"max_seconds": 3500.0, **_TRANSLATOR_TRAINING},
    ),
    Preset(
        "tatoeba",
        "The shipped translators: 6M parameters, sentences of everyday life; about 40 minutes on one CPU core.",
        task="translation",
        tokenizer="sentencepiece",
        tokenizer_config={"vocab_size": 5000},
        task_config={"embedding_size": 256, "dropout": 0.35, "label_smoothing": 0.1},
        model_config={
            "encoder": {"hidden_size": 192},
            "decoder": {"hidden_size": 384},
            "refiner": {"hidden_size": 320},
        },
        training={"epochs": 14.0, **_TRANSLATOR_TRAINING},
    ),
    Preset(
        "sst2",
        "A classifier of film opinions for the Stanford Sentiment Treebank; about five minutes on one CPU core.",
        task="sentiment",
        tokenizer="words",
        tokenizer_config=_WORDS,
        task_config={
            "embedding_size": 192,
            "token_dropout": 0.1,
            "embedding_dropout": 0.4,
            "output_dropout": 0.4,
        },
        model_config={"hidden_size": 128, "bidirectional": True},
        training={
            "epochs": 3.0,
            "batch_size": 128,
            "learning_rate": 3e-3,
            "average": 0.998,
            "precision": "bf16",
            "save_dtype": "float16",
        },
    ),
    Preset(
        "imdb",
        "A classifier of film reviews for the Large Movie Review Dataset; about 20 minutes on one CPU core.",
        task="sentiment",
        tokenizer="words",
        tokenizer_config={**_WORDS, "vocab_size": 30_000, "min_count": 2},
        task_config={
            "embedding_size": 128,
            "token_dropout": 0.1,
            "embedding_dropout": 0.3,
            "output_dropout": 0.5,
            "longest": 400,
        },
        model_config={"hidden_size": 128, "bidirectional": True},
        training={
            "epochs": 4.0,
            "batch_size": 32,
            "learning_rate": 2e-3,
            "average": 0.998,
            "precision": "bf16",
            "save_dtype": "float16",
        },
    ),
    Preset(
        "chnsenticorp",
        "A classifier of Chinese reviews for ChnSentiCorp, in subwords; about three minutes on one CPU core.",
        task="sentiment",
        tokenizer="sentencepiece",
        tokenizer_config={"vocab_size": 8000, "end_token": False},
        task_config={
            "embedding_size": 128,
            "token_dropout": 0.2,
            "embedding_dropout": 0.3,
            "output_dropout": 0.5,
            "longest": 400,
        },
        model_config={"hidden_size": 128, "bidirectional": True},
        training={
            "epochs": 6.0,
            "batch_size": 32,
            "learning_rate": 2e-3,
            "average": 0.995,
            "precision": "bf16",
            "save_dtype": "float16",
        },
    ),
    Preset(
        "sentiment-en",
        "The shipped English classifier: positive, negative or neutral; about four minutes on one CPU core.",
        task="sentiment",
        tokenizer="words",
        tokenizer_config={**_WORDS, "min_count": 2},
        task_config={
            "pooling": "attention+mean",
            "balance": True,
            "embedding_size": 128,
            "token_dropout": 0.15,
            "embedding_dropout": 0.4,
            "output_dropout": 0.5,
        },
        model_config={"hidden_size": 128, "bidirectional": True},
        training={
            "epochs": 3.0,
            "batch_size": 64,
            "learning_rate": 2e-3,
            "average": 0.998,
            "best": "lowest:loss",
            "precision": "bf16",
            "save_dtype": "float16",
        },
    ),
    Preset(
        "timemachine-book",
        "Dive into Deep Learning's set-up for The Time Machine: 32 streams of 35 steps, 256 units, plain descent.",
        model="rnn",
        task_config={"input": "one-hot"},
        model_config={"hidden_size": 256, "num_layers": 1},
        training={
            "epochs": 500.0,
            "batch_size": 32,
            "window": 35,
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "schedule": "constant",
            "warmup_steps": 0,
            "weight_decay": 0.0,
            "clip_norm": 1.0,
            "validation_fraction": 0.0,
            "validate_every": 10_000_000,
            "precision": "fp32",
        },
    ),
)

PRESETS: Mapping[str, Preset] = {one.name: one for one in _ALL}


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]


def settings(name: str | None, task: str | None) -> Preset:
    """What a run starts from: a preset, or without one what its task (generation, where none is named) says.

    Raises:
        UnknownNameError: there is no preset or task of that name.
    """
    if name is not None:
        return preset(name)
    from seqdemo.manager import manager
    from seqdemo.plugin.config import TaskConfig

    plain = Preset("none", "", task=task or "generation")
    config = manager().config_class("tasks", plain.task)
    return replace(plain, tokenizer=config.default_tokenizer) if issubclass(config, TaskConfig) else plain
