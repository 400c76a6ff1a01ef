"""Recurrent layers that read a whole sequence in parallel and one position at a time alike. Imports no torch."""

from __future__ import annotations

from seqdemo.plugin import ModelRecord, hookimpl

__all__ = ["seqdemo_models"]

_CONFIG = "seqdemo_modern.config"


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
    ]
