"""How folders are recognised, and the config of the head. Imports neither torch nor transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ValidationError

from seqdemo.plugin import Column, FolderInfo, LoaderConfig, Options, SamplingOptions, TaskConfig

__all__ = ["FAMILIES", "PretrainedConfig", "TransformersConfig", "read_json"]

FAMILIES = {
    "mamba": "Mamba",
    "mamba2": "Mamba-2",
    "falcon_mamba": "Falcon-Mamba",
    "rwkv": "RWKV-4",
    "xlstm": "xLSTM",
    "recurrent_gemma": "RecurrentGemma",
}
"""``model_type`` of a config -> what people call it."""

_LARGEST = 4_000_000
_OPTIONS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


class PretrainedConfig(TaskConfig):
    """A pretrained language model: everything about it is in its own folder."""

    tokenizer_roles: ClassVar[tuple[str, ...]] = ("text",)
    model_roles: ClassVar[tuple[str, ...]] = ("decoder",)
    columns: ClassVar[tuple[Column, ...]] = (Column("text"),)
    batching: ClassVar[Literal["streams", "examples"]] = "streams"
    options: ClassVar[type[Options]] = SamplingOptions


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is no such file or it is something else."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _preferences(folder: Path) -> dict[str, Any]:
    """Options of ``generation_config.json``, where it says that the model is to be sampled from."""
    found = read_json(folder / "generation_config.json")
    chosen: dict[str, Any] = {}
    for name in _OPTIONS if found.get("do_sample") is True else ():
        try:
            SamplingOptions.model_validate({name: found[name]})
        except (KeyError, ValidationError):
            continue
        chosen[name] = found[name]
    return chosen


class TransformersConfig(LoaderConfig):
    """Recognises folders by the ``model_type`` of their ``config.json``."""

    probe: ClassVar[tuple[str, ...]] = ("config.json", "generation_config.json", "model.safetensors.index.json")
    files: ClassVar[tuple[str, ...]] = (
        *probe,
        "model.safetensors",
        "model-*-of-*.safetensors",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
    )

    def matches(self, folder: Path) -> bool:
        kind = read_json(folder / "config.json").get("model_type")
        return isinstance(kind, str) and kind in FAMILIES

    def describe(self, folder: Path) -> FolderInfo:
        family = FAMILIES[read_json(folder / "config.json")["model_type"]]
        sizes = [path.stat().st_size for path in folder.glob("model*.safetensors")]
        return FolderInfo(f"Pretrained {family}.", family, nbytes=sum(sizes), options=_preferences(folder))
