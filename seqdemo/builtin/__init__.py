"""The built-in tokenizers, models and tasks: a plugin like any other, that imports only ``seqdemo.plugin``."""

from __future__ import annotations

from seqdemo.plugin import ModelRecord, StepperRecord, TaskRecord, TokenizerRecord, hookimpl

_FUSED = "seqdemo.builtin.models.fused"
_SCRATCH = "seqdemo.builtin.models.scratch"
_MODELS = "seqdemo.builtin.models.config"
_STEPPERS = "seqdemo.builtin.steppers"
_TOKENIZERS = "seqdemo.builtin.tokenizers"


@hookimpl
def seqdemo_tokenizers() -> list[TokenizerRecord]:
    """From single bytes to subwords."""
    config = f"{_TOKENIZERS}.config"
    return [
        TokenizerRecord("bytes", f"{_TOKENIZERS}.byte_level:Bytes", f"{config}:BytesConfig", "UTF-8 bytes; lossless."),
        TokenizerRecord(
            "char", f"{_TOKENIZERS}.char:Char", f"{config}:CharConfig", "The characters of the training text."
        ),
        TokenizerRecord(
            "words",
            f"{_TOKENIZERS}.words:Words",
            f"{config}:WordsConfig",
            "The commonest words; Chinese characters stand alone.",
        ),
        TokenizerRecord(
            "sentencepiece",
            f"{_TOKENIZERS}.subword:SentencePiece",
            f"{config}:SentencePieceConfig",
            "Subwords learned from the text, or any .model file; lossless.",
        ),
    ]


@hookimpl
def seqdemo_models() -> list[ModelRecord]:
    """Torch's three recurrent layers, and the same three written from their equations."""
    return [
        ModelRecord("rnn", f"{_FUSED}:RNN", f"{_MODELS}:RNNConfig", "Elman's network, on torch's fused layer."),
        ModelRecord(
            "lstm", f"{_FUSED}:LSTM", f"{_MODELS}:LSTMConfig", "Long short-term memory, on torch's fused layer."
        ),
        ModelRecord("gru", f"{_FUSED}:GRU", f"{_MODELS}:GRUConfig", "Gated recurrent unit, on torch's fused layer."),
        ModelRecord(
            "scratch-rnn",
            f"{_SCRATCH}:ScratchRNN",
            f"{_MODELS}:ScratchRNNConfig",
            "Elman's network, from its equation.",
        ),
        ModelRecord(
            "scratch-lstm",
            f"{_SCRATCH}:ScratchLSTM",
            f"{_MODELS}:ScratchLSTMConfig",
            "Long short-term memory, from its equations.",
        ),
        ModelRecord(
            "scratch-gru",
            f"{_SCRATCH}:ScratchGRU",
            f"{_MODELS}:ScratchGRUConfig",
            "Gated recurrent unit, from its equations.",
        ),
    ]


@hookimpl
def seqdemo_tasks() -> list[TaskRecord]:
    """Generation, classification and translation."""
    return [
        TaskRecord(
            "generation",
            "seqdemo.builtin.generation.head:GenerationHead",
            "seqdemo.builtin.generation.config:GenerationConfig",
            "Continue text and hold conversations, one token at a time.",
        ),
        TaskRecord(
            "sentiment",
            "seqdemo.builtin.classification.head:ClassificationHead",
            "seqdemo.builtin.classification.config:ClassificationConfig",
            "Say which class a text belongs to: its sentiment, topic or language.",
        ),
        TaskRecord(
            "translation",
            "seqdemo.builtin.translation.head:TranslationHead",
            "seqdemo.builtin.translation.config:TranslationConfig",
            "Translate from one language to another, with attention over the source.",
        ),
    ]


@hookimpl
def seqdemo_steppers() -> list[StepperRecord]:
    """One-token work for torch's three recurrent layers on the CPU, alone and in a translator, and for any one model on
    CUDA."""
    config = f"{_STEPPERS}.config"
    return [
        StepperRecord(
            "recurrent",
            f"{_STEPPERS}.recurrent:RecurrentPrepared",
            f"{config}:RecurrentStepperConfig",
            "rnn, lstm and gru on the CPU: packed weights in fp32, bf16 or int8.",
        ),
        StepperRecord(
            "attending",
            f"{_STEPPERS}.attending:AttendingPrepared",
            f"{config}:AttendingStepperConfig",
            "Translation with rnn, lstm or gru on the CPU: packed weights in fp32, bf16 or int8.",
        ),
        StepperRecord(
            "graphs",
            f"{_STEPPERS}.graphs:GraphPrepared",
            f"{config}:GraphStepperConfig",
            "Any one model on CUDA: steps captured in CUDA graphs, in fp32 or bf16.",
        ),
    ]
