"""The registry of plugins: who announced what, under which name, and what went wrong. Imports no torch.

One broken plugin takes nothing else down: each is imported, read and called by itself, and whatever it does wrong is
kept as a :class:`Problem` of that plugin.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from . import plugin as sdk
from .announced import KINDS, Announced, announced, heavy_names
from .discovery import Problem, canonical, heavy_loaded, isolated, sources
from .errors import PluginError, UnknownNameError
from .plugin import hooks
from .plugin.records import Record

if TYPE_CHECKING:
    from .plugin.config import Config

__all__ = ["KINDS", "Manager", "PluginInfo", "Problem", "Registered", "configure", "manager", "reload"]

_CONFIGS = {
    "tokenizers": "TokenizerConfig",
    "models": "ModelConfig",
    "tasks": "TaskConfig",
    "loaders": "LoaderConfig",
    "steppers": "StepperConfig",
}
_IMPLEMENTATIONS = {"tokenizers": "Tokenizer", "loaders": "Loader", "steppers": "Prepared"}
"""Names in ``seqdemo.plugin`` of the classes that a kind's config and implementation derive from."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What became of one plugin.

    Attributes:
        name: entry-point name, or the name of the file or package in a folder.
        distribution: who it belongs to; it prefixes its records' names: ``distribution:name``.
        version: of the distribution, or empty.
        source: where it was found.
        records: names it registered, by kind.
        problems: what went wrong.
        slow: heavy packages that listing it, or loading its configs, imports.
    """

    name: str
    distribution: str
    version: str
    source: str
    records: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]
    slow: tuple[str, ...]

    @property
    def health(self) -> Literal["ok", "slow", "warning", "failed"]:
        """``"failed"`` when anything is missing, ``"slow"`` or ``"warning"`` when all works but for that."""
        if any(problem.severity == "error" for problem in self.problems):
            return "failed"
        if self.slow:
            return "slow"
        return "warning" if self.problems else "ok"


@dataclass(frozen=True, slots=True)
class Registered:
    """A record and who announced it."""

    record: Record
    distribution: str
    version: str
    plugin: str


class Manager:
    """What one scan found. It does not change, except that problems met later are added to their plugin.

    Args:
        folders: plugin folders beside those in ``SEQDEMO_PLUGINS``.
    """

    def __init__(self, folders: Iterable[str | Path] = ()) -> None:
        self._lock = threading.RLock()
        pm = pluggy.PluginManager(hooks.PROJECT)
        pm.add_hookspecs(hooks)
        self._all = [announced(pm, source) for source in sources(folders)]
        self._names: dict[str, dict[str, Registered]] = {kind: {} for kind in KINDS}
        self._owners: dict[str, dict[str, Announced]] = {kind: {} for kind in KINDS}
        others = sorted(self._all[1:], key=lambda plugin: canonical(plugin.source.distribution))
        for kind in KINDS:
            for plugin in (self._all[0], *others):
                for name in list(plugin.records[kind]):
                    self._claim(kind, name, plugin)

    def _claim(self, kind: str, name: str, plugin: Announced) -> None:
        """Give a plugin's record its full name, and the bare one if nobody before it has that."""
        names, owners, source = self._names[kind], self._owners[kind], plugin.source
        full, thing = f"{canonical(source.distribution)}:{name}", f"{kind[:-1]} {name!r}"
        if full in names:
            first = owners[full].source.name
            message = f"{thing} is announced by {first!r} of the same distribution already; that one is kept."
            plugin.report(Problem("name", message))
            del plugin.records[kind][name]
            return
        names[full] = Registered(plugin.records[kind][name], source.distribution, source.version, source.name)
        owners[full] = plugin
        if name not in names:
            names[name], owners[name] = names[full], plugin
            return
        first = canonical(names[name].distribution)
        message = (
            f"{thing} is announced by {first} and {source.distribution}: "
            f"{name!r} means {first + ':' + name!r}, the other one is {full!r}."
        )
        for claimant in (plugin, owners[name]):
            if claimant is not self._all[0]:
                claimant.report(Problem("name", message, severity="warning"))

    def _shortest(self, kind: str) -> list[str]:
        """The shortest name of each thing: bare, or ``distribution:name`` where another has the bare one."""
        names = self._names[kind]
        return sorted(
            name for name, found in names.items() if ":" not in name or names[name.partition(":")[2]] is not found
        )

    def _known(self, kind: str) -> None:
        if kind not in KINDS:
            raise UnknownNameError("kind of thing", kind, KINDS)

    def plugins(self) -> tuple[PluginInfo, ...]:
        """What became of every plugin: built-ins, then distributions by name, then folders."""
        with self._lock:
            return tuple(
                PluginInfo(
                    plugin.source.name,
                    plugin.source.distribution,
                    plugin.source.version,
                    plugin.source.origin,
                    {kind: tuple(names) for kind, names in plugin.records.items()},
                    tuple(plugin.problems),
                    tuple(plugin.slow),
                )
                for plugin in self._all
            )

    def records(self, kind: str) -> dict[str, Record]:
        """Every reachable name of a kind, ``distribution:name`` included.

        Raises:
            UnknownNameError: no such kind.
        """
        self._known(kind)
        return {name: found.record for name, found in self._names[kind].items()}

    def available(self, kind: str) -> list[Record]:
        """One record for each thing of a kind, under the shortest name that reaches it.

        Raises:
            UnknownNameError: no such kind.
        """
        self._known(kind)
        return [replace(self._names[kind][name].record, name=name) for name in self._shortest(kind)]

    def get(self, kind: str, name: str) -> Registered:
        """Who a name belongs to.

        Raises:
            UnknownNameError: nobody announced it.
        """
        self._known(kind)
        distribution, colon, own = name.rpartition(":")
        found = self._names[kind].get(f"{canonical(distribution)}{colon}{own}")
        if found is None:
            broken = sorted({info.distribution for info in self.plugins() if info.health == "failed"})
            hint = f"These plugins have failed, `seqdemo plugins` says why: {', '.join(broken)}." if broken else ""
            raise UnknownNameError(kind[:-1], name, self._shortest(kind), hint)
        return found

    def _resolve(self, kind: str, name: str, attribute: Literal["config", "implementation"]) -> Any:
        found = self.get(kind, name)
        owner = self._owners[kind][f"{canonical(found.distribution)}:{found.record.name}"]
        module, _, qualified = getattr(found.record, attribute).partition(":")
        failed: list[Problem] = []
        value: Any = None
        before, cached = heavy_loaded(), module in sys.modules
        with isolated(failed.append, attribute, f"The {attribute} of {kind[:-1]} {name!r} cannot be loaded"):
            value = home = importlib.import_module(module)
            for part in qualified.split("."):
                value = getattr(value, part)
            self._check(kind, attribute, value)
            if attribute == "config":
                with self._lock:
                    slow = (heavy_loaded() - before) | (set() if cached else heavy_names(home))
                    owner.mark_slow(slow, "config", f"The config of {kind[:-1]} {name!r}")
        if failed:
            with self._lock:
                owner.report(failed[0])
            who = f"{found.distribution} {found.version}".strip()
            raise PluginError(f"{failed[0].message} It comes with the plugin {found.plugin!r} of {who}.")
        return value

    def _check(self, kind: str, attribute: str, value: Any) -> None:
        base = (_CONFIGS if attribute == "config" else _IMPLEMENTATIONS).get(kind)
        if base is not None:
            if not (isinstance(value, type) and issubclass(value, getattr(sdk, base))):
                raise PluginError(f"{value!r} is not a subclass of seqdemo.plugin.{base}")
        elif not callable(value):
            raise PluginError(f"{value!r} cannot be called")

    def config_class(self, kind: str, name: str) -> type[Config]:
        """The config class of a registered thing; imports its config module only.

        Raises:
            UnknownNameError: nobody announced it.
            PluginError: it cannot be imported, or is not a config class of that kind.
        """
        found: type[Config] = self._resolve(kind, name, "config")
        return found

    def implementation(self, kind: str, name: str) -> Any:
        """The class that does the work.

        Raises:
            UnknownNameError: nobody announced it.
            PluginError: it cannot be imported, or cannot be what it was announced as.
        """
        return self._resolve(kind, name, "implementation")

    def report(self, kind: str, name: str, problem: Problem) -> None:
        """Add a problem to the plugin that announced a name.

        Raises:
            UnknownNameError: nobody announced it.
        """
        found = self.get(kind, name)
        with self._lock:
            self._owners[kind][f"{canonical(found.distribution)}:{found.record.name}"].report(problem)

    def check(self, implementations: bool = False) -> None:
        """Load every config, and every implementation if asked to; what fails is added to its plugin's problems."""
        for kind in KINDS:
            for name in self._shortest(kind):
                for resolve in (self.config_class, *([self.implementation] if implementations else [])):
                    try:
                        resolve(kind, name)
                    except PluginError:
                        continue  # reported already


_lock = threading.RLock()
_manager: Manager | None = None
_folders: tuple[str, ...] = ()
_scanning = False


def manager() -> Manager:
    """The process-wide registry, scanned when first asked for."""
    return _manager if _manager is not None else _scan(None)


def reload() -> Manager:
    """Scan again: folder plugins are imported afresh, failed distributions are tried again.

    What was loaded before keeps working; whoever holds the old manager keeps what it found.
    """
    importlib.invalidate_caches()
    return _scan(_manager)


def configure(folders: Iterable[str | Path]) -> None:
    """Name plugin folders beside those in ``SEQDEMO_PLUGINS``; the next look-up scans."""
    global _folders, _manager
    with _lock:
        _folders, _manager = tuple(map(str, folders)), None


def _scan(stale: Manager | None) -> Manager:
    """A fresh manager, unless another thread has just made one."""
    global _manager, _scanning
    with _lock:
        if _manager is not None and _manager is not stale:
            return _manager
        if _scanning:
            raise PluginError("A plugin asked for the list of plugins while it was being loaded itself.")
        _scanning = True
        try:
            _manager = Manager(_folders)
        finally:
            _scanning = False
        return _manager
