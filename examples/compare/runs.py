"""The runs of one model: sized, tuned by the shared rule, trained, measured. What is on disk is not done again.

::

    OUT/results/MODEL/lr-0.003-40.json   a short run of 40 steps
    OUT/results/MODEL/result.json        the run that counts
    OUT/results/MODEL/failed.json        why there is none
    OUT/models/MODEL/                    its checkpoint
    OUT/models/.MODEL-lr-0.003-40/       a short run under way
"""

from __future__ import annotations

import json
import math
import shutil
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status

import seqdemo
from seqdemo.errors import DivergedError, SeqdemoError
from seqdemo.files import write_atomic

from .progress import Remaining, Watch
from .rule import Rule, size

__all__ = ["Comparison", "Result", "best", "failures", "results"]


@dataclass(frozen=True)
class Result:
    """What became of one model.

    Attributes:
        model: registered name.
        source: distribution and version it came from.
        hidden_size, parameters: its size.
        learning_rate: the chosen one.
        search: validation loss of each short run by learning rate; None where it diverged.
        search_steps: of each of these.
        loss: nats per character of the held-out text, the state carried.
        state_bytes: of one conversation.
        steps, seconds: of the run that counts, validation included.
        curve: validation loss by step, as training saw it.
    """

    model: str
    source: str
    hidden_size: int
    parameters: int
    learning_rate: float
    search: Mapping[str, float | None]
    search_steps: int
    loss: float
    state_bytes: int
    steps: int
    seconds: float
    curve: Sequence[Sequence[float]] = field(default_factory=list)


def folder_name(model: str) -> str:
    """A registered name as the name of a folder."""
    return model.replace(":", "+")


def results(out: Path, models: Sequence[str] = ()) -> list[Result]:
    """Finished models, the lowest loss first; all there are when none is named."""
    files = [json.loads(path.read_text("utf-8")) for path in sorted(out.glob("results/*/result.json"))]
    found = [Result(**values) for values in files if not models or values["model"] in models]
    return sorted(found, key=lambda result: (result.loss, result.model))


def failures(out: Path) -> dict[str, str]:
    """Why a model is not in the table, by its name."""
    files = [json.loads(path.read_text("utf-8")) for path in sorted(out.glob("results/*/failed.json"))]
    return {values["model"]: values["reason"] for values in files}


def _finite(search: Mapping[str, float | None]) -> dict[str, float]:
    """The short runs that did not diverge."""
    return {rate: loss for rate, loss in search.items() if loss is not None and math.isfinite(loss)}


def best(search: Mapping[str, float | None]) -> float:
    """The learning rate with the lowest validation loss.

    Raises:
        DivergedError: every one diverged.
    """
    finite = _finite(search)
    if not finite:
        raise DivergedError(f"It diverged at every learning rate of the rule: {', '.join(search)}.")
    return float(min(finite, key=lambda rate: (finite[rate], float(rate))))


@dataclass
class Comparison:
    """Everything the runs need.

    Attributes:
        text: what ``data`` holds.
        threads: of the CPU.
        remaining, console, status: who hears of the progress.
    """

    rule: Rule
    data: Path
    text: str
    out: Path
    threads: int
    remaining: Remaining
    console: Console
    status: Status

    def model(self, name: str) -> Result | None:
        """Do what is left to do for one model; None when it failed, which is written down.

        Raises:
            KeyboardInterrupt: Ctrl-C; the same call goes on.
        """
        place = self.out / "results" / folder_name(name)
        if (place / "result.json").is_file():
            return results(self.out, [name])[0]
        try:
            result = self._run(name, place)
        except Exception as error:  # noqa: BLE001 - a model that fails takes nothing else down
            self.remaining.drop(name)
            reason = str(error) if isinstance(error, SeqdemoError) else f"{type(error).__name__}: {error}"
            self.console.print(f"{name} failed: {reason}", style="red", highlight=False, markup=False)
            _write(
                place / "failed.json",
                {"model": name, "reason": reason, "traceback": traceback.format_exc().split("\n")},
            )
            return None
        _write(place / "result.json", asdict(result))
        (place / "failed.json").unlink(missing_ok=True)
        return result

    def _run(self, name: str, place: Path) -> Result:
        hidden, parameters = size(self.rule, name, self.text)
        self.console.print(f"{name}: hidden size {hidden}, {parameters:,} parameters", highlight=False)
        search, short = self._search(name, hidden, place)
        rate = best(search)
        folder = self.out / "models" / folder_name(name)
        self._train(
            name, hidden, rate, self.rule.steps, self.rule.validations, folder, f"{name}, learning rate {rate:g}"
        )
        self.status.update(f"{name}  evaluating")
        pipe = seqdemo.load(folder, device="cpu")
        lines = _curve(folder)
        (made,) = pipe.parts.models.values()
        return Result(
            model=name,
            source=f"{made.distribution} {made.version}".strip(),
            hidden_size=hidden,
            parameters=pipe.parameters,
            learning_rate=rate,
            search=search,
            search_steps=short,
            loss=pipe.evaluate(self.data, part="validation")["loss"],
            state_bytes=pipe.state_bytes,
            steps=self.rule.steps,
            seconds=lines[-1]["seconds"],
            curve=[[line["step"], line["metrics"]["loss"]] for line in lines],
        )

    def _search(self, name: str, hidden: int, place: Path) -> tuple[dict[str, float | None], int]:
        """Short runs with each learning rate, and their steps: doubled until one is better than pairs of characters
        are, as long as that leaves them at most half as long as the run that counts."""
        rates, steps = self.rule.learning_rates, self.rule.search_steps
        while True:
            search = {f"{rate:g}": self._short(name, hidden, rate, steps, place) for rate in rates}
            losses = _finite(search).values()
            if not losses or min(losses) < self.rule.pairs or 4 * steps >= self.rule.steps:
                return search, steps
            steps *= 2
            self.remaining.advance(name, -len(rates) * steps)

    def _short(self, name: str, hidden: int, rate: float, steps: int, place: Path) -> float | None:
        """Validation loss of the short run with one learning rate; None where it diverged."""
        file = place / f"lr-{rate:g}-{steps}.json"
        folder = self.out / "models" / f".{folder_name(name)}-lr-{rate:g}-{steps}"
        if file.is_file():
            self.remaining.advance(name, steps)
        else:
            loss: float | None = None
            try:
                self._train(name, hidden, rate, steps, 1, folder, f"{name}, trying learning rate {rate:g}")
                loss = _curve(folder)[-1]["metrics"]["loss"]
            except DivergedError as error:
                self.console.print(f"{name} at {rate:g}: {error}", highlight=False, markup=False)
            _write(file, {"model": name, "learning_rate": rate, "steps": steps, "loss": loss})
        shutil.rmtree(folder, ignore_errors=True)
        found: float | None = json.loads(file.read_text("utf-8"))["loss"]
        return found

    def _train(
        self, name: str, hidden: int, rate: float, steps: int, validations: int, folder: Path, label: str
    ) -> None:
        """Begin a run, go on with it, or see that it is over.

        Raises:
            DivergedError: the loss was no longer a number.
        """
        status = _status(folder)
        if status == "finished":
            self.remaining.advance(name, steps)
        elif status == "diverged":
            raise DivergedError(f"It diverged before. To try again, remove {folder}.")
        else:
            seqdemo.train(
                data=self.data,
                out=folder,
                **self.rule.pipeline(name, hidden),
                **self.rule.schedule(steps, rate, validations),
                threads=self.threads,
                progress=False,
                listeners=[Watch(name, label, self.remaining, self.console, self.status)],
            )


def _write(file: Path, values: Mapping[str, Any]) -> None:
    write_atomic(file, json.dumps(values, indent=1) + "\n")


def _status(folder: Path) -> str | None:
    """What a run's own record says of it: ``running``, ``finished`` or ``diverged``; None before it began."""
    file = folder / "training" / "run.json"
    return str(json.loads(file.read_text("utf-8"))["status"]) if file.is_file() else None


def _curve(folder: Path) -> list[dict[str, Any]]:
    """The validations of a run, in order."""
    lines = [json.loads(line) for line in (folder / "training" / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if line["kind"] == "validation"]
