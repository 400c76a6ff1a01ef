"""``bench``: what this machine gives for a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqdemo.errors import ConfigError

from .listing import print_json, print_table, size_text

if TYPE_CHECKING:
    from seqdemo.bench import Bench

__all__ = ["bench"]


def _numbers(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1 or max(numbers) > 1024:
        raise click.BadParameter(f"{text!r} is not a list of numbers from 1 to 1024, as in 1,8,32.")
    return numbers


@click.command()
@click.argument("checkpoint")
@click.option("--streams", default="1,8,32", show_default=True, callback=_numbers, help="How many side by side.")
@click.option("--precision", "precisions", multiple=True, help="fp32, bf16 or int8; may be repeated.  [default: all]")
@click.option("--seconds", default=1.0, show_default=True, help="About how long each measurement takes.")
@click.option("--repeats", default=3, show_default=True, help="How often each is taken; the median is shown.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ..., or auto.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Also draw a picture: a .png or .svg file."
)
def bench(
    checkpoint: str,
    streams: tuple[int, ...],
    precisions: tuple[str, ...],
    seconds: float,
    repeats: int,
    device: str,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Measure how fast CHECKPOINT generates here, beside how fast its weights can be read at all.

    A step reads every weight once and serves all streams: the share of that floor says what is left to win. "first, ms"
    is the time to a stream's first token. Nothing else should run meanwhile.
    """
    from rich.console import Console

    from seqdemo.pretrained import find

    find(checkpoint)
    if plot is not None:
        _check_plot(plot)
    from seqdemo.bench import bench as measure

    console = Console(stderr=True)
    with console.status("") as status:
        found = measure(
            checkpoint,
            streams=streams,
            precisions=precisions or None,
            seconds=seconds,
            repeats=repeats,
            device=device,
            heard=status.update,
        )
    if plot is not None:
        _draw(found, plot)
    if as_json:
        print_json(found.as_json())
        return
    steppers = {row.precision: row.stepper for row in found.rows}
    about = ", ".join(f"{name} {value}" for name, value in found.machine.items() if name != "device")
    click.echo(f"{found.checkpoint}: {found.parameters:,} parameters, state {size_text(found.state_bytes)} a stream")
    click.echo(f"{found.machine['device']}, {about}")
    click.echo(f"steppers: {', '.join(f'{precision} {name}' for precision, name in steppers.items())}\n")
    rows = [
        (
            row.precision,
            f"{row.streams}",
            f"{row.tokens_per_second:,.0f}",
            f"{row.lowest:,.0f}-{row.highest:,.0f}",
            f"{row.first_token_ms:.1f}",
            f"{row.floor:,.0f}",
            f"{100 * row.share:.0f} %",
        )
        for row in found.rows
    ]
    columns = ("precision", "streams", "tokens/s", "range", "first, ms", "floor", "of it")
    print_table(columns, rows, "Nothing was measured.", numbers=True)


def _check_plot(path: Path) -> None:
    if path.suffix not in (".png", ".svg"):
        raise ConfigError(f"--plot {path} is neither a .png nor a .svg file.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--plot {path}: there is no folder {path.absolute().parent}.")
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib: pip install 'seqdemo[examples]'.")


def _draw(found: Bench, path: Path) -> None:
    import io

    from matplotlib.figure import Figure

    from seqdemo.files import write_atomic

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    colors = {"fp32": "#1f6f8b", "bf16": "#c8553d", "int8": "#6a994e"}
    for precision in dict.fromkeys(row.precision for row in found.rows):
        color = colors[precision]
        rows = [row for row in found.rows if row.precision == precision]
        at = [row.streams for row in rows]
        axes.plot(at, [row.tokens_per_second for row in rows], "o-", color=color, label=precision)
        axes.plot(at, [row.floor for row in rows], "--", color=color, alpha=0.4)
    axes.set(xscale="log", yscale="log", xlabel="streams", ylabel="tokens a second", title=found.checkpoint)
    ticks = sorted({row.streams for row in found.rows})
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="dashed: reading the weights")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=150)
    write_atomic(path, drawn.getvalue())
