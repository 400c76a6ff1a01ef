"""Where plugins come from: the built-ins, installed distributions, folders. Each is found and imported by itself."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import metadata, util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal

__all__ = ["GROUP", "HEAVY", "Problem", "Source", "canonical", "describe", "heavy_loaded", "isolated", "sources"]

GROUP = "seqdemo"
"""Entry-point group of plugins."""

BUILTIN = "seqdemo.builtin"
HEAVY = ("torch", "gradio", "pandas", "transformers")
"""Packages that no listing may import."""

Phase = Literal["import", "contract", "hook", "records", "name", "config", "implementation"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with a plugin.

    Attributes:
        phase: when it went wrong.
        message: one line.
        traceback: the whole traceback, where there is one.
        severity: ``"error"`` when something is missing because of it; ``"warning"`` when everything works.
    """

    phase: Phase
    message: str
    traceback: str = ""
    severity: Literal["error", "warning"] = "error"


@dataclass(slots=True)
class Source:
    """A plugin that can be imported.

    Attributes:
        name: entry-point name, or the name of the file or package in a folder.
        distribution: who it belongs to; a plugin of a folder is its own distribution.
        version: of that distribution, or empty.
        origin: where it was found, for people.
        load: imports it and gives the object that carries the hooks; None where it was found broken.
        alias: module name its records may use, and the one it really has; both empty where they are the same.
        problem: why it cannot even be imported.
    """

    name: str
    distribution: str
    version: str
    origin: str
    load: Callable[[], Any] | None = None
    alias: tuple[str, str] = ("", "")
    problem: Problem | None = None


def canonical(name: str) -> str:
    """A distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def describe(error: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def heavy_loaded() -> frozenset[str]:
    """The heavy packages that are imported by now."""
    return frozenset(name for name in HEAVY if name in sys.modules)


@contextmanager
def isolated(report: Callable[[Problem], None], phase: Phase, message: str) -> Iterator[None]:
    """Run a plugin's code: whatever it raises becomes a problem, what it prints goes to stderr.

    Ctrl-C is the user's and passes.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise SystemExit, or anything else
        hint = ""
        if isinstance(error, ModuleNotFoundError) and error.name and message.endswith(f" {error.name!r}"):
            hint = " A package in a plugin folder imports its own modules relatively: from .module import Name."
        report(Problem(phase, f"{message}: {describe(error)}.{hint}", traceback.format_exc()))


@contextmanager
def _clean(module: str) -> Iterator[None]:
    """Import something; if that fails, forget what was newly imported of the module's top-level package."""
    before = set(sys.modules)
    try:
        yield
    except BaseException:
        root = module.partition(".")[0]
        for name in set(sys.modules) - before:
            if name == root or name.startswith(f"{root}."):
                sys.modules.pop(name, None)
        raise


def _load_builtin() -> ModuleType:
    with _clean(BUILTIN):
        return importlib.import_module(BUILTIN)


def builtin() -> Source:
    """The built-in plugin."""
    try:
        version = metadata.version("seqdemo")
    except metadata.PackageNotFoundError:
        version = ""
    return Source("builtin", "seqdemo", version, "built in", _load_builtin)


def _entry_loader(entry: metadata.EntryPoint) -> Callable[[], Any]:
    def load() -> Any:
        with _clean(entry.value.partition(":")[0].strip()):
            return entry.load()

    return load


def _entry_points() -> Iterator[Source]:
    """One source for each entry point; a distribution whose metadata cannot be read is one broken source."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        folder = Path(str(getattr(distribution, "_path", "")))
        name = folder.name.rpartition(".")[0].partition("-")[0] or "unknown"
        if canonical(name) in seen:
            continue  # an older copy further down sys.path
        seen.add(canonical(name))
        try:
            text = distribution.read_text("entry_points.txt")
            if not text or f"[{GROUP}]" not in text.replace(" ", ""):
                continue
            name = distribution.metadata["Name"] or name
            version = distribution.version or ""
            entries = [entry for entry in distribution.entry_points if entry.group == GROUP]
        except Exception as error:  # noqa: BLE001 - one unreadable distribution must not hide the others
            problem = Problem("import", f"Its metadata cannot be read: {describe(error)}.", traceback.format_exc())
            yield Source(name, name, "", f"metadata {folder}", problem=problem)
            continue
        for entry in entries:
            yield Source(entry.name, name, version, f"entry point {entry.value}", _entry_loader(entry))


class _FreshLoader(SourceFileLoader):
    """Compiles the source each time: cached bytecode can be older than an edit made within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _file_loader(module: str, path: Path) -> Callable[[], Any]:
    package = path.name == "__init__.py"

    def load() -> Any:
        spec = util.spec_from_file_location(
            module,
            path,
            loader=_FreshLoader(module, str(path)),
            submodule_search_locations=[str(path.parent)] if package else None,
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        with _clean(module):
            made = util.module_from_spec(spec)
            sys.modules[module] = made
            spec.loader.exec_module(made)
        return made

    return load


_generation = itertools.count()


def _candidates(folder: Path) -> list[Path]:
    """Plugin files of a folder: its modules and the ``__init__.py`` of its packages."""
    if folder.is_file():
        return [folder]
    if (folder / "__init__.py").is_file():
        return [folder / "__init__.py"]
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py" and path.is_file():
            found.append(path)
        elif (path / "__init__.py").is_file():
            found.append(path / "__init__.py")
    return found


def _folder(folder: Path, taken: set[str], generation: int) -> Iterator[Source]:
    """The plugins of one folder. Modules get names of their own, new ones at each scan, so that none hides another."""
    try:
        paths = _candidates(folder)
        if not paths:
            raise FileNotFoundError("it holds no .py file and no package")
    except OSError as error:
        problem = Problem("import", f"The plugin folder cannot be used: {error.strerror or error}.")
        yield Source(folder.name or str(folder), folder.name or str(folder), "", str(folder), problem=problem)
        return
    for path in paths:
        home = path.parent if path.name == "__init__.py" else path
        stem = home.stem if home.is_file() else home.name
        name = next(
            option
            for option in itertools.chain(
                (stem, f"{home.parent.name}/{stem}"), (f"{stem}-{n}" for n in itertools.count(2))
            )
            if canonical(option) not in taken
        )
        taken.add(canonical(name))
        digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
        module = "_".join(("_seqdemo", str(generation), digest, re.sub(r"\W", "_", stem)))
        yield Source(stem, name, "", str(home), _file_loader(module, path), (stem, module))


def _selected() -> set[str] | None:
    """Names in ``SEQDEMO_LOAD_PLUGINS``, or None where it is not set and everything loads."""
    chosen = os.environ.get("SEQDEMO_LOAD_PLUGINS")
    return None if chosen is None else {canonical(name.strip()) for name in chosen.split(",") if name.strip()}


def sources(folders: Iterable[str | Path] = ()) -> list[Source]:
    """Everything there is to import: built-ins, entry points by distribution, then folders in the order given.

    Args:
        folders: beside those in ``SEQDEMO_PLUGINS``; a single ``.py`` file is taken too.
    """
    selected = _selected()
    found = sorted(_entry_points(), key=lambda source: (canonical(source.distribution), source.name))
    taken = {canonical(source.distribution) for source in found} | {GROUP}
    named = [*os.environ.get("SEQDEMO_PLUGINS", "").split(os.pathsep), *map(str, folders)]
    generation = next(_generation)
    visited: set[Path] = set()
    for folder in (Path(name).expanduser() for name in named if name.strip()):
        if folder.resolve() not in visited:
            visited.add(folder.resolve())
            found.extend(_folder(folder, taken, generation))
    if selected is not None:
        missing = selected - {canonical(name) for source in found for name in (source.name, source.distribution)}
        found = [source for source in found if {canonical(source.name), canonical(source.distribution)} & selected]
        for name in sorted(missing):
            problem = Problem("import", f"SEQDEMO_LOAD_PLUGINS names {name!r}, but no plugin is called that.")
            found.append(Source(name, name, "", "SEQDEMO_LOAD_PLUGINS", problem=problem))
    return [builtin(), *found]
