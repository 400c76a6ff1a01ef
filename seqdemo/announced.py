"""What one plugin announces: its contract, its hooks, its records, and everything that is wrong with them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from types import ModuleType
from typing import Any, Literal

import pluggy

from .discovery import HEAVY, Problem, Source, heavy_loaded, isolated
from .errors import ContractError, PluginError
from .plugin import hooks
from .plugin.records import LoaderRecord, ModelRecord, Record, StepperRecord, TaskRecord, TokenizerRecord

__all__ = ["KINDS", "Announced", "announced", "heavy_names"]

KINDS: Mapping[str, type[Record]] = {
    "tokenizers": TokenizerRecord,
    "models": ModelRecord,
    "tasks": TaskRecord,
    "loaders": LoaderRecord,
    "steppers": StepperRecord,
}
"""Kinds of records, each announced through a hook of its own."""

_HOOK = {kind: f"seqdemo_{kind}" for kind in KINDS} | {"loaders": "seqdemo_checkpoints"}
_HOOKS = tuple(_HOOK.values())
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_MOST_RECORDS = 1000


@dataclass(slots=True)
class Announced:
    """What became of a source.

    Attributes:
        records: by kind, then by name.
        problems: in the order they were met.
        slow: heavy packages that listing it, or loading its configs, imports.
    """

    source: Source
    records: dict[str, dict[str, Record]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    problems: list[Problem] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)

    def report(self, problem: Problem) -> None:
        """Keep a problem, once."""
        if all((problem.phase, problem.message) != (known.phase, known.message) for known in self.problems):
            self.problems.append(problem)

    def mark_slow(self, heavy: Iterable[str], phase: Literal["import", "config"], what: str) -> None:
        """Note that something imports heavy packages where it should not."""
        found = sorted(set(heavy))
        if found:
            self.slow.extend(name for name in found if name not in self.slow)
            message = f"{what} imports {' and '.join(found)}, which makes it slow to list."
            self.report(Problem(phase, message, severity="warning"))


def heavy_names(module: object) -> set[str]:
    """Heavy packages whose things stand in a module: once they are loaded, importing it again does not tell."""
    found: set[str] = set()
    for value in list(vars(module).values()) if isinstance(module, ModuleType) else []:
        homes = [value.__name__] if isinstance(value, ModuleType) else []
        homes += [base.__module__ for base in value.__mro__] if isinstance(value, type) else []
        found.update(home.partition(".")[0] for home in homes if isinstance(home, str))
    return found & set(HEAVY)


def _check_contract(plugin: Any) -> None:
    stated: object = getattr(plugin, "seqdemo_contract", "1.0")
    match = re.fullmatch(r"(\d+)\.(\d+)", stated) if isinstance(stated, str) else None
    here = ".".join(map(str, hooks.CONTRACT))
    if match is None:
        raise ContractError(f"seqdemo_contract = {stated!r} is not a version; write it as {here!r}")
    wanted = int(match[1]), int(match[2])
    if wanted > hooks.CONTRACT:
        raise ContractError(f"it needs contract {stated}, this seqdemo offers {here}; upgrade seqdemo")
    if wanted[0] < hooks.CONTRACT[0]:
        raise ContractError(f"it was written for contract {stated}, this seqdemo offers {here}; upgrade the plugin")


def _wrong_hooks(pm: pluggy.PluginManager, plugin: Any) -> Iterator[str]:
    """What is wrong with the names of a plugin's hooks."""
    for name in dir(plugin):
        options = pm.parse_hookimpl_opts(plugin, name)
        hook = (options.get("specname") or name) if options is not None else name
        if options is None:
            if not name.startswith("seqdemo_") or not inspect.isroutine(inspect.getattr_static(plugin, name, None)):
                continue
            if name in _HOOKS:
                yield f"{name} is not marked as a hook; put @hookimpl above it."
                continue
        if hook not in _HOOKS:
            near = get_close_matches(hook, _HOOKS, n=1, cutoff=0.0)[0]
            yield f"There is no hook {hook!r}. Did you mean {near!r}? Hooks: {', '.join(_HOOKS)}."


def _wrong_record(kind: str, record: Any) -> str:
    """What is wrong with something a hook returned, or nothing."""
    wanted = KINDS[kind].__name__
    if not isinstance(record, KINDS[kind]):
        shown = repr(record)
        return f"gave {shown if len(shown) <= 80 else shown[:77] + '...'}, expected a {wanted}"
    name: object = record.name
    if not isinstance(name, str) or len(name) > 64 or not _NAME.fullmatch(name):
        return f"gave the name {name!r}; names are lower-case words joined by '-', at most 64 characters"
    for attribute in ("implementation", "config"):
        path = getattr(record, attribute)
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            return f"gave {name!r} the {attribute} {path!r}; expected 'package.module:Class'"
    summary: object = record.summary
    return "" if isinstance(summary, str) else f"gave {name!r} a summary that is not text"


def _renamed(path: str, alias: tuple[str, str]) -> str:
    """An import path, by the name that a folder plugin's module really has."""
    module, _, rest = path.partition(":")
    own, real = alias
    if own and (module == own or module.startswith(f"{own}.")):
        return f"{real}{module[len(own) :]}:{rest}"
    return path


def _read(kind: str, answer: Any, into: Announced) -> None:
    """Take what a hook returned, one record after the other, so that a later mistake keeps the earlier ones."""
    hook, wanted = _HOOK[kind], KINDS[kind].__name__
    if isinstance(answer, (str, bytes, Mapping, Record)) or not isinstance(answer, Iterable):
        what = "nothing" if answer is None else f"a {type(answer).__name__}"
        into.report(Problem("records", f"{hook} returned {what}, expected a list of {wanted}."))
        return
    for position, record in enumerate(islice(answer, _MOST_RECORDS + 1)):
        wrong = _wrong_record(kind, record)
        if position == _MOST_RECORDS:
            wrong = f"gave more than {_MOST_RECORDS} records"
        elif not wrong and record.name in into.records[kind]:
            wrong = f"gave the name {record.name!r} twice; the first one is kept"
        if wrong:
            into.report(Problem("records", f"{hook} {wrong}."))
            continue
        own, real = into.source.alias
        paths = {name: _renamed(getattr(record, name), (own, real)) for name in ("implementation", "config")}
        into.records[kind][record.name] = replace(record, **paths)


def _call(pm: pluggy.PluginManager, kind: str, plugin: Any, into: Announced) -> None:
    hook = _HOOK[kind]
    for implementation in getattr(pm.hook, hook).get_hookimpls():
        if implementation.plugin is plugin:
            with isolated(into.report, "hook", f"{hook} raised"):
                if implementation.hookwrapper or implementation.wrapper:
                    raise PluginError("a hook wrapper is not supported here; return records")
                _read(kind, implementation.function(), into)


def announced(pm: pluggy.PluginManager, source: Source) -> Announced:
    """Import a plugin, register it and read its records; whatever goes wrong is kept in ``problems``."""
    into = Announced(source)
    if source.load is None:
        if source.problem is not None:
            into.report(source.problem)
        return into
    before, plugin, heavy = heavy_loaded(), None, set[str]()
    with isolated(into.report, "import", f"Cannot import {source.name!r}"):
        plugin = source.load()
        if plugin is None:
            raise PluginError(f"{source.origin} is None, expected a module or an object with hooks")
        heavy = heavy_names(plugin)
    into.mark_slow((heavy_loaded() - before) | heavy, "import", "Its module")
    if plugin is None:
        return into
    with isolated(into.report, "contract", "Not loaded"):
        _check_contract(plugin)
    if into.problems and into.problems[-1].phase == "contract":
        return into
    with isolated(into.report, "hook", "Its hooks cannot be read"):
        for message in _wrong_hooks(pm, plugin):
            into.report(Problem("hook", message))
        if pm.is_registered(plugin):
            raise PluginError(f"{source.origin} is loaded already, by the plugin {pm.get_name(plugin)!r}")
        pm.register(plugin, f"{source.distribution}:{source.name}")
        for kind in KINDS:
            _call(pm, kind, plugin, into)
    return into
