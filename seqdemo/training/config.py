"""How to train. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seqdemo.plugin.config import Config

__all__ = ["COSMETIC", "TrainingConfig"]

COSMETIC = frozenset(
    {
        "threads",
        "device",
        "log_every",
        "save_every_seconds",
        "sample_prompt",
        "sample_tokens",
        "sample_temperature",
        "tensorboard",
    }
)
"""Fields that a resumed run may change: they have no part in what the weights become."""


class TrainingConfig(Config):
    """Optimisation, validation and saving. Without ``steps``, ``epochs`` and ``max_seconds`` it is ten epochs."""

    steps: Annotated[int | None, Field(ge=1, description="Stop after this many optimiser steps.")] = None
    epochs: Annotated[
        float | None, Field(gt=0.0, le=1e6, description="Stop after this many passes over the training data.")
    ] = None
    max_seconds: Annotated[
        float | None, Field(gt=0.0, description="Stop after this much time, the last validation included.")
    ] = None
    batch_size: Annotated[
        int, Field(ge=1, le=65_536, description="Parallel streams, or examples, in a step of one process.")
    ] = 32
    window: Annotated[
        int, Field(ge=1, le=65_536, description="Tokens of each stream in a step: how far gradients flow back.")
    ] = 128
    carry_state: Annotated[
        bool, Field(description="Start each window in the state the one before it ended in (truncated BPTT).")
    ] = True
    shift_windows: Annotated[
        bool, Field(description="Begin each epoch at another token, so that windows are cut in other places.")
    ] = True
    bucketing: Annotated[
        bool, Field(description="Make batches of examples of like length, so that little is padding.")
    ] = True
    optimizer: Annotated[
        Literal["adamw", "sgd"], Field(description="AdamW (Loshchilov & Hutter 2019) or plain gradient descent.")
    ] = "adamw"
    learning_rate: Annotated[float, Field(gt=0.0, le=1e4, description="Learning rate at its highest.")] = 3e-3
    schedule: Annotated[
        Literal["cosine", "linear", "constant"], Field(description="How the learning rate falls after the warm-up.")
    ] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0, description="Steps over which the learning rate rises from zero.")] = 50
    min_lr_ratio: Annotated[
        float, Field(ge=0.0, le=1.0, description="The last learning rate as a share of the highest.")
    ] = 0.02
    beta1: Annotated[float, Field(ge=0.0, lt=1.0, description="AdamW's decay of the first moment.")] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0, description="AdamW's decay of the second moment.")] = 0.99
    momentum: Annotated[float, Field(ge=0.0, lt=1.0, description="Momentum of plain gradient descent.")] = 0.0
    weight_decay: Annotated[
        float, Field(ge=0.0, le=10.0, description="Weight decay of matrices (decoupled in AdamW); biases have none.")
    ] = 0.01
    clip_norm: Annotated[
        float, Field(ge=0.0, description="Largest norm of the whole gradient (Pascanu et al. 2013); 0 is no limit.")
    ] = 1.0
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Field(description="auto is bfloat16 autocast where the device computes in it, else float32."),
    ] = "auto"
    average: Annotated[
        float,
        Field(
            ge=0.0,
            lt=1.0,
            description="Decay of a running average of the weights; validation and the checkpoint use it. 0 is off.",
        ),
    ] = 0.0
    validation_fraction: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Share of the data held out where no validation files are given.")
    ] = 0.1
    validation_streams: Annotated[
        int, Field(ge=1, le=65_536, description="Parallel streams at validation; each one starts in a fresh state.")
    ] = 16
    validate_every: Annotated[
        int | None, Field(ge=1, description="Steps between validations; none validates ten times in the run.")
    ] = None
    best: Annotated[
        str | None,
        Field(
            pattern=r"^(lowest|highest):\w+$",
            description="Metric that the checkpoint is chosen by, like lowest:loss or highest:accuracy; none takes the "
            "task's own. Of equals the one with the lowest loss.",
        ),
    ] = None
    patience: Annotated[
        int, Field(ge=0, description="Stop after this many validations that are not the best; 0 never stops early.")
    ] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Of the initial weights, dropout and order.")] = 0
    threads: Annotated[int | None, Field(ge=1, le=1024, description="CPU threads; none leaves torch's choice.")] = None
    device: Annotated[str, Field(max_length=40, description="auto, cpu, cuda or cuda:N.")] = "auto"
    save_every_seconds: Annotated[
        float, Field(ge=0.0, description="How often to save what resuming needs, besides at each validation.")
    ] = 120.0
    log_every: Annotated[int, Field(ge=1, description="Steps between lines in metrics.jsonl.")] = 20
    sample_prompt: Annotated[
        str, Field(max_length=10_000, description="What the sample at each validation continues.")
    ] = ""
    sample_tokens: Annotated[
        int, Field(ge=0, le=10_000, description="Length of the sample at each validation; 0 is none.")
    ] = 120
    sample_temperature: Annotated[
        float, Field(ge=0.0, le=100.0, description="Temperature of the sample at each validation.")
    ] = 0.8
    tensorboard: Annotated[bool, Field(description="Also write TensorBoard events (needs the tensorboard extra).")] = (
        False
    )
    save_dtype: Annotated[
        Literal["float32", "float16", "bfloat16"], Field(description="Type of the checkpoint's weights on disk.")
    ] = "float32"
