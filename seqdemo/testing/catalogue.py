"""The one list of checks for each kind. It is frozen: what is missing, added, replaced or rewritten fails every run.

The names are written out here, apart from the checks, so that a check cannot vanish with its function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from . import (  # noqa: F401 - they define the checks
    listing,
    model_basics,
    model_batch,
    model_learning,
    model_places,
    model_sequence,
    model_trace,
    task_checks,
    token_checks,
    tokenizer_checks,
)
from .core import FOUND, Check, Kind

__all__ = ["CHECKS", "Description", "broken_list", "describe"]

NAMES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "model": (
            "config_described",
            "imports_without_torch",
            "builds",
            "initial_state_flat",
            "same_seed_same_weights",
            "dtype_follows",
            "input_unchanged",
            "state_unchanged",
            "eval_deterministic",
            "no_hidden_randomness",
            "continuations_agree",
            "sessions_independent",
            "state_size_constant",
            "none_is_initial_state",
            "causality",
            "rows_independent",
            "one_row_one_token",
            "step_equals_forward",
            "any_split",
            "empty_input",
            "rows_of_any_age",
            "ragged_rows",
            "ragged_empty_row",
            "padding_is_zero",
            "gradients_reach",
            "gradients_match",
            "padding_gradients",
            "weights_save_load",
            "state_save_load",
            "device_follows",
            "autocast_keeps_state",
            "two_threads",
            "trace_agrees",
            "trace_shapes",
            "trace_ranges",
            "flat_over_10000_steps",
        ),
        "tokenizer": (
            "config_described",
            "imports_without_torch",
            "builds",
            "every_id_has_bytes",
            "unknown_ids_refused",
            "ids_in_range",
            "empty_text",
            "encoding_repeats",
            "special_tokens_silent",
            "text_gives_no_special_tokens",
            "no_half_characters",
            "decoder_equals_decode",
            "decoder_resumes",
            "lossless",
            "unseen_text_accounted_for",
            "lone_surrogates_refused",
            "saves_and_loads",
            "nothing_pickled",
            "damaged_files_refused",
            "two_threads",
        ),
        "task": (
            "config_described",
            "imports_without_torch",
            "builds",
            "options_default",
            "loss_shape",
            "eval_deterministic",
            "loss_adds_up",
            "padding_does_not_count",
            "metrics_merge",
            "state_prefixed",
            "stream_carries_state",
            "gradients_reach",
            "saves_and_loads",
            "bad_rows_refused",
            "predicts_each_row",
            "next_shape",
            "state_unchanged",
            "next_equals_logits",
            "next_of_nothing",
            "next_ragged",
            "next_traces",
            "token_io_computes",
            "prompt_not_empty",
            "end_and_forbidden_ids",
            "result_is_typed",
        ),
    }
)
"""Names in the order in which the checks run: what others rest on comes first."""

CHECKS: Mapping[Kind, tuple[Check, ...]] = MappingProxyType(
    {kind: tuple(FOUND[kind, name] for name in names) for kind, names in NAMES.items()}
)


def _seal() -> Callable[[], str]:
    kept = {kind: tuple((check, check.run, check.run.__code__) for check in checks) for kind, checks in CHECKS.items()}
    names = {kind: tuple(listed) for kind, listed in NAMES.items()}

    def broken_list() -> str:
        """What is wrong with the list as it stands now, or nothing."""
        for kind, sealed in kept.items():
            now = {check.name: check for check in CHECKS.get(kind, ())}
            for (check, run, code), name in zip(sealed, names[kind], strict=True):
                if name not in now:
                    return f"The {kind} check {name!r} was removed from the list."
                found = now[name]
                if found is not check or found.run is not run or run.__code__ is not code:
                    return f"The {kind} check {name!r} was replaced by something else."
            if tuple(now) != names[kind]:
                return f"The list of {kind} checks was changed: {', '.join(now)}."
        return ""

    return broken_list


broken_list = _seal()


class Description(NamedTuple):
    """A check, for documentation."""

    kind: Kind
    name: str
    summary: str
    cause: str
    mend: str


def describe() -> list[Description]:
    """Every check of every kind, in the order in which they run."""
    return [
        Description(kind, check.name, check.summary, check.cause, check.mend)
        for kind, checks in CHECKS.items()
        for check in checks
    ]
