"""Recurrent layers that read a whole sequence in parallel and one position at a time alike. Imports no torch."""

from __future__ import annotations

from seqdemo.plugin import ModelRecord, hookimpl

__all__ = ["seqdemo_models"]

_CONFIG = "seqdemo_modern.config"
_SSM = "seqdemo_modern.config_ssm"
_XLSTM = "seqdemo_modern.config_xlstm"


@hookimpl
def seqdemo_models() -> list[ModelRecord]:
    """Announce every model of this distribution."""
    return [
        ModelRecord(
            "mingru",
            "seqdemo_modern.mingru:MinGRU",
            f"{_CONFIG}:MinGRUConfig",
            "minGRU (Feng et al. 2024): one gate that sees the input only.",
        ),
        ModelRecord(
            "minlstm",
            "seqdemo_modern.minlstm:MinLSTM",
            f"{_CONFIG}:MinLSTMConfig",
            "minLSTM (Feng et al. 2024): forget and input gates that see the input only.",
        ),
        ModelRecord(
            "sru",
            "seqdemo_modern.sru:SRU",
            f"{_CONFIG}:SRUConfig",
            "Simple recurrent unit (Lei et al. 2018): gates see the memory elementwise.",
        ),
        ModelRecord(
            "qrnn",
            "seqdemo_modern.qrnn:QRNN",
            f"{_CONFIG}:QRNNConfig",
            "Quasi-recurrent network (Bradbury et al. 2017): convolutions, then gated pooling.",
        ),
        ModelRecord(
            "rg-lru",
            "seqdemo_modern.rglru:RGLRU",
            f"{_SSM}:RGLRUConfig",
            "RG-LRU (De et al. 2024): a gated linear recurrence, as in Griffin and Hawk.",
        ),
        ModelRecord(
            "lru",
            "seqdemo_modern.lru:LRU",
            f"{_SSM}:LRUConfig",
            "Linear recurrent unit (Orvieto et al. 2023): complex, diagonal, without gates.",
        ),
        ModelRecord(
            "slstm",
            "seqdemo_modern.slstm:SLSTM",
            f"{_XLSTM}:SLSTMConfig",
            "xLSTM's sLSTM (Beck et al. 2024): scalar memory, exponential gates, recurrent weights.",
        ),
        ModelRecord(
            "mlstm",
            "seqdemo_modern.mlstm:MLSTM",
            f"{_XLSTM}:MLSTMConfig",
            "xLSTM's mLSTM (Beck et al. 2024): matrix memory, exponential gates.",
        ),
        ModelRecord(
            "mamba",
            "seqdemo_modern.mamba:Mamba",
            f"{_SSM}:MambaConfig",
            "Mamba (Gu & Dao 2023): a state space whose step, input and output maps depend on the input.",
        ),
    ]
