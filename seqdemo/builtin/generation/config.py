"""Config of the generation head."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from seqdemo.plugin import Column, Generation, Options, Result, SamplingOptions, TaskConfig

__all__ = ["GenerationConfig"]


class GenerationConfig(TaskConfig):
    """A language model: token vectors -> recurrent model -> distribution of the next token."""

    tokenizer_roles: ClassVar[tuple[str, ...]] = ("text",)
    model_roles: ClassVar[tuple[str, ...]] = ("decoder",)
    columns: ClassVar[tuple[Column, ...]] = (Column("text"),)
    batching: ClassVar[Literal["streams", "examples"]] = "streams"
    options: ClassVar[type[Options]] = SamplingOptions
    result: ClassVar[type[Result]] = Generation

    input: Annotated[
        Literal["embedding", "one-hot"], Field(description="Learned vectors, or the token's indicator vector.")
    ] = "embedding"
    embedding_size: Annotated[
        int, Field(ge=1, le=65_536, description="Width of the learned vectors that stand for tokens.")
    ] = 128
    tie_weights: Annotated[bool, Field(description="Use the embedding as output weight too (Press & Wolf 2017).")] = (
        False
    )
    embedding_dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the vectors the recurrent model is fed.")
    ] = 0.0
    output_dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the vectors the output layer is fed.")
    ] = 0.0
    locked_dropout: Annotated[
        bool, Field(description="One dropout mask for a whole window (Gal & Ghahramani 2016), not one per position.")
    ] = False
    turn_template: Annotated[
        str, Field(max_length=2000, description="What a message becomes in a conversation; {message} is its text.")
    ] = "{message}"
    turn_end: Annotated[
        str, Field(max_length=200, description="Closes a reply that did not close itself, before the next message.")
    ] = ""
    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        Field(max_length=16, description="Texts that end a reply in this checkpoint's format."),
    ] = ()
