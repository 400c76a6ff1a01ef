"""The built-in tokenizers as plugins."""

from __future__ import annotations

import subprocess
import sys

from seqdemo.manager import manager
from seqdemo.plugin import Tokenizer, TokenizerConfig


def test_announced() -> None:
    """Each is found by name with its config, and its config's defaults hold."""
    for name in ("bytes", "char", "words", "sentencepiece"):
        config, tokenizer = manager().config_class("tokenizers", name), manager().implementation("tokenizers", name)
        assert issubclass(config, TokenizerConfig)
        assert issubclass(tokenizer, Tokenizer)
        made = tokenizer.train(["the time traveller"] * 9, config(**({"vocab_size": 269} if "piece" in name else {})))
        assert made.decode(made.encode("the time")) == "the time"
        assert all(field.description for field in config.model_fields.values())


def test_no_torch() -> None:
    """Tokenizing needs no torch."""
    names = ["byte_level", "char", "words", "subword"]
    code = "import sys; " + "; ".join(f"import seqdemo.builtin.tokenizers.{name}" for name in names)
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
