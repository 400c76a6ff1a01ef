"""What was found, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path

from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from seqdemo.files import write_atomic

from .runs import Result
from .table import Findings, Published

__all__ = ["draw"]

_TWENTY = [to_hex(colour) for colour in color_sequences["tab20"]]
COLOURS = [*_TWENTY[:14:2], *_TWENTY[16::2], *_TWENTY[1:14:2], *_TWENTY[17::2]]
"""The strong ones, then the pale ones; grey is for what was published."""

GREY = "#8c8c8c"


def draw(found: Findings, out: Path) -> None:
    """Three pictures in one: loss by step, loss against decode speed, loss against bytes of state."""
    figure = Figure(figsize=(16, 6), layout="constrained")
    curves, speed, state = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    names = sorted(one.model for one in found.results)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    _curves(curves, found.results, found.published, colours)
    decoding = {name: kinds["decoding"] for name, kinds in found.speeds.items()}
    _points(speed, found.results, found.published, colours, decoding, "decoded tokens a second, one stream")
    sizes = {one.model: float(one.state_bytes) for one in found.results}
    _points(state, found.results, found.published, colours, sizes, "bytes of state")
    curves.set_title("Validation loss while training; dashed: published, other sizes and steps", loc="left")
    picture = BytesIO()
    figure.savefig(picture, dpi=130, format="png")
    write_atomic(out, picture.getvalue())


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Heights for labels near these values, in their order, at least a gap apart."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    heights = list(values)
    for below, above in pairwise(order):
        heights[above] = max(heights[above], heights[below] + gap)
    return heights


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _curves(axes: Axes, found: Sequence[Result], published: Sequence[Published], colours: Mapping[str, str]) -> None:
    _style(axes)
    axes.set(xlabel="training steps", ylabel="nats per character")
    last = max((one.curve[-1][0] for one in found), default=1)
    ends: list[tuple[str, float, str]] = []
    for one in found:
        steps, losses = zip(*one.curve, strict=True)
        axes.plot(steps, losses, color=colours[one.model], linewidth=1.8, marker="o", markersize=2.5)
        ends.append((f"{one.model} {losses[-1]:.3f}", losses[-1], colours[one.model]))
    for other in published:
        axes.axhline(other.loss, color=GREY, linewidth=0.8, linestyle="--")
        ends.append((f"{other.name} {other.loss:.3f}", other.loss, GREY))
    low, high = axes.get_ylim()
    heights = spread([loss for _, loss, _ in ends], 0.032 * (high - low))
    for (label, loss, colour), height in zip(ends, heights, strict=True):
        axes.annotate(
            label,
            (last, loss),
            (1.07 * last, height),
            color=colour,
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "relpos": (0, 0.5)},
        )
    axes.set_xlim(0, 1.05 * last)


def _points(
    axes: Axes,
    found: Sequence[Result],
    published: Sequence[Published],
    colours: Mapping[str, str],
    values: Mapping[str, float],
    label: str,
) -> None:
    _style(axes)
    axes.set(xlabel=label, ylabel="validation loss, nats per character", xscale="log")
    for other in published:
        axes.axhline(other.loss, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    placed = sorted((one for one in found if one.model in values), key=lambda one: values[one.model])
    axes.margins(x=0.15)
    for near in _neighbours(placed, values):
        axes.scatter(
            [values[one.model] for one in near], [one.loss for one in near], c=[colours[o.model] for o in near]
        )
        low, high = axes.get_ylim()
        heights = spread([one.loss for one in near], 0.03 * (high - low))
        for one, height in zip(near, heights, strict=True):
            axes.annotate(
                one.model,
                (values[one.model], height),
                (7, 0),
                textcoords="offset points",
                color=colours[one.model],
                fontsize=8,
                va="center",
            )


def _neighbours(placed: Sequence[Result], values: Mapping[str, float]) -> list[list[Result]]:
    """Those whose labels might meet: each less than twice as far out as the one before."""
    groups: list[list[Result]] = []
    for one in placed:
        if groups and values[one.model] < 2 * values[groups[-1][-1].model]:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups
