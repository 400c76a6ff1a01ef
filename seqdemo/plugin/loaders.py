"""Loaders: folders of other programs as pipelines. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .config import Config

if TYPE_CHECKING:
    import torch

    from .tasks import TaskHead

__all__ = ["FolderInfo", "Foreign", "Loader", "LoaderConfig"]


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """What a listing shows of a folder before anything of it is loaded.

    Attributes:
        summary: one sentence.
        model: what kind of model it holds, in one word.
        task: registered task in whose place it is used.
        nbytes: size of its weights on disk.
        options: prediction options it prefers to the schema's defaults.
    """

    summary: str
    model: str
    task: str = "generation"
    nbytes: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A folder of another program in memory.

    Attributes:
        head: does the work; float parameters in the dtype asked for, on the CPU, in evaluation mode.
        fingerprint: SHA-256 in hexadecimal of all that states depend on: the weights and how they are configured.
        card: text of the model card, or empty.
    """

    head: TaskHead
    fingerprint: str
    card: str = ""


class LoaderConfig(Config):
    """The light half of a loader: tells its folders from others. Its module imports neither torch nor the program.

    Class attributes:
        probe: patterns of the small files that ``matches`` and ``describe`` read; fetched first from a hub.
        files: patterns of everything ``load`` reads; a hub download fetches nothing else. Never pickled files.
    """

    probe: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()

    def matches(self, folder: Path) -> bool:
        """Whether this loader reads the folder. Fast, and false rather than an error for anything strange."""
        raise NotImplementedError(f"{type(self).__name__} must define matches(folder).")

    def describe(self, folder: Path) -> FolderInfo:
        """What listings show of a folder that matches."""
        raise NotImplementedError(f"{type(self).__name__} must define describe(folder).")


class Loader(ABC):
    """The working half of a loader; built as ``cls(config)``.

    Args:
        config: an instance of the record's config class.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def load(self, folder: Path, dtype: torch.dtype) -> Foreign:
        """Read a folder that matches.

        Args:
            dtype: of the floating-point parameters in memory.

        Raises:
            CheckpointError: truncated, of a foreign shape, or in a form that is never read, such as pickled weights.
        """
