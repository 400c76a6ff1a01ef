"""Measure a generator and sample from it for its model card, without selection.

    python examples/checkpoints/report.py CHECKPOINT --train TRAIN --heldout HELDOUT --out DIR
    python examples/checkpoints/report.py CHECKPOINT --train input.txt --fraction 0.1 --out DIR

Writes ``report.md``, a section for the card, and ``report.json`` under DIR. TRAIN and HELDOUT are text or JSON lines
with a ``text`` column, maybe packed; without HELDOUT, the last share of a plain text is what was held out.

Samples: number n continues prompt n modulo the number of prompts with seed ``--seed`` + n and the options printed; all
are shown, none is left out or redone.

A word is a longest run of letters, with apostrophes inside it (``[^\\W\\d_]+('[^\\W\\d_]+)*``), in lower case. Of a
sample those words count that begin after the prompt and end before the token limit cut the text. The share of words
in the training text counts every occurrence; the share of distinct words counts each word once. distinct-1 and
distinct-2 (Li et al. 2016) are different words, and pairs of neighbouring words, over all of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import seqdemo
from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Sample:
    """A generated text and how to get it again."""

    prompt: str
    seed: int
    text: str
    tokens: int
    reason: str

    @property
    def words(self) -> list[str]:
        """Whole words that begin after the prompt, in lower case."""
        whole = self.prompt + self.text
        cut = self.reason == "length"
        return [
            found[0].lower()
            for found in WORD.finditer(whole)
            if found.start() >= len(self.prompt) and not (cut and found.end() == len(whole))
        ]


def rows(path: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines, or a text as one row.

    Raises:
        DataError: no such file, or not readable as its name says.
    """
    openers: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open}
    try:
        with openers.get(path.suffix, open)(path, "rt", encoding="utf-8") as file:
            text = str(file.read())
        if ".jsonl" in path.suffixes:
            return [json.loads(line) for line in text.split("\n") if line]
    except FileNotFoundError:
        raise DataError(f"There is no data file {path}.") from None
    except (lzma.LZMAError, EOFError, ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    return [{"text": text}]


def words(texts: Iterable[str]) -> list[str]:
    """Every word of the texts, in lower case."""
    return [found.lower() for text in texts for found in WORD.findall(text)]


def share(found: Sequence[str], known: frozenset[str]) -> dict[str, float | int]:
    """How many of these words are known ones, counting every occurrence and counting each word once."""
    kinds = set(found)
    return {
        "words": len(found),
        "distinct_words": len(kinds),
        "in_training_text": sum(word in known for word in found) / max(len(found), 1),
        "distinct_in_training_text": sum(word in known for word in kinds) / max(len(kinds), 1),
    }


def distinct(groups: Iterable[Sequence[str]]) -> dict[str, float]:
    """distinct-1 and distinct-2 over groups of words; a pair never reaches from one group into another."""
    groups = list(groups)
    singles = [word for group in groups for word in group]
    pairs = [pair for group in groups for pair in pairwise(group)]
    return {
        "distinct_1": len(set(singles)) / max(len(singles), 1),
        "distinct_2": len(set(pairs)) / max(len(pairs), 1),
    }


def like_samples(texts: Sequence[str], lengths: Sequence[int]) -> list[list[str]]:
    """Beginnings of held-out texts with as many words each as the samples have: what to compare distinct-n with."""
    step = max(1, len(texts) // max(len(lengths), 1))
    starts = [words([text[: 20 * length + 200]]) for text, length in zip(texts[::step], lengths, strict=False)]
    return [start[:length] for start, length in zip(starts, lengths, strict=False)]


def evaluate(pipe: Any, held: list[dict[str, Any]], streams: int) -> dict[str, dict[str, float]]:
    """``seqdemo.evaluate`` on the held-out rows: all of them, then those of each ``source``."""
    sources = sorted({str(row["source"]) for row in held if "source" in row})
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(["all", *sources] if len(sources) > 1 else ["all"]):
            file = Path(folder) / f"{number}.jsonl"
            chosen = [row for row in held if name == "all" or row["source"] == name]
            lines = (json.dumps({"text": row["text"]}, ensure_ascii=False) + "\n" for row in chosen)
            file.write_text("".join(lines), encoding="utf-8")
            found[name] = seqdemo.evaluate(pipe, file, streams=streams)
    return found


def draw(pipe: Any, prompts: Sequence[str], count: int, seed: int, options: dict[str, Any]) -> list[Sample]:
    """Samples by number, none left out."""
    drawn = []
    for number in range(count):
        prompt = prompts[number % len(prompts)]
        made = pipe.generate(prompt, seed=seed + number, alternatives=0, **options)
        drawn.append(Sample(prompt, seed + number, made.text, len(made.tokens), made.done.reason))
    return drawn


def fenced(text: str) -> str:
    """A text as a block that Markdown leaves alone."""
    marks = max([2, *(len(run) for run in re.findall("`+", text))]) + 1
    return f"{'`' * marks}text\n{text}\n{'`' * marks}"


def markdown(result: dict[str, Any], samples: Sequence[Sample]) -> str:
    """The card's section."""
    held, found, reference = result["heldout"], result["samples"], result["heldout_words"]
    baselines = result["baselines"]
    names = [f"{b['unit']} {b['order']}-gram, {b['smoothing']}" for b in baselines]
    lines = ["## Held out", "", "Bits per byte, end tokens counted; state carried, lower is better.", ""]
    lines += ["| text | this model |" + "".join(f" {name} |" for name in names)]
    lines += ["| --- | ---: |" + " ---: |" * len(names)]
    for name, values in held.items():
        others = [b["bits_per_byte"] if name == "all" else b["bits_per_byte_by_source"].get(name) for b in baselines]
        cells = "".join(f" {value:.4f} |" if value is not None else " |" for value in others)
        lines.append(f"| {name} | {values['bits_per_byte']:.4f} |{cells}")
    options = ", ".join(f"{name} {value}" for name, value in result["options"].items())
    lines += [
        "",
        f"## {len(samples)} samples, none selected",
        "",
        f"Seeds {samples[0].seed} to {samples[-1].seed}, in order; {options}. The prompt stands before the bar `|`.",
        "",
        "| | samples | held-out text |",
        "| --- | ---: | ---: |",
        f"| words | {found['words']:,} | {reference['words']:,} |",
        f"| that occur in the training text | {found['in_training_text']:.2%} | {reference['in_training_text']:.2%} |",
        f"| of the different ones | {found['distinct_in_training_text']:.2%} "
        f"| {reference['distinct_in_training_text']:.2%} |",
        f"| distinct-1 | {found['distinct_1']:.3f} | {reference['distinct_1']:.3f} |",
        f"| distinct-2 | {found['distinct_2']:.3f} | {reference['distinct_2']:.3f} |",
        "",
        "A word is a run of letters with apostrophes inside, in lower case; one cut by the token limit does not count. "
        "distinct-n of held-out text is over beginnings with as many words.",
        "",
    ]
    if result["unknown_words"]:
        listed = ", ".join(f"{word} ({count})" for word, count in result["unknown_words"].items())
        lines += [f"Words that do not occur in the training text: {listed}.", ""]
    for sample in samples:
        ended = {"length": "cut at the token limit", "end": "ended by itself"}.get(sample.reason, sample.reason)
        lines += [f"Seed {sample.seed}, {sample.tokens} tokens, {ended}:", ""]
        lines += [fenced(f"{sample.prompt}|{sample.text}"), ""]
    return "\n".join(lines)


def report(options: argparse.Namespace) -> tuple[dict[str, Any], list[Sample]]:
    """Everything that is measured."""
    pipe = seqdemo.load(options.checkpoint, device=options.device)
    train = rows(options.train)
    if options.heldout is not None:
        held = rows(options.heldout)
    else:
        text = str(train[0]["text"])
        cut = int(len(text) * (1 - options.fraction))
        train, held = [{"text": text[:cut]}], [{"text": text[cut:]}]
    known = frozenset(words(row["text"] for row in train))
    sampling = {"max_tokens": options.max_tokens, "temperature": options.temperature, "top_p": options.top_p}
    sampling |= {"min_p": options.min_p}
    samples = draw(pipe, options.prompt, options.count, options.seed, sampling)
    groups = [sample.words for sample in samples]
    flat = [word for group in groups for word in group]
    texts = [str(row["text"]) for row in held]
    unknown: dict[str, int] = {}
    for word in flat:
        if word not in known:
            unknown[word] = unknown.get(word, 0) + 1
    result = {
        "checkpoint": str(options.checkpoint if len(Path(options.checkpoint).parts) == 1 else pipe.name),
        "parameters": pipe.parameters,
        "heldout": evaluate(pipe, held, options.streams),
        "baselines": [json.loads(path.read_text(encoding="utf-8")) for path in options.baseline],
        "options": sampling,
        "prompts": options.prompt,
        "samples": share(flat, known) | distinct(groups),
        "heldout_words": share(words(texts), known) | distinct(like_samples(texts, [len(g) for g in groups])),
        "unknown_words": dict(sorted(unknown.items(), key=lambda item: (-item[1], item[0]))),
    }
    return result, samples


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or name")
    parser.add_argument("--train", type=Path, required=True, help="what it was trained on")
    parser.add_argument("--heldout", type=Path, help="what it was not")
    parser.add_argument("--fraction", type=float, default=0.1, help="without --heldout: the last share of TRAIN")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md and report.json")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--prompt", action="append", help="may be given again; by default the empty one")
    parser.add_argument("--seed", type=int, default=0, help="of the first sample")
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--min-p", type=float, default=0.0)
    parser.add_argument("--streams", type=int, default=16, help="held-out text is read in this many streams")
    parser.add_argument("--baseline", type=Path, action="append", default=[], help="JSON of tests/benchmarks/ngram.py")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.prompt = options.prompt or [""]
    try:
        result, samples = report(options)
        detail = {**result, "texts": [asdict(sample) for sample in samples]}
        write_atomic(options.out / "report.json", json.dumps(detail, indent=1, ensure_ascii=False) + "\n")
        write_atomic(options.out / "report.md", markdown(result, samples))
    except SeqdemoError as error:
        parser.exit(2, f"{error}\n")
    for name, values in result["heldout"].items():
        print(f"{name:20} {values['bits_per_byte']:.4f} bits per byte")
    print(
        f"{result['samples']['in_training_text']:.2%} of {result['samples']['words']:,} words are in the training text"
    )


if __name__ == "__main__":
    main()
