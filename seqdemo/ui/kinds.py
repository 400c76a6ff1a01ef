"""Which results a checkpoint gives, known without its weights; the page's tabs follow from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seqdemo.plugin import Classification, Generation, Result, SamplingOptions, TaskConfig, Translation

from .language import label

__all__ = ["Kind", "kind_of", "kinds", "talks", "text_column"]

_KNOWN: tuple[tuple[str, type[Result]], ...] = (("classify", Classification), ("translate", Translation))
_TITLES: Mapping[str, str] = {
    "classify": "results.classify",
    "translate": "results.translate",
    "predict": "results.predict",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Results that share a tab: those of one type and of what derives from it.

    Attributes:
        id: for element ids, ``"classify"``.
        result: the type.
    """

    id: str
    result: type[Result]

    @property
    def title(self) -> Any:
        """Of the tab."""
        if self.id in _TITLES:
            return label(_TITLES[self.id])
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.result.__name__)

    @property
    def verb(self) -> Any:
        """On the button that asks for a result."""
        return label(_TITLES.get(self.id, "results.predict"))


def talks(config: type[TaskConfig]) -> bool:
    """Whether a task goes on with a text, so that it can be talked to. One that does not say its result type does if
    its options are those of sampling."""
    if config.result is Result:
        return issubclass(config.options, SamplingOptions)
    return issubclass(config.result, Generation)


def kind_of(config: type[TaskConfig]) -> Kind:
    """Where results of a task are shown."""
    for name, result in _KNOWN:
        if issubclass(config.result, result):
            return Kind(name, result)
    if config.result is Result:
        return Kind("predict", Result)
    return Kind(re.sub(r"[^a-z0-9]+", "-", config.result.__name__.lower()), config.result)


def kinds(configs: Iterable[type[TaskConfig]]) -> list[Kind]:
    """Those of several tasks, the ones the page knows first."""
    found = dict.fromkeys(kind_of(config) for config in configs if not talks(config))
    order = [name for name, _ in _KNOWN]
    return sorted(found, key=lambda kind: order.index(kind.id) if kind.id in order else len(order))


def text_column(config: type[TaskConfig]) -> str | None:
    """The column that a bare text is; None where an input is more, or something else, than one text."""
    needed = [column for column in config.columns if column.role == "input" and column.required]
    return needed[0].name if len(needed) == 1 and needed[0].kind == "text" else None
