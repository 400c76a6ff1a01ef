"""A head that says a script, whatever it is told: real decoding over it needs no weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqdemo.plugin import SamplingOptions, StepOutput, TaskConfig, TokenHead, Tokenizer, TokenizerConfig

NASTY = [
    "<script>window.hacked = 1</script>",
    '<img src="x" onerror="window.hacked = 2">',
    "**bold** _it_ `code` [link](javascript:alert(1))",
    "$$x^2$$ {{7*7}} ${window.hacked = 3}",
    "</div></template><style>*{display:none}</style>",
]
STRANGE = [
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "\u202egnirts\u202c שלום עולם \u2066مرحبا\u2069",
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 e\u0301 🇫🇷",
    "\u200b\ufeff\u00ad one:\x01",
    "$$\\frac{a}{b}$$ **bold** <b>bold</b> &amp; [a](javascript:alert(1))",
]
WORDS = [" the", " sea", " was", " calm", ",\n"]
POEM = list("床前明月光，疑是地上霜。\n")
OTHERS = (" moon", "\n", "<b>", "月")
SHARES = (0.5, 0.25, 0.12, 0.08, 0.05)


class PieceTokenizer(Tokenizer):
    """The 256 bytes, then the pieces of a script; encodes by byte. A skull is in no vocabulary."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces

    @classmethod
    def train(cls, texts: Any, config: TokenizerConfig) -> PieceTokenizer:
        return cls([])

    @classmethod
    def load(cls, folder: Path, config: TokenizerConfig) -> PieceTokenizer:
        return cls([])

    def save(self, folder: Path) -> None:
        pass

    @property
    def vocab_size(self) -> int:
        return 256 + len(self.pieces)

    def encode(self, text: str) -> list[int]:
        return list(self.check_text(text))

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else self.pieces[token - 256].encode()


class ScriptedConfig(TaskConfig):
    options: ClassVar[type[SamplingOptions]] = SamplingOptions


class ScriptedHead(TokenHead):
    """After a message the script begins again. ``owner.delay`` is slept, and ``owner.generated`` counted, each step."""

    def __init__(self, name: str, owner: Any) -> None:
        pieces = list(dict.fromkeys([*WORDS, *POEM, *NASTY, *STRANGE, *OTHERS]))
        super().__init__(ScriptedConfig(), {"text": PieceTokenizer(pieces)}, None)  # type: ignore[arg-type]
        self.name, self.owner = name, owner
        self.ids = {piece: 256 + number for number, piece in enumerate(pieces)}
        self.eval()

    def initial_state(self, batch_size: int) -> dict[str, Tensor]:
        return {"head.at": torch.zeros(batch_size, 1, dtype=torch.long), "head.pad": torch.zeros(batch_size, 4094)}

    def prompt(self, row: Any) -> list[int]:
        return self.turn(row["text"])

    def turn(self, message: str, first: bool = False, closed: bool = True) -> list[int]:
        if "☠" in message:
            from seqdemo.errors import TokenizerError

            raise TokenizerError("The character '☠' <i>is not</i> in the vocabulary. Leave it out.")
        return self.output_tokenizer.encode(message)

    def _logits(self, at: Tensor) -> Tensor:
        found = torch.full((len(at), self.output_tokenizer.vocab_size), -1e9)
        words = self.owner.scripts.get(self.name, WORDS)
        for row, place in enumerate(at[:, 0].tolist()):
            ids = list(dict.fromkeys(self.ids[one] for one in (words[place % len(words)], *OTHERS)))
            found[row, ids] = torch.tensor(SHARES[: len(ids)]).log()
        return found

    def _read(self, ids: Tensor, at: Tensor) -> Tensor:
        return torch.where(ids < 256, 0, at + 1)

    def next(self, ids: Tensor, state: Any, context: Any, lengths: Any = None, trace: bool = False) -> StepOutput:
        at = state["head.at"]
        for column in range(ids.shape[1]):
            at = self._read(ids[:, column : column + 1], at)
        if ids.shape[1] == 1 and bool((ids >= 256).any()):
            self.owner.generated += 1
            time.sleep(self.owner.delay)
        return StepOutput(self._logits(at), {**state, "head.at": at}, {})

    def logits(self, ids: Tensor, state: Any, context: Any) -> tuple[Tensor, Any]:
        at, found = state["head.at"], []
        for column in range(ids.shape[1]):
            at = self._read(ids[:, column : column + 1], at)
            found.append(self._logits(at))
        return torch.stack(found, 1), {**state, "head.at": at}
