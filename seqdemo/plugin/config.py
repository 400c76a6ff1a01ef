"""Config and option schemas: the one source for CLI flags, page controls and API fields. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seqdemo.errors import ConfigError

from .records import Column
from .results import Result

__all__ = [
    "BeamOptions",
    "Config",
    "ModelConfig",
    "Options",
    "SamplingOptions",
    "TaskConfig",
    "TokenizerConfig",
    "build",
]

S = TypeVar("S", bound="_Schema")


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class Config(_Schema):
    """What is fixed when a part is built, and saved in its checkpoint. Every field carries a description."""


class Options(_Schema):
    """What may differ from one prediction to the next. Every field carries a default and a description.

    ``json_schema_extra={"page": value}`` on a field is what the page begins with for a single input, where somebody
    looks at the result; work on many inputs begins with the default. Where the input is too long for a value of a
    ``Literal``, the page tries those before it.
    """


class TokenizerConfig(Config):
    """Base of a tokenizer's config."""


class ModelConfig(Config):
    """Base of a recurrent model's config; its fields have short flags: ``--hidden``, ``--layers``, ``--dropout``."""

    hidden_size: Annotated[int, Field(ge=1, le=65_536, description="Width of the hidden state of each layer.")] = 256
    num_layers: Annotated[int, Field(ge=1, le=64, description="Number of stacked layers.")] = 1
    dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the output of every layer except the last.")
    ] = 0.0


class TaskConfig(Config):
    """Base of a task head's config. The class variables say, without torch, what the head is made of and fed with.

    Class attributes:
        tokenizer_roles: tokenizers the head takes, by role.
        model_roles: recurrent models the head takes, by role; each role prefixes its part of the state.
        columns: the named columns of its data.
        batching: ``"streams"`` (state carried across contiguous windows) or ``"examples"``.
        options: the schema of its prediction options.
        result: the type of its results, by which the page chooses the tab that shows them; plain ``Result`` where it is
            not said.
        best: by which metric the best checkpoint is chosen: ``"lowest:NAME"`` or ``"highest:NAME"``.
        default_tokenizer: registered name of the tokenizer it is trained with where none is named.
    """

    tokenizer_roles: ClassVar[tuple[str, ...]] = ("text",)
    model_roles: ClassVar[tuple[str, ...]] = ("decoder",)
    columns: ClassVar[tuple[Column, ...]] = (Column("text"),)
    batching: ClassVar[Literal["streams", "examples"]] = "examples"
    options: ClassVar[type[Options]] = Options
    result: ClassVar[type[Result]] = Result
    best: ClassVar[str] = "lowest:loss"
    default_tokenizer: ClassVar[str] = "char"

    def completed(self, rows: Sequence[Mapping[str, Any]]) -> Self:
        """This config with what it takes from the data (labels, say); by default it is complete as it is.

        Called once, before a new head is trained; what comes back is saved in the checkpoint. It depends on nothing
        but the config and the rows, so that a run which is resumed gets the same.

        Args:
            rows: to be trained on, column name -> value.

        Raises:
            DataError: the rows do not hold what is needed.
        """
        return self


class SamplingOptions(Options):
    """How the next token is chosen, and when to stop. The options of every head that emits tokens.

    ``json_schema_extra={"usual": [low, high]}`` on a number is the range a slider offers; more is accepted elsewhere.
    """

    max_tokens: Annotated[int, Field(ge=0, le=10_000_000, description="Stop after this many tokens.")] = 200
    temperature: Annotated[
        float,
        Field(
            ge=0.0,
            le=100.0,
            description="Logits are divided by this; 0 always takes the likeliest token.",
            json_schema_extra={"usual": [0, 2]},
        ),
    ] = 0.8
    top_k: Annotated[int, Field(ge=0, description="Keep only the k likeliest tokens; 0 keeps all.")] = 0
    top_p: Annotated[
        float, Field(gt=0.0, le=1.0, description="Keep the fewest likeliest tokens whose probability reaches this.")
    ] = 1.0
    min_p: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Drop tokens less likely than this share of the likeliest one.")
    ] = 0.0
    repetition_penalty: Annotated[
        float,
        Field(
            gt=0.0,
            le=10.0,
            description="Divide the score of tokens seen recently; 1 is no penalty.",
            json_schema_extra={"usual": [0.5, 2]},
        ),
    ] = 1.0
    repetition_window: Annotated[
        int, Field(ge=0, le=4096, description="How many of the last tokens count as seen recently.")
    ] = 64
    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        Field(max_length=16, description="Texts that end the reply; they are not part of it."),
    ] = ()
    seed: Annotated[
        int | None,
        Field(
            ge=0, lt=2**63, description="The same seed gives the same text; none draws a new one, which is reported."
        ),
    ] = None
    alternatives: Annotated[
        int, Field(ge=0, le=50, description="How many of the likeliest tokens to report at each position.")
    ] = 5
    timeout: Annotated[
        float | None, Field(gt=0.0, description="Stop after this many seconds, waiting for a turn included.")
    ] = None
    exact: Annotated[
        bool, Field(description="The same text whatever else is generated at the same time, bit for bit; slower.")
    ] = False


class BeamOptions(SamplingOptions):
    """Options of a head whose text is searched for rather than drawn: the likeliest one, by beam search.

    With ``temperature`` above 0 tokens are drawn after all, one text, and the options of the search mean nothing.
    """

    temperature: Annotated[
        float,
        Field(
            ge=0.0,
            le=100.0,
            description="0 takes the likeliest text; above, tokens are drawn, logits divided by this.",
            json_schema_extra={"usual": [0, 2]},
        ),
    ] = 0.0
    alternatives: Annotated[
        int, Field(ge=0, le=50, description="How many of the likeliest tokens to report at each position of a stream.")
    ] = 0
    beam_size: Annotated[
        int, Field(ge=1, le=64, description="Texts pursued at the same time; 1 takes the likeliest token each time.")
    ] = 1
    n_best: Annotated[
        int, Field(ge=1, le=64, description="How many of the texts found to give, of at most beam_size.")
    ] = 1
    length_penalty: Annotated[
        float,
        Field(
            ge=0.0,
            le=5.0,
            description="Log-probabilities are divided by ((5 + tokens) / 6) to this power "
            "(Wu et al. 2016, eq. 14): 0 favours short texts.",
            json_schema_extra={"usual": [0, 2]},
        ),
    ] = 1.0
    coverage_penalty: Annotated[
        float,
        Field(
            ge=0.0,
            le=5.0,
            description="Weight of the penalty on source tokens that had little attention in all "
            "(Wu et al. 2016, eq. 14).",
            json_schema_extra={"usual": [0, 1]},
        ),
    ] = 0.0

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.n_best > self.beam_size:
            raise ValueError(f"n_best = {self.n_best} texts need a beam_size of as many, which is {self.beam_size}")
        if self.beam_size > 1 and self.drawing:
            raise ValueError(f"{self.drawing} is for drawing tokens, beam_size for searching: leave one of them out")
        return self

    @property
    def drawing(self) -> str:
        """The first option that only drawing token by token can follow; empty where the text is searched for."""
        plain = {"temperature": 0.0, "repetition_penalty": 1.0, "stop": ()}
        return next((name for name, value in plain.items() if getattr(self, name) != value), "")


def build(schema: type[S], values: Mapping[str, Any], what: str) -> S:
    """Validate values by a schema.

    Args:
        what: what the values are for, as the error should call it (``"model 'lstm'"``).

    Raises:
        ConfigError: one line naming the first wrong field, what it was, and what is accepted.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(schema.model_fields)
            raise ConfigError(f"There is no option {field!r} for {what}. Accepted: {known}.") from error
        detail = first["msg"].removeprefix("Value error, ")
        detail = detail[:1].lower() + detail[1:]
        if not field:
            raise ConfigError(f"The values for {what} do not go together: {detail}.") from error
        raise ConfigError(f"{field} = {first['input']!r} is not accepted for {what}: {detail}.") from error
