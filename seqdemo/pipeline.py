"""What ``load`` returns: tokenizers, task head and recurrent models, ready to use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast, overload

import torch

from . import checkpoint
from .decoding import Notebook, Request, Session, Stepping, Stream, check_precision, engine, search, stepping
from .devices import resolve_device, resolve_dtype
from .errors import BusyError, ConfigError, DataError
from .manifest import Manifest
from .parts import Parts, assemble, by_role, spec, train_tokenizer
from .plugin import BeamOptions, Generation, Result, SamplingOptions, TaskHead, TokenHead, Tokenizer
from .plugin import state as verbs
from .plugin.config import build
from .scoring import Score, score

__all__ = ["Pipeline", "count_parameters", "load", "pipeline"]

_PREDICTED = 64
"""Inputs that are taken from an iterator at a time."""


class Pipeline:
    """Tokenizers, a task head and recurrent models, ready to use. Made by ``load``, ``train`` or ``pipeline``.

    Attributes:
        name: what it was loaded by.
        card: text of its model card.
        folder: where it was loaded from, if it was.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        name: str = "unsaved",
        device: torch.device | str = "cpu",
        manifest: Manifest | None = None,
        card: str = "",
        folder: Path | None = None,
        precision: str = "auto",
    ) -> None:
        self.parts = parts
        self.name = name
        self.card = card
        self.folder = folder
        self.manifest = manifest
        self._device = resolve_device(device)
        self.head.to(self._device).eval()
        if isinstance(self.head, TokenHead):
            check_precision(self.head, self._device, precision)
            self.head.precision = precision
        elif precision != "auto":
            raise ConfigError(f"precision = {precision!r} is for pipelines that emit tokens; {self.task} does not.")

    def __repr__(self) -> str:
        models = ", ".join(chosen.name for chosen in self.parts.models.values())
        return f"<Pipeline {self.name!r}: {self.task} with {models} on {self.device}, {self.parameters:,} parameters>"

    @property
    def head(self) -> TaskHead:
        """The task head, a torch module that holds everything."""
        return self.parts.head

    @property
    def task(self) -> str:
        """Registered name of the task."""
        return self.parts.task.name

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """By role."""
        return self.head.tokenizers

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights in memory."""
        return next((p.dtype for p in self.head.parameters() if p.is_floating_point()), torch.float32)

    @property
    def stepper(self) -> Stepping:
        """What makes its tokens: the stepper's name, its precision, and why that was chosen."""
        return stepping(self._token_head(), self._device)

    @property
    def parameters(self) -> int:
        """Number of trainable values; shared ones count once."""
        return sum(p.numel() for p in self.head.parameters())

    @property
    def fingerprint(self) -> str:
        """Identifies the weights that states were made by."""
        return self.manifest.fingerprint if self.manifest is not None else f"unsaved-{id(self.parts):x}"

    def to(self, device: str | torch.device) -> Pipeline:
        """Move to another device, in place.

        Raises:
            DeviceError: no such device here.
        """
        self._device = resolve_device(device)
        self.head.to(self._device)
        return self

    # --- generation ---------------------------------------------------------------------------------------------

    def _token_head(self) -> TokenHead:
        if not isinstance(self.head, TokenHead):
            raise ConfigError(f"{self.name!r} is a {self.task} pipeline and emits no tokens. Use predict(inputs).")
        return self.head

    def options(self, given: Mapping[str, Any]) -> SamplingOptions:
        """Validated prediction options: the schema's defaults, the checkpoint's preferences, then what was given.

        Raises:
            ConfigError: naming the first option that is unknown or out of bounds.
        """
        preferred = self.manifest.options if self.manifest is not None else {}
        chosen = build(self.head.config.options, {**preferred, **given}, f"task {self.task!r}")
        return cast(SamplingOptions, chosen)

    def stream(self, prompt: str = "", **options: Any) -> Stream:
        """Continue a prompt, event by event: ``Prefill`` …, ``Token`` …, ``Done``. Closing it stops it.

        Raises:
            ConfigError: an option is not accepted, or asks for a search; one the checkpoint prefers gives way.
            TokenizerError: the prompt cannot be expressed in the model's vocabulary.
        """
        head = self._token_head()
        if issubclass(head.config.options, BeamOptions):
            options = {"beam_size": 1, "n_best": 1} | options
        chosen = self.options(options)
        if isinstance(chosen, BeamOptions) and chosen.beam_size > 1:
            why = f"With beam_size = {chosen.beam_size} no token is certain before the end, so there is no stream."
            raise ConfigError(f"{why} Set beam_size = 1, or use predict.")
        row = {self._column: prompt}
        request = Request(head=head, ids=head.prompt(row), options=chosen, row=row)
        return engine(self._device).submit(request)

    @overload
    def generate(self, prompt: str = "", **options: Any) -> Generation: ...
    @overload
    def generate(self, prompt: Sequence[str], **options: Any) -> list[Generation]: ...
    def generate(self, prompt: str | Sequence[str] = "", **options: Any) -> Generation | list[Generation]:
        """Continue a prompt, or each of a list. ``str()`` of a result is the generated text.

        Raises:
            ConfigError, TokenizerError: as ``stream``.
        """
        if isinstance(prompt, str):
            return self.generate([prompt], **options)[0]
        head = self._token_head()
        chosen = self.options(options)
        if isinstance(chosen, BeamOptions) and not chosen.drawing:
            searched = search(head, [{self._column: one} for one in prompt], chosen, self._device)
            return [cast(Generation, head.result(decoded)) for decoded in searched]
        found: list[Generation] = []
        running: deque[Stream] = deque()
        for one in prompt:
            while len(running) == engine(self._device).capacity or (stream := self._try(one, options, running)) is None:
                found.append(cast(Generation, head.result(running.popleft().decoded())))
            running.append(stream)
        return found + [cast(Generation, head.result(stream.decoded())) for stream in running]

    def _try(self, prompt: str, options: Mapping[str, Any], running: Sequence[Stream]) -> Stream | None:
        """A stream; None when the engine is busy, and will not be once one of those running has ended."""
        try:
            return self.stream(prompt, **options)
        except BusyError:
            if not running:
                raise
            return None

    def session(self, **defaults: Any) -> Session:
        """A conversation; ``defaults`` are options for every reply in it."""
        return Session(self._token_head(), self.options(defaults), self.fingerprint, self._device)

    def notebook(self, **defaults: Any) -> Notebook:
        """Goes on writing any text; ``defaults`` are options for every passage."""
        return Notebook(self._token_head(), self.options(defaults), self._device)

    def load_session(self, path: str | Path, *, rebuild: bool = False) -> Session:
        """A conversation that was saved.

        Args:
            rebuild: read the token ids again where the saved states do not fit this pipeline.

        Raises:
            SessionError: it was saved by other weights.
        """
        return Session.load(
            path, self._token_head(), fingerprint=self.fingerprint, device=self._device, rebuild=rebuild
        )

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """``predict``, in the shape of its input: a result for one input, a list for a list, and for an iterator an
        iterator that reads on as results are taken from it.
        """
        if not isinstance(inputs, Iterator):
            return self.predict(inputs, **options)
        groups = iter(lambda: list(islice(inputs, _PREDICTED)), [])
        return (result for group in groups for result in self.predict(group, **options))

    def predict(self, inputs: Any, **options: Any) -> Any:
        """A typed result for an input (or a list for a list): a text, or a mapping of the task's columns."""
        if isinstance(self.head, TokenHead):
            texts = inputs if isinstance(inputs, str) else [self._text(one) for one in _listed(inputs)]
            found = self.generate(texts, **options)
            return found[0] if isinstance(inputs, Mapping) and isinstance(found, list) else found
        rows = [one if isinstance(one, Mapping) else {self._column: one} for one in _listed(inputs)]
        chosen = build(self.head.config.options, options, f"task {self.task!r}")
        made = engine(self._device).work(self.head.predicting(rows, chosen))
        results: list[Result] = [result for result in made if result is not None]
        return results[0] if isinstance(inputs, str | Mapping) else results

    @property
    def _column(self) -> str:
        """What a bare input is called in the task's data."""
        return self.head.config.columns[0].name

    def _text(self, row: Any) -> str:
        if not isinstance(row, Mapping):
            return str(row)
        if self._column not in row:
            raise DataError(f"An input needs {self._column!r}; this one has: {', '.join(map(str, row)) or 'nothing'}.")
        return str(row[self._column])

    # --- measuring ----------------------------------------------------------------------------------------------

    def score(self, text: str, **given: Any) -> Score:
        """How probable the model finds each token of a text, read after the token that starts one.

        Args:
            given: by column, the input that the text is an answer to (``source="…"`` of a translation).

        Raises:
            TokenizerError: the text is empty or cannot be expressed in the model's vocabulary.
            DataError: the task needs an input.
        """
        return score(self._token_head(), text, self._device, given)

    @property
    def state_bytes(self) -> int:
        """Bytes of one conversation's state, whatever its length."""
        return verbs.nbytes(engine(self._device).run(lambda: self._token_head().start([{self._column: ""}])[1]))

    def evaluate(self, data: str | Path | Sequence[str | Path], **options: Any) -> dict[str, float]:
        """The task's metrics on data files; see :func:`seqdemo.evaluate`."""
        from .training import evaluate

        return evaluate(self, data, **options)

    # --- disk ---------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, *, card: str | None = None, dtype: str = "float32", **about: Any) -> Path:
        """Write a checkpoint folder.

        Args:
            folder: where; created, or replaced where it already holds a checkpoint.
            card: text of the model card; the pipeline's own when None.
            dtype: floating-point type on disk: ``float32``, ``float16``, ``bfloat16`` or ``float64``.
            about: manifest fields: ``summary``, ``license``, ``examples``, ``options``, ``metrics``.

        Raises:
            CheckpointError, ConfigError, SeqdemoError: as :func:`seqdemo.checkpoint.save`.
        """
        place = Path(folder)
        kept = {}
        if self.manifest is not None:
            fields = ("summary", "license", "examples", "options", "metrics")
            kept = {field: getattr(self.manifest, field) for field in fields}
        text = self.card if card is None else card
        self.manifest = checkpoint.save(self.parts, place, card=text, dtype=dtype, about={**kept, **about})
        self.card, self.folder, self.name = text, place, place.name
        return place


def _listed(inputs: Any) -> list[Any]:
    return [inputs] if isinstance(inputs, str | Mapping) else list(inputs)


def load(
    name: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype | None = None,
    precision: str = "auto",
    local_files_only: bool = False,
) -> Pipeline:
    """Load a pipeline.

    Args:
        name: a checkpoint folder, the name of a shipped or an own checkpoint, or a hub id ``owner/name``.
        device: ``"auto"`` is CUDA where there is one.
        dtype: of the weights in memory: ``"float32"`` (None), ``"bfloat16"``, ``"float16"`` or ``"float64"``.
        precision: what tokens are generated in: ``"fp32"``, ``"bf16"``, ``"int8"``, or ``"auto"``, which follows the
            size of the model and says what it chose in ``Pipeline.stepper``. Everything else is in ``dtype``.
        local_files_only: never ask the hub.

    Raises:
        UnknownNameError, CheckpointError, PluginError, DeviceError, ConfigError: each saying what to do next.
    """
    where = resolve_device(device)
    found = checkpoint.load(name, dtype=resolve_dtype(dtype), local_files_only=local_files_only)
    return Pipeline(
        found.parts,
        name=Path(name).name if found.folder == Path(name).expanduser() else str(name),
        device=where,
        manifest=found.manifest,
        card=found.card,
        folder=found.folder,
        precision=precision,
    )


def pipeline(
    task: str = "generation",
    *,
    model: Any = "lstm",
    tokenizer: Any = "bytes",
    texts: Sequence[str] = (),
    model_config: Mapping[str, Any] | None = None,
    tokenizer_config: Mapping[str, Any] | None = None,
    task_config: Mapping[str, Any] | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    seed: int = 0,
) -> Pipeline:
    """A pipeline with fresh, untrained weights.

    Args:
        task: registered task.
        model, tokenizer: registered name, or a mapping from role to name.
        texts: what the tokenizers learn their vocabulary from, where they need any.
        model_config, tokenizer_config, task_config: config values.
        device: ``"auto"`` is CUDA where there is one.
        precision: as :func:`load` takes it.
        seed: of the initial weights.

    Raises:
        UnknownNameError, ConfigError, DataError: a name or value that is not accepted, or too little text.
    """
    where = resolve_device(device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = _assembled(task, model, tokenizer, texts, model_config, tokenizer_config, task_config)
    return Pipeline(parts, device=where, precision=precision)


def count_parameters(
    task: str = "generation",
    *,
    model: Any = "lstm",
    tokenizer: Any = "bytes",
    texts: Sequence[str] = (),
    model_config: Mapping[str, Any] | None = None,
    tokenizer_config: Mapping[str, Any] | None = None,
    task_config: Mapping[str, Any] | None = None,
) -> int:
    """How many trainable values :func:`pipeline` would make of the same arguments; no memory is taken for them.

    Raises:
        UnknownNameError, ConfigError, DataError: as ``pipeline``.
    """
    parts = _assembled(task, model, tokenizer, texts, model_config, tokenizer_config, task_config, "meta")
    return sum(p.numel() for p in parts.head.parameters())


def _assembled(
    task: str,
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    model_config: Mapping[str, Any] | None,
    tokenizer_config: Mapping[str, Any] | None,
    task_config: Mapping[str, Any] | None,
    device: str | None = None,
) -> Parts:
    head = spec("tasks", task, task_config)
    roles = cast(Any, head.config)
    models = {
        role: spec("models", name, model_config) for role, name in by_role(roles.model_roles, model, "model").items()
    }
    tokenizers = {
        role: train_tokenizer(spec("tokenizers", name, tokenizer_config), texts)
        for role, name in by_role(roles.tokenizer_roles, tokenizer, "tokenizer").items()
    }
    return assemble(head, models, tokenizers, device)
