"""Every error a user can cause. Each message says what was asked, what is available and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BusyError",
    "CheckpointError",
    "ConfigError",
    "ContractError",
    "DataError",
    "DeviceError",
    "DivergedError",
    "NotCausalError",
    "PluginError",
    "SeqdemoError",
    "SessionError",
    "StaleError",
    "StateError",
    "StoreError",
    "TokenizerError",
    "UnknownNameError",
]


class SeqdemoError(Exception):
    """Base of all of them: the CLI prints its one line and exits with status 2."""


class ConfigError(SeqdemoError):
    """An option, a config field or a combination of them is not accepted."""


class DataError(SeqdemoError):
    """Data files or input text cannot be used as they are."""


class TokenizerError(SeqdemoError):
    """A text or an id cannot be expressed in a tokenizer's vocabulary."""


class StateError(SeqdemoError):
    """A state does not have the layout a model expects."""


class NotCausalError(SeqdemoError):
    """A model that reads the future was asked to do something step by step."""


class CheckpointError(SeqdemoError):
    """A checkpoint folder is missing, truncated, altered, or of another version or shape."""


class SessionError(SeqdemoError):
    """A session cannot do what was asked where it stands."""


class StoreError(SeqdemoError):
    """The place where conversations are kept cannot be read or written."""


class StaleError(StoreError):
    """A conversation was changed elsewhere since it was read; nothing was overwritten."""


class DeviceError(SeqdemoError):
    """A device was asked for that this machine or this build of torch does not have."""


class DivergedError(SeqdemoError):
    """Training produced a loss that is not a finite number."""


class BusyError(SeqdemoError):
    """The engine's queue is full."""


class PluginError(SeqdemoError):
    """A plugin could not be loaded, or broke the contract."""


class ContractError(PluginError):
    """A plugin was written for a contract this seqdemo does not offer."""


class UnknownNameError(SeqdemoError, LookupError):
    """A name nobody registered.

    Args:
        kind: what the name should be, in the singular (``"model"``).
        name: what was asked for.
        available: every accepted name.
        hint: one sentence on what to do next, when there is more to say than the list.
    """

    def __init__(self, kind: str, name: str, available: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.available = kind, name, sorted(available)
        near = get_close_matches(name, self.available, n=1)
        parts = [f"There is no {kind} named {name!r}."]
        if near:
            parts.append(f"Did you mean {near[0]!r}?")
        parts.append(f"Available: {', '.join(self.available) or 'none'}.")
        if hint:
            parts.append(hint)
        super().__init__(" ".join(parts))
