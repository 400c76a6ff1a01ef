"""Steppers: a pipeline prepared for one-token work. ``n`` is the number of active rows, ``V`` the vocabulary.

Imports no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seqdemo.errors import BusyError

from .config import Config
from .events import Reported

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from .config import SamplingOptions
    from .state import State
    from .tasks import Context, StepOutput, TokenHead

__all__ = ["Precision", "Prepared", "Ran", "RunRow", "Stepper", "StepperConfig"]

Precision = Literal["fp32", "bf16", "int8"]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of a run.

    Attributes:
        slot: where its state is.
        options: the rules it draws by, and how many alternatives it reports.
        seed: of its random numbers: the one of each position is ``seqdemo.decoding.uniform(seed, position)``.
        position: of the first token to be drawn.
        recent: ids read and written, oldest first; those the repetition penalty needs, at least.
    """

    slot: int
    options: SamplingOptions
    seed: int
    position: int
    recent: Sequence[int]


class Ran(NamedTuple):
    """What ``m`` tokens in each of ``n`` rows gave: ``(m, n)`` arrays, or lists by token and in them by row.

    Attributes:
        ids: tokens, drawn and read.
        logprobs: natural log-probabilities under the model, before any rule.
        entropies: of the model's distribution before any rule, in nats.
        reported: alternatives, None for a row that wants none.
        logits: ``(n, V)`` float32, for the token after the last; the caller's until the next step.
    """

    ids: Sequence[Sequence[int]] | NDArray[Any]
    logprobs: Sequence[Sequence[float]] | NDArray[Any]
    entropies: Sequence[Sequence[float]] | NDArray[Any]
    reported: Sequence[Sequence[Reported | None]]
    logits: Tensor


class Stepper(ABC):
    """Owns the states of its slots, in whatever layout is fastest for it; gives them out in the model's own.

    One thread uses it. The engine keeps one for each pipeline with requests, and lets it go with the last of them:
    whatever is costly to prepare belongs to :class:`Prepared`.

    Args:
        slots: how many rows it has room for.

    Attributes:
        alike: a row's logits and state are the same bits whichever rows share the step, and wherever it stands among
            them. Where that is so, ``exact=True`` costs nothing.
        width: rows one step takes at most.
    """

    alike = False

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.width = slots
        self._free = list(range(slots - 1, -1, -1))

    @property
    def idle(self) -> bool:
        """Whether no slot is claimed."""
        return len(self._free) == self.slots

    def claim(self) -> int:
        """A slot that nobody uses.

        Raises:
            BusyError: there is none.
        """
        if not self._free:
            raise BusyError(f"All {self.slots} rows of this stepper are in use. Try again when one has ended.")
        return self._free.pop()

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self.clear(slot)
        self._free.append(slot)

    @abstractmethod
    def put(self, slot: int, state: State, context: Context) -> None:
        """Let a slot hold a one-row state, which is not modified, and the context it is read with."""

    @abstractmethod
    def take(self, slot: int) -> State:
        """A copy of a slot's state, one row, in the model's named layout."""

    @abstractmethod
    def clear(self, slot: int) -> None:
        """Forget a slot's state."""

    @abstractmethod
    def step(self, ids: Sequence[int], active: Sequence[int]) -> Tensor:
        """Read one token in each active slot. A step that raises leaves every slot as it was.

        Args:
            ids: ``n`` token ids.
            active: ``n`` different slots; mostly those of the step before, in the same order.

        Returns:
            logits ``(n, V)`` float32, for the token after it; the caller's until the next step.
        """

    def runs(self, options: SamplingOptions) -> bool:
        """Whether :meth:`run` draws by these rules."""
        return False

    def run(
        self, count: int, rows: Sequence[RunRow], logits: Any, forbidden: Sequence[int], ends: Sequence[int]
    ) -> Ran:
        """Draw and read up to ``count`` tokens in each row: the same that drawing outside and :meth:`step` would give.

        Ends early, in all rows alike, after a token of ``ends``, and before one that cannot be drawn.

        Args:
            rows: of different slots; :meth:`runs` says yes to the options of each.
            logits: ``(n, V)`` float32 in the memory numpy reads, of the tokens to be drawn first; not modified.
            forbidden: ids never chosen.
            ends: ids that end a text.
        """
        raise NotImplementedError(f"{type(self).__name__} has no runs.")

    def rewind(self, slot: int, count: int) -> None:
        """Put a slot of the last run back to where it was after ``count`` of its tokens. No slot may have been stepped
        since, though others may have been rewound or taken."""
        raise NotImplementedError(f"{type(self).__name__} has no runs.")

    def read(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        """Read a piece of a prompt in the whole-sequence form, with the output layer on the last position only.

        Args:
            head: of the pipeline.
            ids: ``(1, T)``; ``T = 0`` gives the distribution of the state as it stands.
            state: one row, in the model's named layout; not modified.

        Returns:
            logits ``(1, V)`` float32 and the state after all tokens read.
        """
        logits, after, *_ = head.next(ids, state, context)
        return logits, after


class Prepared:
    """A pipeline's weights, prepared for one-token work; built as ``cls(head, device, precision)``.

    It is kept for as long as the head lives, and made anew when the head's weights change, so it must not refer to
    the head. Steppers in several threads may share it. It defines :meth:`stepper`, or :meth:`advance` and maybe
    :meth:`start`, or all of them.

    Attributes:
        precision: what it computes in.
        description: what was chosen and why, in one line.
        shares: whether it defines :meth:`advance_sharing`.
        reads: weights that a step multiplies by, once for all rows; None: as many as the head's matrices have.
    """

    precision: Precision
    description: str
    shares: bool = False
    reads: int | None = None

    def stepper(self, head: TokenHead, slots: int) -> Stepper | None:
        """A stepper with that many slots, which lives no longer than the head. None: one around :meth:`advance`."""
        return None

    def start(self, head: TokenHead, rows: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        """``head.start``, for the same loops and for the slots of a stepper."""
        return head.start(rows)

    def advance(self, head: TokenHead, ids: Tensor, state: State, context: Context) -> StepOutput:
        """``head.next`` of one token in each of ``n`` rows, ``(n, 1)``, for loops that keep the states themselves: a
        search puts its rows in a new order at every step."""
        return head.next(ids, state, context)

    def advance_sharing(
        self, head: TokenHead, ids: Tensor, state: State, context: Context, owners: Tensor
    ) -> StepOutput:
        """:meth:`advance` where several rows have the same context, which is not repeated for each of them.

        Args:
            context: ``C`` rows.
            owners: ``(n,)``, ascending: the row of ``context`` that each row is given.
        """
        raise NotImplementedError(f"{type(self).__name__} must define advance_sharing, or not say that it shares.")

    def likeliest(self, logits: Tensor, count: int, forbidden: Sequence[int]) -> tuple[Tensor, Tensor] | None:
        """The likeliest tokens of each row, for a search. None: seqdemo looks for them itself.

        Args:
            logits: ``(n, V)`` float32, as :meth:`advance` gave them; not modified.
            count: how many, ``K <= V``.
            forbidden: ids to leave out, ascending; their probability is given to nobody.

        Returns:
            log-probabilities ``(n, K)`` float64, the largest first, ``-inf`` where there are not so many and NaN in a
            row whose logits are no distribution; and ids ``(n, K)``.
        """
        return None


class StepperConfig(Config):
    """The light half of a stepper: says which heads it serves. Its module imports no torch."""

    def offers(self, head: TokenHead, device: torch.device) -> tuple[Precision, ...]:
        """In which precisions it steps this head on this device; the first is the one it advises.

        None at all when it does not serve the head. It looks at kinds and shapes, and computes nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} must define offers(head, device).")
