"""The hooks a plugin may implement, and the version of the contract they belong to."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from .records import LoaderRecord, ModelRecord, StepperRecord, TaskRecord, TokenizerRecord

__all__ = ["CONTRACT", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "seqdemo"

CONTRACT = (1, 6)
"""Major, minor. A minor step only adds; a major step may break. A plugin module states the version it was
written for as ``seqdemo_contract = "1.0"``; none stated means ``"1.0"``."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def seqdemo_tokenizers() -> Iterable[TokenizerRecord]:  # type: ignore[empty-body]
    """Announce tokenizers.

    Called once at each scan: when seqdemo first looks for plugins, and whenever it is asked to scan again. A record's
    config is imported when its options are listed or read, its implementation when one is built.

    Returns:
        records whose implementation is a ``Tokenizer`` and whose config is a ``TokenizerConfig``, which imports no
        torch.

    Errors:
        What the hook raises, and each record that cannot be used, is listed as a problem of the plugin; its other
        records are kept. Errors of an import reach whoever asked for that name, and the list.

    Since:
        1.0
    """


@hookspec
def seqdemo_models() -> Iterable[ModelRecord]:  # type: ignore[empty-body]
    """Announce recurrent models.

    Called once at each scan: when seqdemo first looks for plugins, and whenever it is asked to scan again. A record's
    config is imported when its options are listed or read, its implementation when one is built.

    Returns:
        records whose implementation is a ``RecurrentModel``, or a ``Cell`` that is stacked by its config, and whose
        config is a ``ModelConfig``, which imports no torch.

    Errors:
        What the hook raises, and each record that cannot be used, is listed as a problem of the plugin; its other
        records are kept. Errors of an import reach whoever asked for that name, and the list.

    Since:
        1.0
    """


@hookspec
def seqdemo_tasks() -> Iterable[TaskRecord]:  # type: ignore[empty-body]
    """Announce task heads.

    Called once at each scan: when seqdemo first looks for plugins, and whenever it is asked to scan again. A record's
    config is imported when its options are listed or read, its implementation when one is built.

    Returns:
        records whose implementation is a ``TaskHead`` and whose config is a ``TaskConfig``, which imports no torch.

    Errors:
        What the hook raises, and each record that cannot be used, is listed as a problem of the plugin; its other
        records are kept. Errors of an import reach whoever asked for that name, and the list.

    Since:
        1.0
    """


@hookspec
def seqdemo_checkpoints() -> Iterable[LoaderRecord]:  # type: ignore[empty-body]
    """Announce loaders of checkpoint folders that other programs wrote.

    Called once at each scan. Whenever a folder without ``seqdemo.json`` is to be loaded or listed, each loader's config
    is asked ``matches(folder)``, built-ins first, then distributions by name; the first that says yes describes it for
    listings and loads it.

    Returns:
        records whose implementation is a ``Loader`` and whose config is a ``LoaderConfig``, which imports no torch.

    Errors:
        What ``matches`` or ``describe`` raises is listed as a problem of the plugin, and the folder is treated as not
        recognised. What ``load`` raises reaches the user: make it a ``CheckpointError`` that says what to do.

    Since:
        1.1
    """


@hookspec
def seqdemo_steppers() -> Iterable[StepperRecord]:  # type: ignore[empty-body]
    """Announce steppers: pipelines prepared for one-token work.

    Called once at each scan. When a pipeline first generates, each stepper's config is asked ``offers(head, device)``,
    distributions by name, built-ins last; the first that offers the precision asked for (with ``"auto"``: any) is
    built. Heads that nobody serves are stepped through ``TokenHead.next``.

    Returns:
        records whose implementation is a ``Prepared`` and whose config is a ``StepperConfig``, which imports no torch.

    Errors:
        What ``offers`` or building raises is listed as a problem of the plugin, and the next stepper is asked.

    Since:
        1.1
    """
