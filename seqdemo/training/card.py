"""The model card of a trained checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqdemo.parts import Parts

from .config import TrainingConfig
from .data import Source

__all__ = ["write"]


def write(
    *,
    name: str,
    parts: Parts,
    config: TrainingConfig,
    data: Sequence[Source],
    validation: Sequence[Source],
    metrics: Mapping[str, float],
    step: int,
    seconds: float,
    command: str,
    about: Mapping[str, Any],
    notes: str,
    facts: Mapping[str, Any],
) -> str:
    """Markdown, with the hub's metadata block on top."""
    models = ", ".join(chosen.name for chosen in parts.models.values())
    tokenizers = ", ".join(chosen.name for chosen in parts.tokenizers.values())
    licence = str(about.get("license", ""))
    held = ", ".join(one.name for one in validation) or f"{config.validation_fraction:.0%} of the files above, held out"
    measured = ""
    if parts.head.config.batching == "streams":
        measured = f", read in at most {config.validation_streams} parallel streams with the state carried"
    lines = [
        "---",
        "library_name: seqdemo",
        *([f"license: {licence}"] if licence else []),
        f"tags: [{', '.join(['recurrent', parts.task.name, *dict.fromkeys(models.split(', '))])}]",
        "---",
        f"# {name}",
        "",
        str(about.get("summary") or f"A {parts.task.name} checkpoint: {models} over {tokenizers} tokens."),
        "",
        "```python",
        "import seqdemo",
        "",
        f'pipe = seqdemo.load("{name}")',
        "```",
        "",
        "## Data",
        "",
        "| file | bytes | SHA-256 |",
        "| --- | --- | --- |",
        *(f"| {one.name} | {one.bytes:,} | `{one.sha256}` |" for one in (*data, *validation)),
        "",
        f"Validation: {held if config.validation_fraction or validation else 'none'}.",
        "",
        "## Licence",
        "",
        licence or "Not stated.",
        "",
        "## Metrics",
        "",
        f"Measured at step {step} on the validation data{measured}.",
        "",
        "| metric | value |",
        "| --- | --- |",
        *(f"| {metric} | {value:.6g} |" for metric, value in metrics.items()),
        "",
        "## Training",
        "",
        f"{facts['parameters']:,} parameters, {seconds:.0f} s on {facts['device']} in {facts['precision']}.",
        "",
        "```sh",
        command,
        "```",
    ]
    if notes:
        lines += ["", notes.rstrip()]
    return "\n".join(lines) + "\n"
