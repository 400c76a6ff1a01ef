"""Pretrained recurrent language models of Hugging Face's format. Imports neither torch nor transformers."""

from __future__ import annotations

from seqdemo.plugin import LoaderRecord, hookimpl

__all__ = ["seqdemo_checkpoints"]

seqdemo_contract = "1.1"


@hookimpl
def seqdemo_checkpoints() -> list[LoaderRecord]:
    """Announce the loader."""
    return [
        LoaderRecord(
            "transformers",
            "seqdemo_transformers.loader:TransformersLoader",
            "seqdemo_transformers.config:TransformersConfig",
            "Mamba, Mamba-2, Falcon-Mamba, RWKV, xLSTM and RecurrentGemma in the format of Hugging Face.",
        )
    ]
