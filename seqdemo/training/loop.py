"""The training loop: truncated back-propagation through time, validation, saving.

Between measurements nothing is read back from the device, so that a GPU is never waited for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from seqdemo.errors import ConfigError, DivergedError
from seqdemo.parts import Parts
from seqdemo.plugin import Batch, State, TokenHead
from seqdemo.plugin import state as verbs

from . import resume
from .average import Average
from .batches import Batches
from .config import TrainingConfig
from .folder import RunFolder
from .launch import Team
from .objective import Objective, measure, optimizer
from .report import Listener
from .sample import sample
from .schedule import Plan, learning_rate
from .signals import Interrupt, TrainingInterrupted

__all__ = ["Progress", "Trainer"]

_EXCHANGE = 10
"""Steps between looks at the common clock, where there are several processes."""


@dataclass
class Progress:
    """How far a run is; saved with its state.

    Attributes:
        step: optimiser steps done.
        seconds: time spent, over all interruptions.
        best: best value of the metric that the checkpoint is chosen by, or None before the first validation.
        best_step: when that was.
        worse: validations since then.
        metrics: of the best validation.
    """

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    worse: int = 0
    metrics: dict[str, float] | None = None


class Trainer:
    """Trains one head to the end of its plan.

    Args:
        parts: what is trained; its head is moved to the team's device.
        validation: gives the validation batches of this process anew at each call; None where nothing is held out.
        describe: from the progress, the model card and the manifest's fields.
        prepared: seconds that went by before; a limit of time counts them.
    """

    def __init__(
        self,
        parts: Parts,
        config: TrainingConfig,
        team: Team,
        source: Batches,
        validation: Callable[[], Iterable[Batch]] | None,
        folder: RunFolder,
        describe: Callable[[Progress], tuple[str, Mapping[str, Any]]],
        prepared: float = 0.0,
    ) -> None:
        self.parts, self.config, self.team, self.source = parts, config, team, source
        self.folder, self.progress = folder, Progress()
        self.plan = Plan.of(config, source.steps)
        self.head = parts.head
        self._validation, self._describe = validation, describe
        self._prepared = prepared
        self.plan.reserve += prepared
        self._listeners: list[Listener] = []
        self._module = team.prepare(Objective(self.head))
        self._weights = [p for p in self.head.parameters() if p.requires_grad]
        self._optimizer = optimizer(self.head, config)
        self._average = Average(self.head, config.average)
        self._state: State | None = None
        self._sums = torch.zeros(2, dtype=torch.float64, device=team.device)
        self._best = (config.best or parts.head.config.best).split(":")
        self._measured_step = 0
        self._train_loss = math.nan
        self._share = 0.0

    def listen(self, *groups: Sequence[Listener]) -> None:
        """Tell these of the progress. Only the main process should have any."""
        for group in groups:
            self._listeners += group

    # --- the run ------------------------------------------------------------------------------------------------

    def fit(self, interrupt: Interrupt) -> Progress:
        """Train to the end.

        Raises:
            DivergedError: the loss or a weight is no longer a finite number.
            TrainingInterrupted: Ctrl-C; everything needed to go on is saved.
        """
        torch.manual_seed(self.config.seed + 1 + self.team.rank)
        self._restore()
        self._start = time.monotonic() - self.progress.seconds
        self._mark = self._saved = self.progress.seconds
        self._share = self.plan.progress(self.progress.step, self.progress.seconds)
        self._tell("begin", self.plan, self.progress.step, self.facts())
        self.head.train()
        try:
            while self._share < 1.0 and not self._patience_is_over():
                self._step()
                if self._after_step(interrupt):
                    raise TrainingInterrupted(self.progress.step, self.folder.folder)
        finally:
            self._tell("end")
        return self.progress

    def _step(self) -> None:
        config, done = self.config, self.progress.step
        epoch, index = divmod(done, self.source.steps)
        rate = learning_rate(config, done, self._share)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self.source.carries and (index == 0 or not config.carry_state or self._state is None):
            self._state = self.head.initial_state(self.source.batch_size)
        total, count, self._state = self._module(self.source.batch(epoch, index), self._state)
        everywhere = self.team.sum(count.detach()).clamp(min=1)
        self.team.backward(total * (self.team.world / everywhere))
        if config.clip_norm:
            clip_grad_norm_(self._weights, config.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._average.update(done)
        self._sums += torch.stack([total.detach().double(), count.detach().double()])

    def _after_step(self, interrupt: Interrupt) -> bool:
        """Clock, measurement, validation and saving; whether the run was interrupted."""
        progress, before = self.progress, self._share
        progress.step += 1
        together = self.team.world == 1 or progress.step % _EXCHANGE == 0
        if together:
            (progress.seconds,) = self.team.shared([time.monotonic() - self._start])
        self._share = self.plan.progress(progress.step, progress.seconds)
        self._tell("step", progress.step, self._share, progress.seconds)
        stop = together and self.team.any(interrupt.wanted)
        if progress.step % self.config.log_every == 0:
            self._measure()
        if self.plan.due(progress.step, before, self._share):
            self._validate()
        elif stop or progress.seconds - self._saved >= self.config.save_every_seconds:
            self._save()
        return stop

    def _patience_is_over(self) -> bool:
        return 0 < self.config.patience <= self.progress.worse

    # --- measuring ----------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """Read the loss since the last measurement; the only place where training waits for the device."""
        step = self.progress.step
        if step == self._measured_step:
            return
        total, count = self.team.sum(self._sums).tolist()
        self._train_loss = total / max(count, 1.0)
        self._sums = torch.zeros_like(self._sums)
        now = time.monotonic() - self._start
        speed = count / max(now - self._mark, 1e-9)
        self._mark, self._measured_step = now, step
        if not math.isfinite(self._train_loss):
            self._diverged(f"the loss is {self._train_loss}")
        record = {
            "step": step,
            "epoch": round(step / self.source.steps, 4),
            "seconds": round(now, 3),
            "loss": self._train_loss,
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "tokens_per_second": round(speed, 1),
        }
        self._tell("measured", record)

    def _validate(self) -> None:
        progress = self.progress
        self._measure()
        self._check_weights()
        self._tell("phase", "validation")
        began = time.monotonic()
        with self._average.applied():
            text = ""
            metrics = {"loss": self._train_loss}
            if self._validation is not None:
                metrics = measure(self.head, self._validation(), self.source.carries, self.team).compute()
            if self.team.main and self.config.sample_tokens and isinstance(self.head, TokenHead):
                text = sample(self.head, self.config, self.team.device)
        if not math.isfinite(metrics["loss"]):
            self._diverged(f"the validation loss is {metrics['loss']}")
        better = self._better(metrics)
        if better:
            progress.best, progress.best_step, progress.worse = self._judged(metrics), progress.step, 0
            progress.metrics = metrics
            self._publish()
        else:
            progress.worse += 1
        (progress.seconds,) = self.team.shared([time.monotonic() - self._start])
        record = {
            "step": progress.step,
            "seconds": round(progress.seconds, 3),
            "metrics": metrics,
            "best": better,
            "sample": text,
        }
        self._tell("validated", record)
        self._save()
        (progress.seconds, took) = self.team.shared([time.monotonic() - self._start, time.monotonic() - began])
        if self.plan.seconds is not None:
            self.plan.reserve = 1.1 * took + self._prepared
        self._mark = time.monotonic() - self._start
        self._tell("phase", "train")

    def _judged(self, metrics: Mapping[str, float]) -> float:
        """The metric that the checkpoint is chosen by; without validation data there is only the loss.

        Raises:
            ConfigError: the task has no such metric.
        """
        name = self._best[1] if self._validation is not None else "loss"
        if name not in metrics:
            raise ConfigError(f"best = {name!r} is no metric of this task. It has: {', '.join(metrics)}.")
        return metrics[name]

    def _better(self, metrics: Mapping[str, float]) -> bool:
        """Whether these are the best so far; where the metric is equal, as accuracies often are, the loss decides."""
        value, best = self._judged(metrics), self.progress.best
        if self._validation is None or best is None or self.progress.metrics is None:
            return True
        if value == best:
            return metrics["loss"] < self.progress.metrics["loss"]
        return value < best if self._best[0] == "lowest" else value > best

    def facts(self) -> dict[str, Any]:
        """What is trained and where."""
        return {
            "parameters": sum(p.numel() for p in self.head.parameters()),
            "steps_per_epoch": self.source.steps,
            "device": "cpu" if self.team.device.type == "cpu" else str(self.team.device),
            "precision": self.team.precision,
            "processes": self.team.world,
        }

    # --- keeping ------------------------------------------------------------------------------------------------

    def _check_weights(self) -> None:
        norms = torch.stack(torch._foreach_norm([p.detach() for p in self._weights]))
        if not bool(torch.isfinite(norms).all()):
            self._diverged("a weight is not a finite number")

    def _diverged(self, what: str) -> None:
        progress = self.progress
        kept = "No checkpoint was kept: this was before the first validation."
        if progress.metrics is not None:
            loss = progress.metrics["loss"]
            kept = f"The checkpoint of step {progress.best_step}, loss {loss:.4f}, is in {self.folder.folder}."
        if self.team.main:
            self.folder.mark("diverged")
        raise DivergedError(
            f"Training diverged by step {progress.step}: {what}. {kept} Try a lower --learning-rate, a --clip-norm "
            "or --precision fp32, and start again with --overwrite."
        )

    def _publish(self) -> None:
        if self.team.main:
            card, about = self._describe(self.progress)
            self.folder.publish(
                self.parts, card=card, dtype=self.config.save_dtype, about=about, weights=self._average.state()
            )
        self.team.wait()

    def _save(self) -> None:
        """Write the whole training state. Every process must call it."""
        self._check_weights()
        tensors = {f"model.{name}": tensor for name, tensor in resume.head_tensors(self.head).items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self._average.state().items()}
        tensors |= {f"carried.{n}": self.team.gather(t.contiguous()) for n, t in (self._state or {}).items()}
        tensors |= {f"rng.{n}": self.team.gather(t) for n, t in resume.rng_get(self.team.device).items()}
        tensors["sums"] = self.team.sum(self._sums)
        if self.team.main:
            numbers = {
                **vars(self.progress),
                "measured": self._measured_step,
                "reserve": self.plan.reserve - self._prepared,
            }
            self.folder.write_state(self.progress.step, resume.pack(tensors, self._optimizer, numbers))
        self._saved = self.progress.seconds
        self.team.wait()

    def _restore(self) -> None:
        """Take the newest training state, if there is one."""
        found: list[Path] = self.folder.states()
        if not found:
            if self.team.main:
                self.folder.cut_log(0)
            return
        tensors, numbers = resume.unpack(found[0], self._optimizer)

        def under(prefix: str) -> dict[str, Tensor]:
            return verbs.move(verbs.unprefixed(tensors, prefix), self.team.device)

        resume.fill_head(self.head, under("model"))
        self._average.restore(under("average"))
        rows = slice(self.team.rank * self.source.batch_size, (self.team.rank + 1) * self.source.batch_size)
        self._state = {name: tensor[rows].clone() for name, tensor in under("carried").items()} or None
        resume.rng_set(under("rng"), self.team.rank, self.team.device)
        if self.team.main:
            self._sums = tensors["sums"].to(self.team.device)
            self.folder.cut_log(numbers["step"])
        self._measured_step = numbers.pop("measured")
        self.plan.reserve = numbers.pop("reserve") + self._prepared
        self.progress = Progress(**{name: numbers[name] for name in vars(self.progress)})

    def _tell(self, what: str, *arguments: Any) -> None:
        for listener in self._listeners:
            getattr(listener, what)(*arguments)
