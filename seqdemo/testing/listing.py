"""What every listed part must keep, whatever its kind: light imports, and config fields that explain themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from seqdemo.manager import Manager, PluginInfo, Registered, manager

from .core import check, expect, inapplicable

__all__ = ["Listed", "bare_fields", "owner"]

_LIST = """
import json
from seqdemo.manager import manager
manager().check()
print("\\n" + json.dumps([
    [info.name, info.distribution, [p.message for p in info.problems if p.phase in ("import", "config") and info.slow]]
    for info in manager().plugins()
]))
"""


class Listed(Protocol):
    """What these checks need of a lab."""

    @property
    def registered(self) -> Registered | None:
        """The record and who announced it; None for a class that was handed in."""

    @property
    def schemas(self) -> tuple[type[BaseModel], ...]:
        """The config class, and other schemas a user fills in."""


def owner(found: Registered) -> PluginInfo:
    """The plugin that announced something."""
    names = found.plugin, found.distribution
    return next(info for info in manager().plugins() if (info.name, info.distribution) == names)


@lru_cache(maxsize=64)
def _heavy_messages(scan: Manager, plugin: str, distribution: str, folder: str) -> tuple[str, ...]:
    """What listing a plugin and its configs imports that is heavy, by the manager of a fresh process.

    Args:
        scan: the scan that found it; after another one the answer may differ.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path),
        "SEQDEMO_PLUGINS": folder,
        "SEQDEMO_LOAD_PLUGINS": "" if distribution == "seqdemo" else plugin,
    }
    done = subprocess.run([sys.executable, "-c", _LIST], capture_output=True, text=True, env=environment, check=True)
    listed = json.loads(done.stdout.splitlines()[-1])
    return tuple(
        message
        for name, owned_by, messages in listed
        if (name, owned_by) == (plugin, distribution)
        for message in messages
    )


@check(
    "model",
    "tokenizer",
    "task",
    cause="the plugin's module or its config module imports torch (or gradio, or pandas) at its top, "
    "often by importing the implementation.",
    mend="announce the implementation by its import path only, keep the config in a module of its own, and import "
    "nothing but pydantic and seqdemo.plugin there.",
    needs=(),
)
def imports_without_torch(lab: Listed) -> str | None:
    """Listing the plugin and loading its configs imports nothing heavy."""
    if lab.registered is None:
        inapplicable("a class that is not registered is not listed")
    info = owner(lab.registered)
    place = Path(info.source)
    if place.is_file():
        return f"a one-file plugin; it is listed as slow: {', '.join(info.slow)}" if info.slow else None
    found = _heavy_messages(manager(), info.name, info.distribution, str(place) if place.is_dir() else "")
    expect(not found, " ".join(found), "neither the plugin's module nor its config modules import torch")
    return None


def bare_fields(schema: type[BaseModel]) -> Iterator[str]:
    """What is lacking in the fields of a schema."""
    properties: Mapping[str, Any] = schema.model_json_schema().get("properties", {})
    for name, field in properties.items():
        if not str(field.get("description", "")).strip():
            yield f"{schema.__name__}.{name} has no description"
        for option in (field, *field.get("anyOf", ())):
            bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const"}
            if option.get("type") in ("integer", "number") and not bounds & option.keys():
                yield f"{schema.__name__}.{name} is a number without bounds"


@check(
    "model",
    "tokenizer",
    "task",
    cause="a bare annotation such as `size: int = 8`.",
    mend='write each field as Annotated[int, Field(ge=1, le=64, description="…")].',
    needs=(),
)
def config_described(lab: Listed) -> None:
    """Every field of the config and of the options has a description, and every number has bounds."""
    lacking = [what for schema in lab.schemas for what in bare_fields(schema)]
    expect(not lacking, "; ".join(lacking), "a description for every field, bounds for every number")
