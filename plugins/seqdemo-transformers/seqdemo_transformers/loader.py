"""Loads a folder of Hugging Face's format. No code of the folder runs, and nothing is unpickled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from seqdemo.errors import CheckpointError
from seqdemo.plugin import Foreign, Loader

from .config import FAMILIES, read_json
from .head import PretrainedHead
from .layer import Pieces
from .tokenizer import PretrainedTokenizer
from .weights import compare, fingerprint, weight_files

__all__ = ["CLASSES", "TransformersLoader"]

CLASSES = {
    "mamba": "MambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
    "falcon_mamba": "FalconMambaForCausalLM",
    "rwkv": "RwkvForCausalLM",
    "xlstm": "xLSTMForCausalLM",
    "recurrent_gemma": "RecurrentGemmaForCausalLM",
}
"""``model_type`` of a config -> the class of transformers whose weights are read."""

_MODULES = {"falcon_mamba": "mamba"}
"""Families that are read by another's module."""


@contextmanager
def _explained(folder: Path, what: str) -> Iterator[None]:
    """Whatever the library raises becomes one line."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{what} of {folder} cannot be used: {type(error).__name__}: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: loading is one step among others."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _numbers(*given: Any) -> Iterator[int]:
    """Token ids in settings that may be one, several or none."""
    for value in given:
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int))


class TransformersLoader(Loader):
    """Reads the config, compares the weights' headers with it, then takes the model apart into a head of ours."""

    def load(self, folder: Path, dtype: torch.dtype) -> Foreign:
        stated = read_json(folder / "config.json")
        kind = stated.get("model_type")
        if kind not in FAMILIES:
            raise CheckpointError(f"{folder} holds a {kind!r} model. Supported: {', '.join(FAMILIES)}.")
        if "quantization_config" in stated:
            raise CheckpointError(
                f"{folder} holds quantised weights, which are not supported. Take the folder they were made from, and "
                "dtype='bfloat16' if memory is short."
            )
        files = weight_files(folder)
        import transformers

        model_class = getattr(transformers, CLASSES[kind])
        with _explained(folder, "config.json"):
            config = model_class.config_class.from_pretrained(folder, local_files_only=True)
            with torch.device("meta"):
                outline = model_class(config)
        compare(folder, files, outline)
        with _explained(folder, "The model"), _quiet():
            model = model_class.from_pretrained(
                folder, config=config, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
            )
        model.eval().requires_grad_(False)
        family = import_module(f".families.{_MODULES.get(kind, kind)}", __package__)
        pieces: Pieces = family.pieces(model)
        tokenizer = PretrainedTokenizer.open(folder, config.vocab_size)
        if tokenizer.vocab_size > config.vocab_size:
            raise CheckpointError(
                f"The tokenizer of {folder} has {tokenizer.vocab_size} tokens, its model only {config.vocab_size}. "
                "They belong to different models."
            )
        generation = read_json(folder / "generation_config.json")
        ends = _numbers(config.eos_token_id, generation.get("eos_token_id"))
        card = folder / "README.md"
        head = PretrainedHead(tokenizer, pieces, ends).eval()
        return Foreign(head, fingerprint(folder, files), card.read_text("utf-8", "replace") if card.is_file() else "")
