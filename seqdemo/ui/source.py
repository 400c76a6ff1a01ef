"""What the page asks of the SDK. Nothing heavy is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from seqdemo.errors import SeqdemoError
from seqdemo.plugin import Event, Generation, SamplingOptions, TaskConfig
from seqdemo.store import Database, opened

__all__ = ["Checkpoint", "Sdk", "Source", "Stream"]


class Checkpoint(Protocol):
    """A checkpoint, as listings show it."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def examples(self) -> tuple[str, ...]: ...
    @property
    def problem(self) -> str: ...


class Stream(Protocol):
    """Events of one reply; closing it stops the work behind it."""

    def __iter__(self) -> Iterator[Event]: ...
    def close(self) -> None: ...
    def generation(self) -> Generation: ...


class Source(Protocol):
    """Everything the page shows comes from here, so that tests can put something else in its place."""

    def checkpoints(self) -> Sequence[Checkpoint]: ...
    def preferences(self, name: str) -> Mapping[str, Any]: ...
    def load(self, name: str) -> Any: ...
    def plugins(self, reload: bool = False) -> Sequence[Any]: ...
    def database(self) -> Database: ...


def _generates(task: str) -> bool:
    """Whether a task writes text: its options are those of sampling."""
    from seqdemo.manager import manager

    try:
        config = manager().config_class("tasks", task)
    except SeqdemoError:
        return False
    return issubclass(config, TaskConfig) and issubclass(config.options, SamplingOptions)


class Sdk:
    """The installed seqdemo."""

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Every generator that can be loaded by name."""
        import seqdemo

        return [record for record in seqdemo.available("checkpoints") if record.problem or _generates(record.task)]

    def preferences(self, name: str) -> Mapping[str, Any]:
        """Prediction options the checkpoint prefers to the schema's defaults."""
        import seqdemo

        found = [record.options for record in seqdemo.available("checkpoints") if record.name == name]
        return found[0] if found else {}

    def load(self, name: str) -> Any:
        """The checkpoint's pipeline."""
        import seqdemo

        return seqdemo.load(name)

    def plugins(self, reload: bool = False) -> Sequence[Any]:
        """Every plugin, and what failed in it."""
        import seqdemo

        return seqdemo.plugins(reload=reload)

    def database(self) -> Database:
        """Where conversations are kept."""
        return opened()
