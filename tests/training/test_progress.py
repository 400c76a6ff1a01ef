"""What the terminal shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from seqdemo.training.progress import Terminal


@pytest.mark.parametrize("live", [False, True])
def test_terminal_shows_losses_and_samples(run: Callable[..., Any], live: bool) -> None:
    """Each validation is a line with loss and perplexity and its sample; a live terminal gets a bar too."""
    shown = io.StringIO()
    run(listeners=[Terminal(console=Console(file=shown, force_terminal=live, width=120))])
    text = shown.getvalue()
    assert "parameters on cpu in fp32" in text
    for step in (8, 16, 24):
        assert f"step {step}" in text
    assert text.count("validation loss") >= 3
    assert "ppl" in text
    assert ("━" in text) == live


def test_samples_cannot_command_the_terminal() -> None:
    """Control characters and markup of a sample are shown, not obeyed."""
    shown = io.StringIO()
    terminal = Terminal(console=Console(file=shown, width=120))
    record = {"step": 1, "seconds": 0.0, "metrics": {"loss": 1.0}, "best": True, "sample": "a\x1b[2J[red]b\nc"}
    terminal.validated(record)
    assert "a\N{REPLACEMENT CHARACTER}[2J[red]b\n    c" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


def test_the_metric_that_chooses_is_shown() -> None:
    """Where another metric than the loss chooses the checkpoint, its value stands beside the loss; speed is in rows."""
    shown = io.StringIO()
    terminal = Terminal(perplexity=False, console=Console(file=shown, width=120), metric="accuracy")
    terminal.measured({"loss": 0.5, "tokens_per_second": 1234.5})
    metrics = {"loss": 0.25, "accuracy": 0.875}
    terminal.validated({"step": 7, "seconds": 3.0, "metrics": metrics, "best": True})
    assert "loss 0.5000  validation loss 0.2500  accuracy 0.8750  best" in shown.getvalue()
    assert "ppl" not in shown.getvalue()
    assert terminal._speed == "1,234 rows/s"
