"""The conformance kit on every family's layers, as recurrent models like any other."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import transformers
from seqdemo_transformers.layer import Backbone
from tiny import FAMILIES, lively

from seqdemo.plugin import ModelConfig, RecurrentModel
from seqdemo.testing import check_model

SIZES: dict[str, dict[str, Any]] = {
    "mamba": {"hidden_size": 6},
    "falcon_mamba": {"hidden_size": 6},
    "mamba2": {"hidden_size": 8, "num_heads": 4, "head_dim": 4, "state_size": 4},
    "rwkv": {"hidden_size": 6},
    "xlstm": {"hidden_size": 8, "ffn_round_up_to_multiple_of": 8},
    "recurrent_gemma": {"hidden_size": 16, "lru_width": 16, "intermediate_size": 16},
}


def builder(family: str) -> Callable[[ModelConfig, int], RecurrentModel]:
    """Makes fresh layers of a family, weights by torch's seed."""
    name, given = FAMILIES[family]
    model_class = getattr(transformers, name)

    def build(config: ModelConfig, input_size: int) -> RecurrentModel:
        settings = {**given, **SIZES[family], "num_hidden_layers": 3 if family == "recurrent_gemma" else 2}
        model = model_class(model_class.config_class(**settings, vocab_size=16))
        lively(model, seed=None, spread=0.7)
        module = "mamba" if family == "falcon_mamba" else family
        pieces = import_module(f"seqdemo_transformers.families.{module}").pieces(model)
        return Backbone(pieces.layers, pieces.norm)

    build.__name__ = family
    return build


def test_layers_conform(family: str) -> None:
    """Step equals forward, any split gives the same, ragged batches equal singles, and all the rest of the kit."""
    check_model(builder(family), {}, input_size=SIZES[family]["hidden_size"])
