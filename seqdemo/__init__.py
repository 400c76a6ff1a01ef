"""seqdemo: a workbench for recurrent sequence models whose state is a value.

    import seqdemo

    pipe = seqdemo.load("shakespeare")
    print(pipe.generate("ROMEO:", max_tokens=200, seed=1))

Importing it loads neither torch nor gradio nor pydantic: each name is fetched when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from .decoding import Session, Stream
    from .errors import SeqdemoError
    from .library import Library, conversations
    from .manager import PluginInfo
    from .pipeline import Pipeline, count_parameters, load, pipeline
    from .plugin.events import Done, Event, Prefill, Token
    from .plugin.records import Record
    from .plugin.results import Classification, Generation, Translation
    from .pretrained import CheckpointRecord
    from .scoring import Score
    from .training import evaluate, train

    __version__: str

__all__ = [
    "Classification",
    "Done",
    "Event",
    "Generation",
    "Library",
    "Pipeline",
    "Prefill",
    "Score",
    "SeqdemoError",
    "Session",
    "Stream",
    "Token",
    "Translation",
    "__version__",
    "available",
    "conversations",
    "count_parameters",
    "evaluate",
    "load",
    "pipeline",
    "plugins",
    "train",
]

_HOMES = {
    "decoding": ("Session", "Stream"),
    "errors": ("SeqdemoError",),
    "library": ("Library", "conversations"),
    "pipeline": ("Pipeline", "count_parameters", "load", "pipeline"),
    "plugin.events": ("Done", "Event", "Prefill", "Token"),
    "plugin.results": ("Classification", "Generation", "Translation"),
    "scoring": ("Score",),
    "training": ("evaluate", "train"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


@overload
def available(kind: Literal["checkpoints"]) -> list[CheckpointRecord]: ...
@overload
def available(kind: Literal["models", "tokenizers", "tasks"]) -> list[Record]: ...
@overload
def available(kind: str) -> list[Any]: ...
def available(kind: str) -> list[Any]:
    """What can be named: records with at least ``name`` and ``summary``, sorted by name.

    Args:
        kind: ``"models"``, ``"tokenizers"``, ``"tasks"`` or ``"checkpoints"`` (these have ``task`` too).

    Raises:
        UnknownNameError: no such kind.
    """
    if kind == "checkpoints":
        from .pretrained import checkpoints

        return checkpoints()
    from .manager import KINDS, manager

    if kind not in KINDS:
        from .errors import UnknownNameError

        raise UnknownNameError("kind of thing", kind, [*KINDS, "checkpoints"])
    return manager().available(kind)


def plugins(reload: bool = False) -> tuple[PluginInfo, ...]:
    """Every plugin: what it registered, and what went wrong with it.

    Args:
        reload: scan again, importing the plugins of folders afresh.
    """
    from . import manager

    return (manager.reload() if reload else manager.manager()).plugins()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from .version import installed_version

        value: Any = installed_version()
    elif name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Face(ModuleType):
    """Keeps ``seqdemo.pipeline`` the function, also after Python has imported the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value.pipeline if name == "pipeline" and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Face
