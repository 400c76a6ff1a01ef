"""What a session tells of itself while it happens, so that someone may write it down."""

from __future__ import annotations

from collections.abc import Sequence

from seqdemo.plugin import SamplingOptions, Token

from .snapshot import Snapshot
from .tree import Node, Point

__all__ = ["Journal"]


class Journal:
    """Writes nothing down: what a session that lives in memory only has. Others override all of it.

    ``begun`` and ``stood`` may refuse, by raising: then nothing has happened. What comes after them may raise too, to
    say that it could not be written yet; it is tried again with the next thing to write.

    Attributes:
        conversation: id of what is written.
    """

    conversation = ""

    def begun(
        self, user: Node | None, reply: int, parent: Point, start: int, options: SamplingOptions, branches: bool
    ) -> None:
        """A reply begins.

        Args:
            user: the message it answers, where that is new.
            reply: the number it has.
            parent: where it goes on from.
            start: tokens read before it.
            options: it is generated with.
            branches: whether something went on from there before.
        """

    def wrote(self, reply: int, start: int, tokens: Sequence[Token]) -> None:
        """Tokens ``start …`` of a reply are there."""

    def ended(self, reply: int, node: Node | None, here: Point) -> None:
        """A reply ended as ``node``, None where no token came, and the session stands here."""

    def stood(self, here: Point) -> None:
        """The session stands elsewhere."""

    def __contains__(self, point: Point) -> bool:
        """Whether a snapshot of a place is kept here."""
        return False

    def find(self, point: Point) -> Snapshot | None:
        """The snapshot of a place, if it is there and whole."""
        return None

    def keep(self, made: Sequence[tuple[Point, Snapshot, bool]]) -> None:
        """Keep snapshots, as far as that is possible.

        Args:
            made: places, what there is of them, and whether several lines go on from there.
        """

    def forget(self) -> None:
        """Let all snapshots go."""
