"""Config and options of the translation head."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from seqdemo.plugin import BeamOptions, Column, Options, Result, TaskConfig, Translation

__all__ = ["TranslationConfig", "TranslationOptions"]


class TranslationOptions(BeamOptions):
    """How a translation is searched for. The likeliest token each time, unless a beam is asked for."""

    max_tokens: Annotated[int, Field(ge=0, le=10_000_000, description="Stop after this many tokens.")] = 256
    max_ratio: Annotated[
        float,
        Field(
            gt=0.0,
            le=100.0,
            description="Stop after this many tokens for each token of the source, and ten more.",
            json_schema_extra={"usual": [1, 5]},
        ),
    ] = 3.0


class TranslationConfig(TaskConfig):
    """Source tokens -> encoder, both ways -> memory; target tokens -> decoder -> attention over the memory -> refiner
    -> distribution of the next token. Without input feeding, training needs no loop over time."""

    model_roles: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "refiner")
    columns: ClassVar[tuple[Column, ...]] = (Column("source"), Column("target", role="target"))
    batching: ClassVar[Literal["streams", "examples"]] = "examples"
    options: ClassVar[type[Options]] = TranslationOptions
    result: ClassVar[type[Result]] = Translation
    default_tokenizer: ClassVar[str] = "sentencepiece"

    shared_vocabulary: Annotated[
        bool, Field(description="One tokenizer and one embedding for both languages, learned from both columns.")
    ] = True
    embedding_size: Annotated[
        int, Field(ge=1, le=65_536, description="Width of the learned vectors that stand for tokens.")
    ] = 512
    encoder_layers: Annotated[
        int,
        Field(
            ge=1,
            le=16,
            description="Layers of the encoder, each a model of the given kind that reads ahead beside one that "
            "reads back.",
        ),
    ] = 2
    attention: Annotated[
        Literal["dot", "additive"],
        Field(description="How query and key are compared: Luong et al. 2015, eq. 8, or Bahdanau et al. 2015, A.1.2."),
    ] = "dot"
    attention_size: Annotated[
        int, Field(ge=1, le=65_536, description="Width in which queries and keys are compared.")
    ] = 256
    input_feeding: Annotated[
        bool,
        Field(
            description="Feed the decoder what the output layer read last (Luong et al. 2015, 3.3); training then "
            "loops over time."
        ),
    ] = False
    dropout: Annotated[
        float,
        Field(
            ge=0.0,
            lt=1.0,
            description="Dropout on token vectors, between layers, on the memory and on what the output layer reads.",
        ),
    ] = 0.3
    label_smoothing: Annotated[
        float,
        Field(ge=0.0, lt=1.0, description="Share of the target's probability that is spread over all tokens."),
    ] = 0.1
    max_source_tokens: Annotated[
        int, Field(ge=1, le=100_000, description="Longer sources are refused: they are read in one piece.")
    ] = 512

    @property
    def tokenizer_roles(self) -> tuple[str, ...]:  # type: ignore[override]  # of the instance: it follows the config
        """``text`` where both languages share a vocabulary, else ``source`` and ``target``."""
        return ("text",) if self.shared_vocabulary else ("source", "target")
