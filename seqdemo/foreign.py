"""Folders that other programs wrote: which loader reads them. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .discovery import isolated
from .manager import manager

if TYPE_CHECKING:
    from .plugin.loaders import FolderInfo, LoaderConfig

__all__ = ["Recognised", "loaders", "nobody", "recognise"]


@dataclass(frozen=True, slots=True)
class Recognised:
    """A folder that a loader reads.

    Attributes:
        loader: registered name.
        config: the loader's light half.
        info: what the folder holds.
    """

    loader: str
    config: LoaderConfig
    info: FolderInfo


def loaders() -> Iterator[tuple[str, LoaderConfig]]:
    """Name and light half of every loader, those that cannot be imported left out."""
    for record in manager().available("loaders"):
        with isolated(lambda _: None, "config", record.name):  # the manager has reported it
            yield record.name, cast("type[LoaderConfig]", manager().config_class("loaders", record.name))()


def recognise(folder: Path) -> Recognised | None:
    """The first loader that reads a folder. One that raises is reported as its plugin's problem and passed over."""
    for name, config in loaders():
        found: list[FolderInfo] = []
        message = f"The loader {name!r} failed on {folder}"
        with isolated(partial(manager().report, "loaders", name), "config", message):
            if config.matches(folder):
                found.append(config.describe(folder))
        if found:
            return Recognised(name, config, found[0])
    return None


def nobody() -> str:
    """Why a folder without a manifest cannot be loaded, and what would help."""
    known = "; ".join(f"{record.name} ({record.summary.rstrip('.')})" for record in manager().available("loaders"))
    return (
        f"no installed loader recognises it. Loaders: {known or 'none'}. "
        "A folder of another program loads once a plugin for it is installed; `seqdemo plugins` lists yours."
    )
