"""Measure a dialogue generator for its model card: choose its sampling on dev, and report on test without selection.

    python examples/checkpoints/report_dialogue.py CHECKPOINT --dev DEV --test TEST --out DIR

Writes ``report.md``, a section for the card, and ``report.json`` under DIR. DEV and TEST are what prepare_dialogue.py
writes.

Sampling: every setting of ``GRID`` replies to the same ``--replies`` dev messages. Of those whose replies are as varied
as people's, to a tenth (distinct-2), and repeat themselves no more than a hundredth more often, the least random one is
chosen: the lowest temperature, then the lowest top-p, then the lowest repetition penalty. Where there is none, the one
with the highest distinct-2 is. TEST has no part in it. ``--sampling`` sets it by hand instead: a small
model is as varied as people only where much of what it says makes no sense.

Exchange number n stands in test conversation n after n modulo 3 exchanges as they were (fewer, where there are not so
many): the next message is sent, and the reply is drawn with seed ``--seed`` + n. The next ``--replies`` are drawn alike
for the figures. All are shown or counted; none is left out or redone.

A word is a run of letters, with apostrophes inside it, in lower case; a Chinese character is a word of its own.
distinct-1 and distinct-2 (Li et al. 2016) are different words, and pairs of neighbouring words, over all of them.
``repeated`` is the share of a reply's runs of three words that occurred in it before; ``same`` the share of replies
that another one equals; ``ended`` the share that ended by themselves before the token limit.

What the state carries: mean nats of the tokens of people's replies, the first of each conversation not counted, after
all that was said before and after the last message alone. The cost of 8-bit weights is measured on the same replies.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

from report import distinct, evaluate, fenced, rows

import seqdemo
from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

WORD = re.compile(r"[\u3400-\u9fff]|(?:(?![\u3400-\u9fff])[^\W\d_])+(?:['’](?:(?![\u3400-\u9fff])[^\W\d_])+)*")
LIMIT = 80  # tokens of a reply
SAMPLING = ("temperature", "top_p", "repetition_penalty")
GRID = tuple(product((0.5, 0.6, 0.7, 0.8, 0.9), (0.9, 1.0), (1.0, 1.1)))
VARIED, REPEATED = 0.9, 0.01


@dataclass(frozen=True)
class Exchange:
    """A message with what was said before it, a reply, and how to get it again."""

    before: tuple[str, ...]
    message: str
    reply: str
    human: str
    seed: int
    reason: str


def conversations(path: Path) -> list[list[str]]:
    """The messages of every row."""
    found = [[line[1:] for line in str(row["text"]).split("\n") if line] for row in rows(path)]
    if not any(len(one) > 3 for one in found):
        raise DataError(f"{path} has no conversation of four messages: give what prepare_dialogue.py writes.")
    return found


# Replies


def places(talks: Iterable[Sequence[str]]) -> Iterator[tuple[list[str], str, str]]:
    """What was said, the next message and the reply people gave, one place in each conversation."""
    for number, talk in enumerate(talk for talk in talks if len(talk) > 1):
        start = 2 * min(number % 3, len(talk) // 2 - 1)
        yield list(talk[:start]), talk[start], talk[start + 1]


def exchange(pipe: Any, before: Sequence[str], message: str, human: str, options: dict[str, Any]) -> Exchange:
    """Stand in a conversation and get a reply."""
    talk = pipe.session(**options, max_tokens=LIMIT, alternatives=0)
    for said, reply in zip(before[::2], before[1::2], strict=True):
        talk.write(reply, said)
    made = talk.send(message)
    return Exchange(tuple(before), message, made.text, human, options["seed"], made.done.reason)


def draw(pipe: Any, talks: Sequence[Sequence[str]], start: int, count: int, seed: int, options: Any) -> list[Exchange]:
    """Exchanges by number."""
    chosen = islice(enumerate(places(talks)), start, start + count)
    return [exchange(pipe, *place, {**options, "seed": seed + number}) for number, place in chosen]


def variety(texts: Sequence[str]) -> dict[str, float]:
    """How different replies are, from one another and within each."""
    groups = [[found.lower() for found in WORD.findall(text)] for text in texts]
    runs = again = 0
    for words in groups:
        triples = list(zip(words, words[1:], words[2:], strict=False))
        runs += len(triples)
        again += len(triples) - len(set(triples))
    counted = Counter(" ".join(words) for words in groups)
    return {
        "words": sum(map(len, groups)) / max(len(groups), 1),
        **distinct(groups),
        "repeated": again / max(runs, 1),
        "same": sum(count for count in counted.values() if count > 1) / max(len(groups), 1),
    }


def measured(made: Sequence[Exchange]) -> dict[str, float]:
    """:func:`variety` of the replies, and how many ended by themselves."""
    ended = sum(one.reason in ("stop", "end") for one in made) / max(len(made), 1)
    return variety([one.reply for one in made]) | {"ended": ended}


def choose(pipe: Any, talks: Sequence[Sequence[str]], count: int, seed: int) -> tuple[dict[str, float], list[Any]]:
    """The sampling options, and what was measured of each setting."""
    reference = variety([human for _, _, human in islice(places(talks), count)])
    tried = []
    for setting in GRID:
        options = dict(zip(SAMPLING, setting, strict=True))
        tried.append(options | measured(draw(pipe, talks, 0, count, seed, options)))
        print(" ".join(f"{name} {value:.3f}" for name, value in tried[-1].items()), flush=True)
    fit = [
        one
        for one in tried
        if one["distinct_2"] >= VARIED * reference["distinct_2"] and one["repeated"] <= reference["repeated"] + REPEATED
    ]
    best = fit[0] if fit else max(tried, key=lambda one: one["distinct_2"])
    return {name: best[name] for name in SAMPLING}, tried


# Probabilities


def reply_loss(pipe: Any, talks: Sequence[Sequence[str]], alone: bool) -> tuple[float, int]:
    """Nats and tokens of people's replies after the first; ``alone``: after nothing but the message."""
    nats, tokens = 0.0, 0
    for messages in talks:
        talk = pipe.session()
        for place in range(0, len(messages) - 1, 2):
            if alone:
                talk = pipe.session()
            if place or not alone:
                node = talk.write(messages[place + 1], messages[place])
                if place:
                    nats -= sum(token.logprob for token in node.tokens)
                    tokens += len(node.tokens)
    return nats, tokens


def carried(checkpoint: str, talks: Sequence[Sequence[str]]) -> dict[str, float]:
    """Perplexities of replies: with all before, with the last message alone, and in 8 bits."""
    whole = seqdemo.load(checkpoint, device="cpu", precision="fp32")
    nats, tokens = reply_loss(whole, talks, alone=False)
    apart, _ = reply_loss(whole, talks, alone=True)
    rounded, _ = reply_loss(seqdemo.load(checkpoint, device="cpu", precision="int8"), talks, alone=False)
    return {
        "tokens": tokens,
        "perplexity": math.exp(nats / tokens),
        "perplexity_message_alone": math.exp(apart / tokens),
        "perplexity_int8": math.exp(rounded / tokens),
    }


# The card


def shown(one: Exchange) -> str:
    """An exchange as text: what was said, and the reply after a bar."""
    lines = [f"{'><'[place % 2]} {text}" for place, text in enumerate((*one.before, one.message))]
    return "\n".join([*lines, f"| {one.reply}"])


def markdown(result: dict[str, Any], exchanges: Sequence[Exchange]) -> str:
    """The card's section."""
    baselines, state = result["baselines"], result["carried"]
    names = [f"{b['unit']} {b['order']}-gram, {b['smoothing']}" for b in baselines]
    lines = ["## Held out", "", "Test part; bits per byte, marks of turns and ends counted; state carried, lower is "]
    lines[-1] += "better."
    lines += ["", "| text | this model |" + "".join(f" {name} |" for name in names)]
    lines += ["| --- | ---: |" + " ---: |" * len(names)]
    for name, values in result["heldout"].items():
        others = [b["bits_per_byte"] if name == "all" else b["bits_per_byte_by_source"].get(name) for b in baselines]
        cells = "".join(f" {value:.4f} |" if value is not None else " |" for value in others)
        lines.append(f"| {name} | {values['bits_per_byte']:.4f} |{cells}")
    cost = state["perplexity_int8"] / state["perplexity"] - 1
    lines += [
        "",
        f"People's replies after the first of a conversation, {state['tokens']:,} tokens: perplexity "
        f"{state['perplexity']:.2f} after all that was said before, {state['perplexity_message_alone']:.2f} after the "
        f'last message alone. In int8, which `precision="auto"` takes here, {state["perplexity_int8"]:.2f} '
        f"({cost:+.2%}).",
        "",
        "## Replies",
        "",
        f"{result['replies']} replies to messages of the test part, beside people's replies to the same messages; "
        + ", ".join(f"{name} {value}" for name, value in result["options"].items())
        + (", chosen on dev." if result["chosen"] else "."),
        "",
        "| | this model | people |",
        "| --- | ---: | ---: |",
    ]
    made, human = result["made"], result["human"]
    for name, title, form in (
        ("words", "words in a reply", ".1f"),
        ("distinct_1", "distinct-1", ".3f"),
        ("distinct_2", "distinct-2", ".3f"),
        ("repeated", "three-word runs repeated within a reply", ".1%"),
        ("same", "replies that another one equals", ".1%"),
        ("ended", "ended before the limit", ".1%"),
    ):
        lines.append(f"| {title} | {made[name]:{form}} | {format(human[name], form) if name in human else ''} |")
    lines += [
        "",
        "distinct-n: different words, and pairs of words, over all of them; a Chinese character is a word.",
        "",
        f"## {len(exchanges)} exchanges, none selected",
        "",
        f"Seeds {exchanges[0].seed} to {exchanges[-1].seed}, in order, with these options. Lines with `>` and `<` are "
        "people's, from the test part; the model's reply stands after `|`.",
        "",
    ]
    for one in exchanges:
        lines += [fenced(shown(one)), ""]
    return "\n".join(lines)


def report(given: argparse.Namespace) -> tuple[dict[str, Any], list[Exchange], list[Any]]:
    """Everything that is measured."""
    pipe = seqdemo.load(given.checkpoint, device="cpu")
    if given.sampling:
        options, tried = dict(zip(SAMPLING, given.sampling, strict=True)), []
    else:
        options, tried = choose(pipe, conversations(given.dev), given.replies, given.seed)
    talks = conversations(given.test)
    exchanges = draw(pipe, talks, 0, given.count, given.seed, options)
    replies = draw(pipe, talks, given.count, given.replies, given.seed, options)
    result = {
        "parameters": pipe.parameters,
        "options": options,
        "chosen": not given.sampling,
        "heldout": evaluate(pipe, rows(given.test), given.streams),
        "baselines": [json.loads(path.read_text(encoding="utf-8")) for path in given.baseline],
        "carried": carried(given.checkpoint, [talk for talk in talks if len(talk) > 3][: given.replies]),
        "replies": len(replies),
        "made": measured(replies),
        "human": variety([one.human for one in replies]),
    }
    return result, exchanges, tried


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or name")
    parser.add_argument("--dev", type=Path, required=True, help="to choose the sampling by")
    parser.add_argument("--test", type=Path, required=True, help="to report on")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.md and report.json")
    parser.add_argument("--count", type=int, default=50, help="exchanges in the card")
    parser.add_argument("--replies", type=int, default=300, help="replies that figures are made of")
    parser.add_argument("--seed", type=int, default=0, help="of the first reply")
    parser.add_argument("--streams", type=int, default=16, help="held-out text is read in this many streams")
    parser.add_argument("--baseline", type=Path, action="append", default=[], help="JSON of tests/benchmarks/ngram.py")
    parser.add_argument("--sampling", type=float, nargs=3, metavar=("T", "P", "R"), help="instead of choosing it")
    given = parser.parse_args()
    try:
        result, exchanges, tried = report(given)
        detail = {**result, "tried": tried, "exchanges": [asdict(one) for one in exchanges]}
        write_atomic(given.out / "report.json", json.dumps(detail, indent=1, ensure_ascii=False) + "\n")
        write_atomic(given.out / "report.md", markdown(result, exchanges))
    except SeqdemoError as error:
        parser.exit(2, f"{error}\n")
    for name, values in result["heldout"].items():
        print(f"{name:24} {values['bits_per_byte']:.4f} bits per byte")
    print(json.dumps({name: result[name] for name in ("options", "made", "human", "carried")}))


if __name__ == "__main__":
    main()
