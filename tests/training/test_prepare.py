"""What is learnt from which part of the data."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqdemo
from seqdemo.errors import TokenizerError
from seqdemo.plugin.config import build
from seqdemo.training.config import TrainingConfig
from seqdemo.training.prepare import choose
from seqdemo.training.presets import PRESETS

FEW = {"steps": 2, "batch_size": 2, "window": 8, "sample_tokens": 0, "device": "cpu", "progress": False}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_accepted(name: str) -> None:
    """Every name in a preset is registered, and every value is one of its config's."""
    one = PRESETS[name]
    plans = choose(one.task, one.model, one.tokenizer, one.task_config, one.model_config, one.tokenizer_config)
    assert plans.task.name == one.task
    assert build(TrainingConfig, one.training, "training").model_dump().items() >= dict(one.training).items()


def test_a_character_that_is_only_held_out(tmp_path: Path) -> None:
    """A first try on any text works: a character that only the held-out tenth has is in the vocabulary too."""
    text = tmp_path / "text.txt"
    text.write_text("the cat sat. " * 40 + "K!" * 10)
    seqdemo.train(data=text, out=tmp_path / "run", model_config={"hidden_size": 4}, **FEW)
    pipe = seqdemo.load(tmp_path / "run", device="cpu")
    assert pipe.tokenizers["text"].decode(pipe.tokenizers["text"].encode("K!")) == "K!"
    with pytest.raises(TokenizerError, match="Z"):
        pipe.generate("Z")


def test_a_lossless_vocabulary_never_sees_the_held_out_text(tmp_path: Path) -> None:
    """A subword vocabulary is learnt from the training part alone."""
    train, held = tmp_path / "train.txt", tmp_path / "held.txt"
    train.write_text("the cat sat on the mat. " * 60)
    held.write_text("zyzzyva " * 60)
    config = {"vocab_size": 280, "algorithm": "bpe"}
    seqdemo.train(
        data=train,
        validation=held,
        out=tmp_path / "run",
        tokenizer="sentencepiece",
        tokenizer_config=config,
        model_config={"hidden_size": 4},
        **FEW,
    )
    tokenizer = seqdemo.load(tmp_path / "run", device="cpu").tokenizers["text"]
    assert not any(b"z" in tokenizer.token_bytes(i) for i in range(258, tokenizer.vocab_size))
    assert tokenizer.decode(tokenizer.encode("zyzzyva")) == "zyzzyva"
