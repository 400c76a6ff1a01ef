"""Prepare conversations for the dialogue generators: clean, render in turns, split by conversation.

    python examples/checkpoints/prepare_dialogue.py DATA_DIR OUT_DIR
    python examples/checkpoints/prepare_dialogue.py DATA_DIR OUT_DIR --languages zh

Writes ``chat-LANGUAGE-{train,dev,test}.jsonl.xz`` (rows ``{"source", "text"}``) and ``chat-LANGUAGE-report.json`` under
OUT_DIR. The same input gives the same bytes. Read under DATA_DIR, for English:

- ``self_dialogue/dialogues.jsonl.xz``, the Self-dialogue Corpus (BSD-3-Clause),
- ``topical_chat/{valid,test}_{freq,rare}.jsonl.xz``, Topical-Chat (CDLA-Sharing-1.0),
- ``synthetic_persona_chat/{valid,test}.csv.xz``, Synthetic-Persona-Chat (CC BY 4.0),
- ``ms_chitchat/en_*.tsv.xz``, Microsoft Personality Chat (MIT), five personalities;

for Chinese:

- ``lccc_base/LCCC-base_{valid,test}.json.xz`` and ``toy_data.json.xz``, LCCC (MIT),
- ``kdconv/{dev,test}.jsonl.xz``, KdConv (Apache-2.0),
- ``ms_chitchat/zh-cn.qna.xz``, Microsoft Personality Chat (MIT).

A row is a whole conversation, its messages in the turn template of the preset ``chat-LANGUAGE``: what a model reads
in training is what it reads in a conversation. Messages of one speaker in a row are one message. A conversation with a
message that is empty, coarse or private (dialogue_text.py) is left out whole.

Split by conversation, not by the sets' official parts (of which only the smaller ones are at hand): conversations that
begin with the same long message, or are the same altogether, go to the same part, which a hash of that text says. A
training conversation of whose long messages half or more occur in held-out ones is left out. Personality Chat is for
training only: its thousands of questions ask for some ninety answers, so any split would share them. Its questions
are strung together to conversations of up to four, so that a model learns to go on after an answer. No figure of a
model trained on this text may be compared with figures published for the official parts.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dialogue_text import (
    chinese_message,
    english_message,
    is_coarse_chinese,
    is_coarse_english,
    is_private,
    key,
)

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic
from seqdemo.training.presets import preset

SMALL_TALK = "ms_chitchat"
PARTS = ("train", "dev", "test")
SHARED = 0.5  # share of a training conversation's long messages found in held-out ones: leave it out
CHAINED = 4  # questions of small talk in one conversation at most


@dataclass(frozen=True)
class Conversation:
    """Messages of two speakers in turns."""

    source: str
    messages: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """How the conversations of a language are read.

    Attributes:
        sources: readers of DATA_DIR, by the name of the set.
        clean: makes a message one clean line, or empty.
        coarse: whether a message is.
        long: letters of a message that two conversations do not share by chance.
        dev, test: shares of the conversations, in 256ths.
    """

    sources: Mapping[str, Callable[[Path], Iterator[list[tuple[str, str]]]]]
    clean: Callable[[str], str]
    coarse: Callable[[str], bool]
    long: int
    dev: int
    test: int


@dataclass
class Report:
    """What was left out and why; written beside the data."""

    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)

    def count(self, source: str, reason: str) -> None:
        """One more conversation of a source that is left out."""
        reasons = self.left_out.setdefault(source, {})
        reasons[reason] = reasons.get(reason, 0) + 1


# Readers: conversations as (speaker, message) in order


def packed(path: Path) -> str:
    """The text of a ``.xz`` file."""
    try:
        return lzma.decompress(path.read_bytes()).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no {path}. DATA_DIR must hold the files named in this script's help.") from None
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a whole .xz file of UTF-8 text: {error}.") from error


def alternating(messages: Sequence[str]) -> list[tuple[str, str]]:
    """Messages of two speakers who take turns."""
    return [("ab"[place % 2], message) for place, message in enumerate(messages)]


def json_rows(path: Path) -> Iterator[Any]:
    """Rows of a JSON lines file."""
    return (json.loads(line) for line in packed(path).split("\n") if line)


def self_dialogue(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Conversations one person wrote for both speakers."""
    for row in json_rows(data / "self_dialogue" / "dialogues.jsonl.xz"):
        yield alternating(row["turns"])


def topical_chat(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Conversations of two people about something both had read."""
    for part in ("valid_freq", "valid_rare", "test_freq", "test_rare"):
        for row in json_rows(data / "topical_chat" / f"{part}.jsonl.xz"):
            yield [(agent, message) for agent, message, _ in row["turns"]]


def synthetic_persona_chat(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Conversations a language model wrote; those with stage directions or blanks for names are empty."""
    for part in ("valid", "test"):
        rows = csv.DictReader(packed(data / "synthetic_persona_chat" / f"{part}.csv.xz").splitlines(keepends=True))
        for row in rows:
            lines = [line for line in row["Best Generated Conversation"].split("\n") if line.strip()]
            found = [re.fullmatch(r"User ?([12]): ?([^\[\]]+)", line.strip()) for line in lines]
            yield [(match[1], match[2]) for match in found if match] if all(found) else []


def chained(pairs: Sequence[tuple[str, str]], name: str) -> Iterator[list[tuple[str, str]]]:
    """Questions and answers in random order, a few in each conversation."""
    draw = random.Random(name)
    order = sorted(set(pairs))
    draw.shuffle(order)
    while order:
        some = [order.pop() for _ in range(min(draw.randint(1, CHAINED), len(order)))]
        yield alternating([message for pair in some for message in pair])


def english_small_talk(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Questions to an assistant with five personalities, each conversation with one of them."""
    for path in sorted((data / SMALL_TALK).glob("en_*.tsv.xz")):
        rows = csv.DictReader(packed(path).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        yield from chained([(row["Question"], row["Answer"]) for row in rows], path.name)


def chinese_small_talk(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Questions to an assistant: blocks of questions that are asked alike, each with its answer."""
    text = packed(data / SMALL_TALK / "zh-cn.qna.xz").replace("\r\n", "\n")
    pairs = []
    for block in text.split("## ? ")[1:]:
        answer = re.search(r"```markdown\n(.*?)\n```", block, re.DOTALL)
        if answer is None:
            raise DataError("zh-cn.qna.xz has a question without an answer: it is not the file this script knows.")
        first, *others = block.split("\n\n")[0].split("\n")
        pairs += [(question.removeprefix("- "), answer[1]) for question in (first, *others)]
    yield from chained(pairs, "zh-cn")


def lccc(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Short conversations from Chinese social media, one space between characters."""
    for name in ("LCCC-base_valid", "LCCC-base_test", "toy_data"):
        found = json.loads(packed(data / "lccc_base" / f"{name}.json.xz"))
        parts = found.values() if isinstance(found, dict) else [found]
        yield from (alternating(messages) for part in parts for messages in part)


def kdconv(data: Path) -> Iterator[list[tuple[str, str]]]:
    """Conversations about films, music and travel."""
    for part in ("dev", "test"):
        for row in json_rows(data / "kdconv" / f"{part}.jsonl.xz"):
            yield alternating(row["turns"])


LANGUAGES: Mapping[str, Language] = {
    "en": Language(
        {
            "self_dialogue": self_dialogue,
            "topical_chat": topical_chat,
            "synthetic_persona_chat": synthetic_persona_chat,
            SMALL_TALK: english_small_talk,
        },
        english_message,
        is_coarse_english,
        long=16,
        dev=5,
        test=8,
    ),
    "zh": Language(
        {"lccc_base": lccc, "kdconv": kdconv, SMALL_TALK: chinese_small_talk},
        chinese_message,
        is_coarse_chinese,
        long=7,
        dev=10,
        test=13,
    ),
}


# Cleaning and rendering


def cleaned(turns: Sequence[tuple[str, str]], language: Language) -> tuple[str, ...] | str:
    """Messages in turns, or why the conversation is left out."""
    messages: list[str] = []
    before = ""
    for speaker, raw in turns:
        message = language.clean(raw)
        if not key(message):
            return "a message that is empty or in other characters"
        if language.coarse(message):
            return "coarse language"
        if is_private(message):
            return "an address or a number"
        if speaker == before:
            messages[-1] = f"{messages[-1]} {message}"
        else:
            messages.append(message)
        before = speaker
    return tuple(messages) if len(messages) > 1 else "fewer than two messages"


def rendered(messages: Sequence[str], template: str, turn_end: str) -> str:
    """A conversation as a model reads it: of a last message without a reply, all before the reply's beginning."""
    parts = []
    for place in range(0, len(messages), 2):
        turn = template.replace("{message}", messages[place])
        if place + 1 < len(messages):
            parts.append(f"{turn}{messages[place + 1]}{turn_end}")
        else:
            parts.append(turn[: turn.rindex(turn_end) + len(turn_end)])
    return "".join(parts)


# Parts


def part_of(conversation: Conversation, language: Language) -> str:
    """Train, dev or test, by a hash of the first message if it is long, else of all of them."""
    if conversation.source == SMALL_TALK:
        return "train"
    first = key(conversation.messages[0])
    text = first if len(first) >= language.long else "\n".join(map(key, conversation.messages))
    place = blake2b(text.encode(), digest_size=1).digest()[0]
    if place < language.dev:
        return "dev"
    return "test" if place < language.dev + language.test else "train"


def apart(parts: dict[str, list[Conversation]], long: int, report: Report) -> None:
    """Take training conversations away that repeat held-out ones, in place."""
    held = {key(message) for part in ("dev", "test") for one in parts[part] for message in one.messages}
    kept = []
    for one in parts["train"]:
        keys = [found for found in map(key, one.messages) if len(found) >= long]
        if one.source != SMALL_TALK and keys and sum(found in held for found in keys) >= SHARED * len(keys):
            report.count(one.source, "repeats held-out messages")
        else:
            kept.append(one)
    parts["train"] = kept


def prepare(data: Path, name: str) -> tuple[dict[str, list[dict[str, str]]], Report]:
    """Rows of each part, in an order that mixes the sets, and what was left out."""
    language, report = LANGUAGES[name], Report()
    parts: dict[str, list[Conversation]] = {part: [] for part in PARTS}
    seen: set[str] = set()
    for source, read in language.sources.items():
        for turns in read(data):
            messages = cleaned(turns, language)
            if isinstance(messages, str):
                report.count(source, messages)
                continue
            whole = "\n".join(map(key, messages))
            if whole in seen:
                report.count(source, "repeats another conversation")
                continue
            seen.add(whole)
            conversation = Conversation(source, messages)
            parts[part_of(conversation, language)].append(conversation)
    apart(parts, language.long, report)
    template = preset(f"chat-{name}").task_config
    rows: dict[str, list[dict[str, str]]] = {}
    for part, found in parts.items():
        random.Random(f"{name} {part}").shuffle(found)
        rows[part] = [
            {"source": one.source, "text": rendered(one.messages, template["turn_template"], template["turn_end"])}
            for one in found
        ]
        report.sizes[part] = {
            source: {
                "conversations": sum(one.source == source for one in found),
                "messages": sum(len(one.messages) for one in found if one.source == source),
                "bytes": sum(len(row["text"].encode()) for row in rows[part] if row["source"] == source),
            }
            for source in Counter(one.source for one in sorted(found, key=lambda one: one.source))
        }
    return rows, report


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--languages", nargs="+", choices=list(LANGUAGES), default=list(LANGUAGES))
    given = parser.parse_args()
    try:
        for name in given.languages:
            rows, report = prepare(given.data, name)
            for part, found in rows.items():
                lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
                write_atomic(given.out / f"chat-{name}-{part}.jsonl.xz", lzma.compress(lines.encode(), preset=6))
            detail = json.dumps(vars(report), indent=1, ensure_ascii=False) + "\n"
            write_atomic(given.out / f"chat-{name}-report.json", detail)
            for part, sources in report.sizes.items():
                for source, size in sources.items():
                    counts = f"{size['conversations']:7,} conversations {size['messages']:8,} messages"
                    print(f"{name} {part:6} {source:24} {counts} {size['bytes']:12,} bytes")
    except SeqdemoError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
