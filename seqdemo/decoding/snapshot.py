"""A place one can stand in again: the pipeline's state and what the decoding loop itself remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqdemo.errors import StateError
from seqdemo.plugin import State
from seqdemo.plugin import state as verbs

__all__ = ["Snapshot"]

_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The pipeline's state after all tokens read and written so far. Nobody modifies it.

    Attributes:
        state: one row, on the CPU.
        position: how many tokens that is.
        pending: bytes of an incomplete character.
        held: text held back because a stop string might begin with it.
        recent: the last ids, oldest first: what the repetition penalty looks at.
    """

    state: State
    position: int
    pending: bytes = b""
    held: str = ""
    recent: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.state and verbs.batch_size(self.state) != 1:
            raise StateError(f"A snapshot holds one row, this state has {verbs.batch_size(self.state)}.")

    @property
    def nbytes(self) -> int:
        """Bytes it takes, the same however much was read."""
        return verbs.nbytes(self.state) + len(self.pending) + len(self.held.encode()) + 8 * len(self.recent)

    def fields(self) -> dict[str, Any]:
        """Everything but the state, as JSON can hold it."""
        return {
            "format": _FORMAT,
            "position": self.position,
            "pending": self.pending.hex(),
            "held": self.held,
            "recent": list(self.recent),
        }

    @classmethod
    def of(cls, state: State, fields: Mapping[str, Any]) -> Snapshot:
        """The snapshot of a state and its :meth:`fields`.

        Raises:
            StateError: the fields are not such.
        """
        try:
            version, position, recent = fields["format"], fields["position"], tuple(fields["recent"])
            pending, held = bytes.fromhex(fields["pending"]), fields["held"]
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"This is not a saved snapshot: {error!r}.") from error
        if version != _FORMAT:
            raise StateError(f"This snapshot has format {version}, this seqdemo reads format {_FORMAT}.")
        numbers = (position, *recent)
        if not isinstance(held, str) or any(type(number) is not int or number < 0 for number in numbers):
            raise StateError("This is not a saved snapshot: a position or an id is not a whole number.")
        return cls(state, position, pending, held, recent)

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        return verbs.to_bytes(self.state, self.fields())

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot:
        """What :meth:`to_bytes` wrote. Nothing is unpickled.

        Raises:
            StateError: the bytes are not such a file.
        """
        state, fields = verbs.from_bytes(data)
        return cls.of(state, fields)
