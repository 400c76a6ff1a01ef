"""Measure a translator for its model card: settings chosen on dev, figures and translations from test.

    python examples/checkpoints/report_translation.py CHECKPOINT --dev DEV --test TEST --out DIR

Writes ``report.md``, sections for the card, and ``report.json`` under DIR. DEV and TEST are JSON lines with ``source``
and ``target``. Of all beams and length penalties asked for, the pair with the highest cased BLEU on dev is chosen; test
is read with it and with the likeliest token each time, in every precision asked for. BLEU and chrF are sacreBLEU's.

The translations shown are those of the first rows of TEST, none left out.

With ``--save FOLDER`` the checkpoint is written there too, under that folder's name: the sections in its card after
``--notes``, the chosen settings, the figures of the first precision and the ``--example`` sentences in its manifest.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import seqdemo
from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

Rows = list[dict[str, str]]


def rows(path: Path) -> Rows:
    """Rows of JSON lines.

    Raises:
        DataError: no such file, or not readable.
    """
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def measure(pipe: seqdemo.Pipeline, pairs: Rows, options: dict[str, Any]) -> tuple[dict[str, float], Any, list[str]]:
    """Figures, notes on how they were computed, and the translations."""
    found = pipe.predict([row["source"] for row in pairs], **options)
    judged = pipe.head.judge(pairs, found)
    if "bleu" not in judged.metrics:
        raise DataError(" ".join(judged.notes))
    return judged.metrics, judged.notes, [str(one) for one in found]


def choose(pipe: seqdemo.Pipeline, dev: Rows, beams: list[int], penalties: list[float]) -> list[dict[str, Any]]:
    """Every setting with its figures on dev, the best first."""
    settings = dict.fromkeys((beam, penalty if beam > 1 else 1.0) for beam, penalty in product(beams, penalties))
    tried = []
    for beam, penalty in settings:
        options = {"beam_size": beam, "length_penalty": penalty}
        tried.append({**options, **measure(pipe, dev, options)[0]})
    return sorted(tried, key=lambda one: -one["bleu"])


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured."""
    pipes = {name: seqdemo.load(options.checkpoint, device="cpu", precision=name) for name in options.precisions}
    first = next(iter(pipes.values()))
    dev, test = rows(options.dev), rows(options.test)
    tried = choose(first, dev, options.beams, options.penalties)
    best = {name: tried[0][name] for name in ("beam_size", "length_penalty")}
    measured: list[dict[str, Any]] = []
    notes, shown = (), list[str]()
    for name, pipe in pipes.items():
        for setting in ({"beam_size": 1, "length_penalty": 1.0}, best):
            values, notes, texts = measure(pipe, test, setting)
            measured.append({"precision": pipe.stepper.precision, **setting, **values})
            shown = texts if setting is best and name == options.precisions[0] else shown
    samples = [
        {**row, "translation": text} for row, text in zip(test[: options.count], shown[: options.count], strict=True)
    ]
    return {"dev": tried, "options": best, "test": measured, "rows": len(test), "notes": notes, "samples": samples}


def save(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write the checkpoint as it ships."""
    pipe = seqdemo.load(options.checkpoint, device="cpu")
    manifest, folder = pipe.manifest, options.save
    assert manifest is not None
    # The first precision's figures with the settings chosen: the second row.
    figures = {name: result["test"][1][name] for name in ("bleu", "bleu_lowercase", "chrf")}
    parts = [pipe.card.replace(pipe.name, folder.name).rstrip("\n")]
    parts += [options.notes.read_text("utf-8").rstrip("\n")] if options.notes else []
    pipe.save(
        folder,
        card="\n\n".join([*parts, markdown(result)]),
        dtype=manifest.dtype,
        options={**manifest.options, **result["options"]},
        metrics={**manifest.metrics, **figures},
        examples=options.example,
    )


def markdown(result: dict[str, Any]) -> str:
    """The card's sections."""
    beam, penalty = result["options"].values()
    lines = [
        "## Translations measured",
        "",
        f"{result['rows']:,} held-out sentences; beam {beam} with length penalty {penalty} was chosen on dev.",
        "",
        "| precision | beam | BLEU | BLEU, lower-cased | chrF |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for one in result["test"]:
        figures = " | ".join(f"{one[name]:.1f}" for name in ("bleu", "bleu_lowercase", "chrf"))
        lines.append(f"| {one['precision']} | {one['beam_size']} | {figures} |")
    lines += ["", *(f"- `{note}`" for note in result["notes"]), ""]
    lines += [f"## {len(result['samples'])} translations, none selected", ""]
    lines += ["| source | translation | reference |", "| --- | --- | --- |"]
    for sample in result["samples"]:
        cells = (sample[name].replace("|", "\\|") for name in ("source", "translation", "target"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or name")
    parser.add_argument("--dev", type=Path, required=True, help="what settings are chosen on")
    parser.add_argument("--test", type=Path, required=True, help="what is measured")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md and report.json")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5, 8])
    parser.add_argument("--penalties", type=float, nargs="+", default=[0.6, 1.0, 1.4])
    parser.add_argument("--precisions", nargs="+", default=["auto", "fp32"], help="the first one's texts are shown")
    parser.add_argument("--count", type=int, default=30, help="translations shown")
    parser.add_argument("--save", type=Path, help="write the checkpoint as it ships into this folder")
    parser.add_argument("--notes", type=Path, help="with --save: Markdown for its card")
    parser.add_argument("--example", action="append", default=[], help="with --save: a sentence worth trying")
    options = parser.parse_args()
    try:
        result = report(options)
        write_atomic(options.out / "report.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        write_atomic(options.out / "report.md", markdown(result))
        if options.save:
            save(options, result)
    except SeqdemoError as error:
        parser.exit(2, f"{error}\n")
    for one in result["test"]:
        print(
            f"{one['precision']:5} beam {one['beam_size']}: BLEU {one['bleu']:.2f}, lower-cased "
            f"{one['bleu_lowercase']:.2f}, chrF {one['chrf']:.2f}"
        )


if __name__ == "__main__":
    main()
