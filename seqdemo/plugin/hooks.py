"""The hooks a plugin may implement, and the version of the contract they belong to."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from .records import ModelRecord, TaskRecord, TokenizerRecord

__all__ = ["CONTRACT", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "seqdemo"

CONTRACT = (1, 0)
"""Major, minor. A minor step only adds; a major step may break. A plugin module states the version it was
written for as ``seqdemo_contract = "1.0"``; none stated means ``"1.0"``."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def seqdemo_tokenizers() -> Iterable[TokenizerRecord]:  # type: ignore[empty-body]
    """Announce tokenizers."""


@hookspec
def seqdemo_models() -> Iterable[ModelRecord]:  # type: ignore[empty-body]
    """Announce recurrent models."""


@hookspec
def seqdemo_tasks() -> Iterable[TaskRecord]:  # type: ignore[empty-body]
    """Announce task heads."""
