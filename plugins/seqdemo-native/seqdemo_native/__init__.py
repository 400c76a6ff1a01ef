"""Generation and translation by LSTMs, GRUs and Elman networks as compiled kernels. Imports no torch."""

from __future__ import annotations

from seqdemo.plugin import StepperRecord, hookimpl

__all__ = ["seqdemo_steppers"]

seqdemo_contract = "1.5"


@hookimpl
def seqdemo_steppers() -> list[StepperRecord]:
    """Announce the steppers."""
    return [
        StepperRecord(
            "native",
            "seqdemo_native.stepper:NativePrepared",
            "seqdemo_native.config:NativeStepperConfig",
            "LSTM, GRU and Elman networks on the CPU: compiled kernels (AVX-512, AVX2, plain C++), fp32 and int8.",
        ),
        StepperRecord(
            "native-translation",
            "seqdemo_native.translation:NativeTranslation",
            "seqdemo_native.config:NativeTranslationConfig",
            "Translation by LSTMs, GRUs and Elman networks on the CPU, many rows at once: the same kernels.",
        ),
    ]
