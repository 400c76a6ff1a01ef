"""What the checks of tokenizers work with: a trained tokenizer and the texts it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seqdemo.plugin import Config, Tokenizer

from .lab import Lab
from .samples import TEXTS, training_texts

if TYPE_CHECKING:
    from .subjects import TokenizerSubject

__all__ = ["TokenizerLab"]

_SMALL: tuple[Mapping[str, Any], ...] = ({},)


class TokenizerLab(Lab["TokenizerSubject"]):
    """Trains the subject; one trained tokenizer serves all checks, as none of them may change it."""

    def __init__(self, subject: TokenizerSubject) -> None:
        super().__init__(subject)
        self.texts = TEXTS if subject.texts is None else tuple(subject.texts)

    @cached_property
    def config(self) -> Config:
        return self.subject.resolve_config(_SMALL)

    def train(self) -> Tokenizer:
        """A newly trained tokenizer."""
        texts = training_texts() if self.subject.texts is None else self.texts
        made: Tokenizer = self.implementation.train(texts, self.config)
        return made

    @property
    def implementation(self) -> Any:
        return self.subject.resolve()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return self.train()

    @property
    def lossless(self) -> bool | None:
        """What ``LOSSLESS`` promises: true any text, None every text without unknown tokens, false nothing."""
        promised: bool | None = getattr(self.tokenizer, "LOSSLESS", None)
        return promised
