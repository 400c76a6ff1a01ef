"""Config and options of the classification head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seqdemo.plugin import Classification, Column, Options, Result, TaskConfig

from .labels import MOST, balanced, label_shares, learned

__all__ = ["ClassificationConfig", "ClassificationOptions"]

_POOL = "(last|max|mean|attention)"


class ClassificationOptions(Options):
    """What a prediction says beside the probabilities."""

    explain: Annotated[
        Literal["none", "running", "gradients", "all"],
        Field(
            description="running is the prediction after each token, gradients what each token contributed to the "
            "result (integrated gradients, Sundararajan et al. 2017).",
            json_schema_extra={"page": "all"},
        ),
    ] = "none"


class ClassificationConfig(TaskConfig):
    """A classifier: token vectors -> recurrent model -> one vector for the text -> distribution over labels."""

    tokenizer_roles: ClassVar[tuple[str, ...]] = ("text",)
    model_roles: ClassVar[tuple[str, ...]] = ("encoder",)
    columns: ClassVar[tuple[Column, ...]] = (Column("text"), Column("label", kind="label", role="target"))
    batching: ClassVar[Literal["streams", "examples"]] = "examples"
    options: ClassVar[type[Options]] = ClassificationOptions
    result: ClassVar[type[Result]] = Classification
    best: ClassVar[str] = "highest:accuracy"
    default_tokenizer: ClassVar[str] = "words"

    labels: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        Field(max_length=MOST, description="The classes; those of the training data where none are given."),
    ] = ()
    pooling: Annotated[
        str,
        Field(
            pattern=rf"^{_POOL}(\+{_POOL})*$",
            description="How outputs become one vector: last, max, mean, attention, or several joined by +.",
        ),
    ] = "attention+max"
    embedding_size: Annotated[
        int, Field(ge=1, le=65_536, description="Width of the learned vectors that stand for tokens.")
    ] = 128
    token_dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Share of tokens whose vectors are blanked while training.")
    ] = 0.0
    embedding_dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the vectors the recurrent model is fed.")
    ] = 0.0
    output_dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the vector the output layer is fed.")
    ] = 0.0
    label_smoothing: Annotated[
        float,
        Field(
            ge=0.0, lt=1.0, description="Share of each training target spread over all classes (Szegedy et al. 2016)."
        ),
    ] = 0.0
    balance: Annotated[
        bool, Field(description="Weigh classes while training by how rare they are in the training data.")
    ] = False
    class_weights: Annotated[
        tuple[Annotated[float, Field(gt=0.0, le=1e6)], ...],
        Field(max_length=MOST, description="Weights of the classes while training, in the order of labels."),
    ] = ()
    longest: Annotated[
        int | None,
        Field(
            ge=2,
            le=10_000_000,
            description="Tokens of a text read while training: of longer ones the first and the last half as many.",
        ),
    ] = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        pools = self.pooling.split("+")
        if len(set(pools)) < len(pools):
            raise ValueError(f"pooling = {self.pooling!r} names one way twice")
        if len(set(self.labels)) < len(self.labels) or len(self.labels) == 1:
            raise ValueError("labels must be at least two different ones")
        if any(label != label.strip() for label in self.labels):
            raise ValueError("labels must not begin or end with white space")
        if self.labels and self.class_weights and len(self.labels) != len(self.class_weights):
            raise ValueError(f"there are {len(self.class_weights)} class_weights for {len(self.labels)} labels")
        return self

    def completed(self, rows: Sequence[Mapping[str, Any]]) -> Self:
        """With the labels of the training rows, and their weights where they are to be balanced.

        Raises:
            DataError: labels that cannot be used.
        """
        if self.labels and (self.class_weights or not self.balance):
            return self
        found = [label_shares(row.get("label")) for row in rows]
        labels = self.labels or learned(label for shares in found for label in shares)
        weights = balanced(found, labels) if self.balance and not self.class_weights else self.class_weights
        return type(self).model_validate({**self.model_dump(), "labels": labels, "class_weights": weights})
