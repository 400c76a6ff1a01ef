"""Checks of what recurrent models show of their inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from seqdemo.plugin import RecurrentModel

from .compare import close, states_close
from .core import check, expect, inapplicable

if TYPE_CHECKING:
    from .model_lab import ModelLab


@check(
    "model",
    cause="trace written apart from step, with an older version of the equation.",
    mend="write trace_step and let step come from it, or compute both from one function.",
    needs=("sessions_independent",),
)
def trace_agrees(lab: ModelLab) -> None:
    """``trace`` gives the outputs and the state of ``forward``."""
    model = lab.model()
    x, state = lab.x(2, 5), lab.used(model, 2)
    want, want_after = model(x, state)
    y, after, _ = model.trace(x, state)
    close(y, want, "y of trace and of forward")
    states_close(after, want_after, "the state after trace and after forward")


def _traced(lab: ModelLab, scale: float = 1.0) -> tuple[RecurrentModel, dict[str, Tensor]]:
    model = lab.model()
    traces = model.trace(scale * lab.x(2, 5), model.initial_state(2))[2]
    if not traces:
        inapplicable("it shows nothing of its inside")
    return model, traces


@check(
    "model",
    cause="time first, or values of the last position only.",
    mend="stack what each step shows along axis 1: torch.stack(values, 1).",
    needs=("trace_agrees",),
)
def trace_shapes(lab: ModelLab) -> None:
    """Every traced value is ``(B, T, ...)`` and finite."""
    _, traces = _traced(lab)
    for name, tensor in traces.items():
        expect(isinstance(name, str) and bool(name), f"a value named {name!r}", "names that are text")
        expect(
            tensor.dim() >= 2 and tensor.shape[:2] == (2, 5),
            f"{name!r} of shape {tuple(tensor.shape)} for B = 2 and T = 5",
            "(2, 5, ...)",
        )
        expect(bool(tensor.isfinite().all()), f"{name!r} holds values that are not finite", "finite values")


@check(
    "model",
    cause="the value before its sigmoid or tanh was traced, or TRACE_RANGES names something that is not traced.",
    mend="trace the value after its bound, or correct TRACE_RANGES.",
    needs=("trace_shapes",),
)
def trace_ranges(lab: ModelLab) -> None:
    """Traced values lie in the ranges that ``TRACE_RANGES`` declares, on inputs that saturate gates."""
    model, traces = _traced(lab, scale=30.0)
    ranges = _ranges(model)
    if not ranges:
        inapplicable("no class of it declares TRACE_RANGES")
    ends = {name.rpartition(".")[2] for name in traces}
    unknown = sorted(ranges.keys() - ends)
    expect(not unknown, f"TRACE_RANGES names {', '.join(unknown)}", f"names that are traced: {', '.join(sorted(ends))}")
    for name, tensor in traces.items():
        low, high = ranges.get(name.rpartition(".")[2], (-float("inf"), float("inf")))
        least, most = tensor.min().item(), tensor.max().item()
        expect(
            low <= least and most <= high,
            f"{name!r} runs from {least:.4g} to {most:.4g}",
            f"values from {low} to {high}, as TRACE_RANGES says",
        )


def _ranges(model: RecurrentModel) -> Mapping[str, tuple[float, float]]:
    """What the classes of a model's parts declare, by the last word of a trace's name."""
    found: dict[str, tuple[float, float]] = {}
    for module in model.modules():
        found |= getattr(type(module), "TRACE_RANGES", {})
    return found
