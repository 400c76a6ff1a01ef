"""Every recurrent model at equal size, on equal text, for an equal number of steps: loss, speed, bytes of state.

What you learn: what a fair comparison has to hold equal and what is left to differ; that models which differ by a few
hundredths in loss differ many times over in how fast they train, how fast they decode, and how much they remember. A
model that a plugin brings takes part without a line of code: it is sized through the base config fields, found by the
registry, and tuned by the same rule as the others. docs/compare.md shows the table and how to read it.

同样的参数量、同样的文本、同样的步数，比较每个循环模型的损失、速度和状态大小；可随时中断和继续。

    python examples/compare_models.py --data tinyshakespeare.txt --out runs/compare

The same command goes on after an interruption. It takes hours at the default settings; --steps is the knob. Two of
them may share a folder, each with its own --models and with --train-only; speeds come last, on a quiet machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import torch
from compare.plot import draw
from compare.progress import Remaining
from compare.rule import Rule, choose, digest, pairs, settle, text_of
from compare.runs import Comparison, results
from compare.speed import measure
from compare.table import Findings, Published, gather, show, write
from rich.console import Console

from seqdemo.errors import ConfigError, SeqdemoError

BUDGET = 2_000_000
STEPS = 600
SEARCH = 1 / 15
"""A short run's share of the steps; there is one for each learning rate."""

SHARED: dict[str, Any] = {
    "learning_rates": [1e-3, 2.5e-3, 6e-3],
    "warmup": 0.1,
    "validations": 8,
    "task_config": {"embedding_size": 128, "output_dropout": 0.1},
    "model_config": {"num_layers": 2, "dropout": 0.1},
    "training": {
        "batch_size": 32,
        "window": 128,
        "optimizer": "adamw",
        "schedule": "cosine",
        "min_lr_ratio": 0.02,
        "beta1": 0.9,
        "beta2": 0.99,
        "weight_decay": 0.01,
        "clip_norm": 1.0,
        "average": 0.98,
        "validation_fraction": 0.1,  # of the text's end, as nanoGPT splits it
        "validation_streams": 16,
        "precision": "auto",
        "seed": 0,
        "device": "cpu",
        "sample_tokens": 0,
        "save_every_seconds": 60.0,
    },
}
"""The rule: the same for every model. Of each model's own settings, only the learning rate is chosen for it."""

FENG = "Feng et al. 2024"
PUBLISHED = (
    Published("minGRU", 1.548, "test", FENG),
    Published("minLSTM", 1.555, "test", FENG),
    Published("Mamba", 1.575, "test", FENG),
    Published("Transformer", 1.547, "test", FENG),
    Published("nanoGPT", 1.47, "validation", "Karpathy"),
)


def rule_for(out: Path, data: Path, text: str, steps: int | None, budget: int | None) -> Rule:
    """The rule asked for; what is not said is as the comparison in ``out`` was begun, or the default."""
    begun = json.loads((out / "rule.json").read_text("utf-8")) if (out / "rule.json").is_file() else {}
    steps = steps or begun.get("steps", STEPS)
    about = {"name": data.name, "sha256": digest(text), "characters": len(text)}
    budget = budget or begun.get("budget", BUDGET)
    share = float(SHARED["training"]["validation_fraction"])
    short = max(1, round(SEARCH * steps))
    return Rule(budget=budget, steps=steps, search_steps=short, pairs=pairs(text, share), data=about, **SHARED)


def report(out: Path) -> Findings:
    """Write the table and the picture of what is finished."""
    found = gather(out, PUBLISHED)
    write(found, out)
    draw(found, out / "plot.png")
    return found


def compare(rule: Rule, names: list[str], data: Path, text: str, out: Path, threads: int, console: Console) -> None:
    """Train every model that is not finished; the report grows with each."""
    whole = len(rule.learning_rates) * rule.search_steps + rule.steps
    finished = {result.model for result in results(out, names)}
    remaining = Remaining({name: whole for name in names if name not in finished})
    with console.status("") as status:
        runs = Comparison(rule, data, text, out, threads, remaining, console, status)
        for name in names:
            runs.model(name)
            report(out)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="A text; tinyshakespeare for the published table.")
@click.option("--out", type=click.Path(path_type=Path), default="runs/compare", show_default=True, help="The folder.")
@click.option("--models", default="", help="Only these, with commas between.  [default: all but the scratch ones]")
@click.option("--steps", type=click.IntRange(1), help=f"Of the run that counts.  [default: {STEPS}]")
@click.option("--budget", type=click.IntRange(1), help=f"Parameters of each pipeline.  [default: {BUDGET}]")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: torch's choice]")
@click.option("--rounds", type=click.IntRange(3), default=3, show_default=True, help="Of the speed measurements.")
@click.option("--train-only", is_flag=True, help="Leave the speeds for later, while the machine does other things too.")
@click.option("--speed-only", is_flag=True, help="Take the speeds of finished models again, on a quiet machine.")
@click.option("--report-only", is_flag=True, help="Write the table and the picture again.")
def main(
    data: Path | None,
    out: Path,
    models: str,
    steps: int | None,
    budget: int | None,
    threads: int | None,
    rounds: int,
    train_only: bool,
    speed_only: bool,
    report_only: bool,
) -> None:
    """Train, measure and report; what is done already is not done again."""
    console = Console(stderr=True)
    try:
        if not report_only:
            if data is None:
                raise ConfigError("There is no text to compare on. Name one with --data.")
            text = text_of(data)
            rule = rule_for(out, data, text, steps, budget)
            settle(out, rule)
            names = choose([name.strip() for name in models.split(",") if name.strip()])
            threads = threads or torch.get_num_threads()
            torch.set_num_threads(threads)
            if not speed_only:
                compare(rule, names, data, text, out, threads, console)
            if not train_only:
                measure(rule, results(out), data, text, out, threads, rounds, console, again=speed_only)
        elif not (out / "rule.json").is_file():
            raise ConfigError(f"{out} holds no comparison. Begin one with --data.")
        show(report(out), Console())
        print(f"\nWritten to {out}: table.md, table.json, plot.png.")
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on from there.", file=sys.stderr)
        raise SystemExit(130) from None
    except SeqdemoError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
