"""What was found, as a table: in the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from seqdemo.files import write_atomic

from .runs import Result, failures, results
from .speed import medians, spreads

__all__ = ["Findings", "Published", "gather", "markdown", "show", "write"]

HEADINGS = (
    "model",
    "hidden size",
    "parameters",
    "learning rate",
    "validation loss",
    "training tokens/s",
    "decode tokens/s",
    "state bytes",
)


@dataclass(frozen=True)
class Published:
    """A figure from elsewhere, shown beside the measured ones.

    Attributes:
        name: of the model.
        loss: nats per character.
        part: of the text it was measured on.
        source: who says so.
    """

    name: str
    loss: float
    part: str
    source: str


@dataclass(frozen=True)
class Findings:
    """All that a report shows.

    Attributes:
        rule: the settings, as ``rule.json`` has them.
        results: finished models, the lowest loss first.
        failed: why others are missing, by model.
        machine: what the speeds were taken on; empty before.
        speeds: median tokens a second by model and kind, ``training`` and ``decoding``.
        spreads: distance of the slowest and the fastest round, as a share of that.
        rounds: how many there were.
        published: figures from elsewhere.
    """

    rule: Mapping[str, Any]
    results: Sequence[Result]
    failed: Mapping[str, str]
    machine: Mapping[str, Any]
    speeds: Mapping[str, Mapping[str, float]]
    spreads: Mapping[str, Mapping[str, float]]
    rounds: int
    published: Sequence[Published]


def gather(out: Path, published: Sequence[Published]) -> Findings:
    """Read everything a comparison has left in its folder so far."""
    rule = json.loads((out / "rule.json").read_text("utf-8"))
    speed: dict[str, Any] = {"machine": {}, "rounds": []}
    if (out / "speed.json").is_file():
        speed = json.loads((out / "speed.json").read_text("utf-8"))
    rounds = speed["rounds"]
    return Findings(
        rule,
        results(out),
        failures(out),
        speed["machine"],
        medians(rounds),
        spreads(rounds),
        len(rounds),
        sorted(published, key=lambda one: one.loss),
    )


def rows(found: Findings) -> list[tuple[str, ...]]:
    """Cells by :data:`HEADINGS`; measured and published ones together, the lowest loss first."""
    lines: list[tuple[float, tuple[str, ...]]] = []
    for one in found.results:
        speeds = found.speeds.get(one.model, {})
        cells = (
            one.model,
            f"{one.hidden_size:,}",
            f"{one.parameters:,}",
            f"{one.learning_rate:g}",
            f"{one.loss:.3f}",
            *(f"{speeds[kind]:,.0f}" if kind in speeds else "–" for kind in ("training", "decoding")),
            f"{one.state_bytes:,}",
        )
        lines.append((one.loss, cells))
    for other in found.published:
        blank = ("",) * 3
        lines.append((other.loss, (f"({other.name})", *blank, f"{other.loss:.3f}", *blank)))
    return [cells for _, cells in sorted(lines, key=lambda line: line[0])]


def notes(found: Findings) -> list[str]:
    """How it came about, a sentence each."""
    rule, training = found.rule, found.rule["training"]
    tokens = rule["steps"] * training["batch_size"] * training["window"]
    rates = ", ".join(f"{rate:g}" for rate in rule["learning_rates"])
    longer = [f"{one.search_steps} for {one.model}" for one in found.results if one.search_steps > rule["search_steps"]]
    after = "; ".join([f"{rule['search_steps']} steps", *longer])
    lines = [
        f"Budget {rule['budget']:,} parameters in {rule['model_config']['num_layers']} layers; {rule['steps']:,} steps "
        f"of {training['batch_size']} × {training['window']} characters ({tokens:,} in all) of {rule['data']['name']}, "
        "whose last tenth is held out.",
        f"Learning rate: the one of {rates} with the lowest validation loss after short runs ({after}); everything "
        "else is the same for every model.",
        "Validation loss in nats per character, the state carried, lower is better.",
    ]
    sources = sorted({(one.source, one.part) for one in found.published})
    for source, part in sources:
        names = ", ".join(one.name for one in found.published if (one.source, one.part) == (source, part))
        lines.append(f"In brackets, as published by {source}, {part} loss, at other sizes and steps: {names}.")
    if found.machine:
        here, worst = found.machine, [max(kinds.values()) for kinds in found.spreads.values()]
        lines.append(
            f"Speeds: medians of {found.rounds} rounds, all models in each, on {here['cpu']}, {here['threads']} of "
            f"{here['cores']} cores, Python {here['python']}, torch {here['torch']}, seqdemo {here['seqdemo']}; "
            f"rounds of a model lie at most {max(worst, default=0.0):.0%} apart. "
            "Decoding: one stream, sampling, without alternatives."
        )
    return lines + [f"{model} failed: {reason}" for model, reason in found.failed.items()]


def markdown(found: Findings) -> str:
    """The table and its notes."""
    lines = [f"| {' | '.join(HEADINGS)} |", "| --- |" + " ---: |" * (len(HEADINGS) - 1)]
    lines += [f"| {' | '.join(cells)} |" for cells in rows(found)]
    return "\n".join([*lines, "", *(f"- {' '.join(line.split())}" for line in notes(found))]) + "\n"


def show(found: Findings, console: Console) -> None:
    """The table and its notes in the terminal; published figures are dim."""
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    lines = rows(found)
    for place, heading in enumerate(HEADINGS):
        longest = max(len(text) for text in (*heading.split(), *(cells[place] for cells in lines)))
        table.add_column(heading, justify="right" if place else "left", width=longest)
    for cells in lines:
        table.add_row(*cells, style=None if cells[1] else "dim")
    console.print(table)
    for line in notes(found):
        console.print(line, style="dim", highlight=False, markup=False)


def write(found: Findings, out: Path) -> None:
    """``table.md`` and ``table.json``."""
    write_atomic(out / "table.md", markdown(found))
    write_atomic(out / "table.json", json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n")
