"""Records and configs of the built-in models."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from seqdemo.builtin import seqdemo_models
from seqdemo.builtin.models.config import GRUConfig, LSTMConfig, RNNConfig, ScratchLSTMConfig
from seqdemo.errors import ConfigError
from seqdemo.plugin import ModelConfig, RecurrentModel
from seqdemo.plugin.config import build


def test_records_lead_to_models_and_configs():
    """Six models are announced, each with a summary, and their paths name what they should."""
    records = {record.name: record for record in seqdemo_models()}
    assert set(records) == {"rnn", "lstm", "gru", "scratch-rnn", "scratch-lstm", "scratch-gru"}
    for record in records.values():
        found = [
            getattr(import_module(path.split(":")[0]), path.split(":")[1])
            for path in (record.implementation, record.config)
        ]
        assert issubclass(found[0], RecurrentModel)
        assert issubclass(found[1], ModelConfig)
        assert record.summary.endswith(".")


def test_records_and_configs_import_no_torch():
    """Listing the models and reading their options loads no torch."""
    code = (
        "import sys, seqdemo.builtin, seqdemo.builtin.models.config as c; seqdemo.builtin.seqdemo_models(); "
        "c.LSTMConfig(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("config", [RNNConfig, LSTMConfig, GRUConfig, ScratchLSTMConfig])
def test_every_option_has_a_default_and_a_description(config):
    """Flags and controls can be made from the schema: each field has a default and says what it is."""
    config()
    assert all(field.description for field in config.model_fields.values())


@pytest.mark.parametrize(
    ("config", "values", "words"),
    [
        (LSTMConfig, {"hidden_size": 0}, "hidden_size = 0"),
        (LSTMConfig, {"weight_dropout": 1.0}, "weight_dropout = 1.0"),
        (LSTMConfig, {"forget_bias": 1.0, "bias": False}, "model 'it' do not go together: forget_bias sets a bias"),
        (LSTMConfig, {"nonlinearity": "relu"}, "no option 'nonlinearity'"),
        (RNNConfig, {"nonlinearity": "gelu"}, "nonlinearity = 'gelu'"),
        (GRUConfig, {"forget_bias": 1.0}, "no option 'forget_bias'"),
        (ScratchLSTMConfig, {"weight_dropout": 0.1}, "no option 'weight_dropout'"),
    ],
)
def test_wrong_values_are_named(config, values, words):
    """A value that is not accepted gives one line that names it."""
    with pytest.raises(ConfigError, match=words) as caught:
        build(config, values, "model 'it'")
    assert "\n" not in str(caught.value)
