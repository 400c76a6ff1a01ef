"""Which stepper serves a pipeline, in which precision. What was prepared is kept for as long as the head lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import RLock
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch

from seqdemo.discovery import isolated
from seqdemo.errors import ConfigError
from seqdemo.manager import manager
from seqdemo.plugin import Context, Precision, Prepared, State, Stepper, StepperConfig, TokenHead

from .likeliest import Finding, likeliest
from .stepper import Advance, GenericStepper, Sharing

__all__ = [
    "PRECISIONS",
    "Stepping",
    "advancing",
    "check_precision",
    "finding",
    "open_stepper",
    "sharing",
    "starting",
    "stepping",
]

PRECISIONS = ("auto", "fp32", "bf16", "int8")

Start = Callable[[Sequence[Mapping[str, Any]]], tuple[Context, State]]
"""``B`` inputs -> their context and the state before anything is written."""

_OWN: dict[torch.dtype, Precision] = {torch.float32: "fp32", torch.bfloat16: "bf16"}


@dataclass(frozen=True, slots=True)
class Stepping:
    """What steps a pipeline.

    Attributes:
        name: registered name of the stepper; ``"generic"`` calls the head itself.
        precision: what it computes in.
        description: what was chosen and why, in one line.
        reads: weights that a step multiplies by, once for all rows, where the stepper knows: an embedding that is
            folded into a table, say, spares it the first layer's.
    """

    name: str
    precision: str
    description: str
    reads: int | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was prepared for a head, and the weights and wishes it was prepared for."""

    key: tuple[object, ...]
    prepared: Prepared | None
    stepping: Stepping


_kept: WeakKeyDictionary[TokenHead, _Kept] = WeakKeyDictionary()
_lock = RLock()


def check_precision(head: TokenHead, device: torch.device, precision: str) -> None:
    """Whether something steps this head in this precision.

    Raises:
        ConfigError: nothing does, or there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision = {precision!r} is not accepted: use one of {', '.join(PRECISIONS)}.")
    offered = {one for _, offers in _offers(head, device) for one in offers} | _own(head)
    if precision != "auto" and precision not in offered:
        names = ", ".join(one for one in PRECISIONS if one == "auto" or one in offered)
        raise ConfigError(
            f"precision = {precision!r} is not to be had for this pipeline on {device}: nothing steps its model in it. "
            f"Available: {names}."
        )


def open_stepper(head: TokenHead, slots: int, device: torch.device) -> Stepper:
    """A stepper for a head, in the precision the head asks for."""
    prepared = _prepare(head, device).prepared
    made = None if prepared is None else prepared.stepper(head, slots)
    return GenericStepper(head, slots, device, advancing(head, device)) if made is None else made


def starting(head: TokenHead, device: torch.device) -> Start:
    """What reads inputs, in the precision the head asks for."""
    prepared = _prepare(head, device).prepared
    return head.start if prepared is None else partial(prepared.start, head)


def advancing(head: TokenHead, device: torch.device) -> Advance:
    """What reads one token in many rows at once, in the precision the head asks for."""
    prepared = _prepare(head, device).prepared
    return head.next if prepared is None else partial(prepared.advance, head)


def sharing(head: TokenHead, device: torch.device) -> Sharing | None:
    """What does so where rows share a context, which is given once; None where each needs its own."""
    prepared = _prepare(head, device).prepared
    return partial(prepared.advance_sharing, head) if prepared is not None and prepared.shares else None


def finding(head: TokenHead, device: torch.device) -> Finding:
    """What finds the likeliest tokens of many rows."""
    prepared = _prepare(head, device).prepared
    return likeliest if prepared is None else partial(_found, prepared)


def _found(
    prepared: Prepared, logits: torch.Tensor, count: int, forbidden: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    made = prepared.likeliest(logits, count, forbidden)
    return likeliest(logits, count, forbidden) if made is None else made


def stepping(head: TokenHead, device: torch.device) -> Stepping:
    """What steps a head; prepares it."""
    return _prepare(head, device).stepping


def _prepare(head: TokenHead, device: torch.device) -> _Kept:
    # Training on, loading and moving change where weights lie or count their versions up.
    weights = tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in _tensors(head))
    key = (head.precision, device, weights)
    with _lock:
        found = _kept.get(head)
        if found is None or found.key != key:
            found = _kept[head] = _choose(head, device, key)
        return found


def _tensors(head: TokenHead) -> Iterator[torch.Tensor]:
    yield from head.parameters()
    yield from head.buffers()


def _choose(head: TokenHead, device: torch.device, key: tuple[object, ...]) -> _Kept:
    asked = head.precision
    for name, offers in _offers(head, device):
        precision = offers[0] if asked == "auto" else next((one for one in offers if one == asked), None)
        made: list[Prepared] = []
        if precision is not None:
            with isolated(
                partial(manager().report, "steppers", name), "implementation", f"The stepper {name!r} failed"
            ):
                made.append(manager().implementation("steppers", name)(head, device, precision))
        if made:
            chosen = f"{precision}, " + ("as advised for its size" if asked == "auto" else "as asked for")
            said = f"{chosen}, by {name!r}: {made[0].description}"
            return _Kept(key, made[0], Stepping(name, precision or "", said, made[0].reads))
    own = next(iter(_own(head)), str(_dtype(head)).removeprefix("torch."))
    why = f"{own}, that of its weights: no stepper serves this model on {device}, so its head is called for each token"
    return _Kept(key, None, Stepping("generic", own, why))


def _offers(head: TokenHead, device: torch.device) -> Iterator[tuple[str, tuple[Precision, ...]]]:
    """Steppers that serve a head, and in which precisions: distributions by name, built-ins last.

    One that raises is reported as its plugin's problem and passed over.
    """
    known = manager()
    names = [record.name for record in known.available("steppers")]
    for name in sorted(names, key=lambda name: known.get("steppers", name).distribution == "seqdemo"):
        found: list[tuple[Precision, ...]] = []
        with isolated(partial(known.report, "steppers", name), "config", f"The stepper {name!r} failed"):
            config = cast("type[StepperConfig]", known.config_class("steppers", name))()
            found.append(config.offers(head, device))
        if found and found[0]:
            yield name, found[0]


def _own(head: TokenHead) -> set[Precision]:
    """What calling the head itself computes in."""
    found = _OWN.get(_dtype(head))
    return set() if found is None else {found}


def _dtype(head: TokenHead) -> torch.dtype:
    return next((p.dtype for p in head.parameters() if p.is_floating_point()), torch.float32)
