"""What the page asks of the SDK. Nothing heavy is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from seqdemo import adding
from seqdemo.adding import Offer
from seqdemo.errors import SeqdemoError
from seqdemo.plugin import Event, Generation, TaskConfig
from seqdemo.pretrained import CheckpointRecord
from seqdemo.store import Database, opened

from .kinds import talks

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
    def predictors(self) -> Sequence[Checkpoint]: ...
    def tasks(self) -> Mapping[str, type[TaskConfig]]: ...
    def preferences(self, name: str) -> Mapping[str, Any]: ...
    def load(self, name: str) -> Any: ...
    def installed(self) -> Sequence[CheckpointRecord]: ...
    def offer(self, place: str) -> Offer: ...
    def add(self, chosen: Offer, name: str) -> CheckpointRecord: ...
    def plugins(self, reload: bool = False) -> Sequence[Any]: ...
    def database(self) -> Database: ...


class Sdk:
    """The installed seqdemo."""

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Every checkpoint that can be talked to, by name, and every one that cannot be loaded."""
        import seqdemo

        tasks = self.tasks()
        found = seqdemo.available("checkpoints")
        return [record for record in found if record.problem or (record.task in tasks and talks(tasks[record.task]))]

    def predictors(self) -> Sequence[Checkpoint]:
        """Every other one that can be loaded: it gives results of some other type."""
        import seqdemo

        tasks = self.tasks()
        found = [record for record in seqdemo.available("checkpoints") if not record.problem]
        return [record for record in found if record.task in tasks and not talks(tasks[record.task])]

    def tasks(self) -> Mapping[str, type[TaskConfig]]:
        """The configs of all tasks that can be imported, under every name that reaches one."""
        from seqdemo.manager import manager

        known = manager()
        found: dict[str, type[TaskConfig]] = {}
        for name in known.records("tasks"):
            try:
                config = known.config_class("tasks", name)
            except SeqdemoError:
                continue  # the list of plugins says why
            if issubclass(config, TaskConfig):
                found[name] = config
        return found

    def preferences(self, name: str) -> Mapping[str, Any]:
        """Prediction options the checkpoint prefers to the schema's defaults."""
        import seqdemo

        found = [record.options for record in seqdemo.available("checkpoints") if record.name == name]
        return found[0] if found else {}

    def load(self, name: str) -> Any:
        """The checkpoint's pipeline."""
        import seqdemo

        return seqdemo.load(name)

    def installed(self) -> Sequence[CheckpointRecord]:
        """Every checkpoint that has a name, whatever it is for."""
        import seqdemo

        return seqdemo.available("checkpoints")

    def offer(self, place: str) -> Offer:
        """What there is to add in a folder or on the hub."""
        return adding.offer(place)

    def add(self, chosen: Offer, name: str) -> CheckpointRecord:
        """Add it."""
        return adding.add(chosen, name)

    def plugins(self, reload: bool = False) -> Sequence[Any]:
        """Every plugin, and what failed in it."""
        import seqdemo

        return seqdemo.plugins(reload=reload)

    def database(self) -> Database:
        """Where conversations are kept."""
        return opened()
