"""Beginning from a checkpoint: its tokenizers, and its weights as far as they fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seqdemo import checkpoint
from seqdemo.errors import ConfigError
from seqdemo.parts import Parts
from seqdemo.plugin import TaskHead

from .prepare import Plans
from .resume import head_tensors

__all__ = ["Start"]


@dataclass(frozen=True, slots=True)
class Start:
    """A checkpoint that a run begins from.

    Attributes:
        name: as it was given.
        fingerprint: of its weights.
    """

    name: str
    parts: Parts
    fingerprint: str

    @classmethod
    def read(cls, name: str | Path) -> Start:
        """Load it.

        Raises:
            UnknownNameError, CheckpointError, PluginError: there is none, or it cannot be read.
            ConfigError: it is another program's.
        """
        loaded = checkpoint.load(name)
        if loaded.parts.loader:
            raise ConfigError(
                f"{str(name)!r} was written by another program, so no run can begin from it. Name one of seqdemo's own."
            )
        return cls(str(name), loaded.parts, loaded.manifest.fingerprint)

    def planned(self, plans: Plans) -> Plans:
        """Plans with its tokenizers: rows of an embedding mean nothing beside others.

        Raises:
            ConfigError: the task takes tokenizers for other roles.
        """
        own = self.parts.tokenizers
        if set(own) != set(plans.tokenizers):
            raise ConfigError(
                f"No run of this task can begin from {self.name!r}: it has tokenizers for {', '.join(own)}, the task "
                f"takes {', '.join(plans.tokenizers)}."
            )
        return replace(plans, tokenizers=dict(own))

    @torch.no_grad()
    def fill(self, head: TaskHead) -> str:
        """Copy every tensor that has the same name and shape in both; what that came to, in a sentence.

        Raises:
            ConfigError: there is none.
        """
        theirs, own = head_tensors(self.parts.head), head_tensors(head)
        fits = [name for name in own if name in theirs and own[name].shape == theirs[name].shape]
        if not fits:
            raise ConfigError(
                f"No run of this task can begin from {self.name!r}: no weight has the same name and shape in both. "
                "Train with the model and the sizes that its model card names."
            )
        for name in fits:
            own[name].copy_(theirs[name])
        fresh = ", ".join(name for name in own if name not in fits) or "none"
        return f"Begun from {self.name}: {len(fits)} of {len(own)} tensors were taken over. Fresh ones: {fresh}."
