"""Prepare sentiment data sets: one form for all of them, with their official splits.

    python examples/checkpoints/prepare_sentiment.py DATA_DIR OUT_DIR
    python examples/checkpoints/prepare_sentiment.py DATA_DIR OUT_DIR --sets goemotions --labels negative positive

Writes ``OUT_DIR/SET/{train,dev,test}.jsonl`` (rows ``{"text", "label"}``) and ``OUT_DIR/SET/report.json``. The same
input gives the same bytes. Read under DATA_DIR, where they are there, or those named by ``--sets``:

``sst2``: ``sst/trees_{train,dev,test}.txt.xz``, the Stanford Sentiment Treebank, its tokens put together as text is
written (``does n't work .`` is ``doesn't work.``). Training rows are all phrases of the training trees that are not
neutral; ``train-sentences.jsonl`` holds the whole sentences alone, and ``train-graded.jsonl`` all phrases, the neutral
ones too, each with what its grade of the five says: ``{"negative": 0.1, "positive": 0.9}`` is somewhat positive; whole
sentences have their labels.
Neutral sentences are left out, as usual: 6,920 / 872 / 1,821.

``imdb``: ``imdb/{train,test}.jsonl.xz``, the Large Movie Review Dataset. It has no official dev part: a tenth of the
training reviews, chosen by their hashes, is taken for one.

``chnsenticorp``: ``zh_sentiment/chnsenticorp_{train,dev,test}.tsv.xz``, hotel, laptop and book reviews in Chinese.

``goemotions``: ``goemotions/{train,dev,test}.tsv.xz`` with ``labels.txt`` and ``sentiment_map.json``: Reddit comments,
their emotions grouped as in the paper. Comments whose emotions are of several groups are left out.

``english``: what the shipped English checkpoint learns from, labelled negative, neutral or positive; all of it may be
passed on. GoEmotions, without the ambiguous emotions (surprise, curiosity, confusion, realization): a training comment
whose other emotions are of several groups is shared between these. ``uci_sentiment/{amazon_cells,yelp}_labelled.txt``,
sentences about products and restaurants; a tenth each, chosen by hashes, is dev and test. And
``poem_sentiment/{train,dev,test}.tsv``, verses; those that are mixed are left out.

A training row whose text is also a dev or test row is left out, and so is one that repeats another; how many they are
is in the report. Published figures are mostly of models trained with them: ``--as-published`` keeps them.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

Row = tuple[str, str | tuple[tuple[str, float], ...]]
"""Text and label, or labels and the shares of them."""

NAMES = ("negative", "positive")
GRADES = ((1.0, 0.0), (0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.0, 1.0))
"""How negative and how positive the five grades of the treebank are."""
ESCAPED = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
TO_THE_RIGHT = {"(", "[", "{", "``", "`", "$", "#"}
TO_THE_LEFT = {")", "]", "}", "''", "'", "n't", "%", *".,;:!?", "...", "'s", "'re", "'ve", "'ll", "'d", "'m"}
TOKEN = re.compile(r"\(|\)|[^\s()]+")


def packed(path: Path) -> str:
    """The text of a ``.xz`` file."""
    try:
        return lzma.decompress(path.read_bytes()).decode("utf-8")
    except FileNotFoundError:
        raise DataError(
            f"There is no {path}. Name a folder that holds the data set, or leave it out of --sets."
        ) from None
    except (lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a whole .xz file of UTF-8 text: {error}.") from error


def phrases(tree: str) -> Iterator[tuple[int, str]]:
    """Label, 0 to 4, and text of every phrase of a tree in brackets; the whole sentence comes last."""
    labels: list[int] = []
    words: list[list[str]] = []
    opened = False
    for token in TOKEN.findall(tree):
        if token == "(":
            opened = True
        elif opened:
            labels.append(int(token))
            words.append([])
            opened = False
        elif token == ")":
            phrase = words.pop()
            yield labels.pop(), written(phrase)
            if words:
                words[-1] += phrase
        else:
            words[-1].append(ESCAPED.get(token, token).replace("\\/", "/").replace("\\*", "*"))


def written(tokens: Iterable[str]) -> str:
    """Tokens of the Penn Treebank as text: marks and endings stand where they belong."""
    text, joins = "", True
    for token in tokens:
        text += "" if joins or token.lower() in TO_THE_LEFT else " "
        joins = token in TO_THE_RIGHT
        text += "'" if token == "`" else {"``": '"', "''": '"'}.get(token, token)
    return text


def polar(rows: Iterable[tuple[int, str]]) -> list[Row]:
    """Rows that are not neutral: 0 and 1 are negative, 3 and 4 positive."""
    return [(text, NAMES[label > 2]) for label, text in rows if label != 2]


def sst2(data: Path) -> dict[str, list[Row]]:
    """Phrases to train on, sentences to train on, to choose by and to test."""
    trees = {part: packed(data / "sst" / f"trees_{part}.txt.xz").split("\n") for part in ("train", "dev", "test")}
    parts = {part: polar(list(phrases(tree))[-1] for tree in lines if tree) for part, lines in trees.items()}
    every = [phrase for tree in trees["train"] for phrase in phrases(tree)]
    sentences = dict(parts["train"])
    graded: list[Row] = [(text, sentences.get(text) or tuple(zip(NAMES, GRADES[n], strict=True))) for n, text in every]
    training = {"train": polar(every), "train-sentences": parts["train"], "train-graded": graded}
    return {**training, "dev": parts["dev"], "test": parts["test"]}


def imdb(data: Path) -> dict[str, list[Row]]:
    """Reviews, their line breaks as such."""
    parts: dict[str, list[Row]] = {"train": [], "dev": [], "test": []}
    for part in ("train", "test"):
        for line in packed(data / "imdb" / f"{part}.jsonl.xz").strip("\n").split("\n"):
            row = json.loads(line)
            text = re.sub(r"(<br\s*/?>\s*)+", "\n", row["text"])
            held = part == "train" and blake2b(text.encode(), digest_size=4).digest()[0] < 26  # of 256
            parts["dev" if held else part].append((text, NAMES[row["label"]]))
    return parts


def chnsenticorp(data: Path) -> dict[str, list[Row]]:
    """Reviews in Chinese; the file is not quoted."""
    parts: dict[str, list[Row]] = {}
    for part in ("train", "dev", "test"):
        lines = packed(data / "zh_sentiment" / f"chnsenticorp_{part}.tsv.xz").split("\n")[1:]
        cut = [line.rstrip("\r").partition("\t") for line in lines if line.strip()]
        parts[part] = [(text, NAMES[int(label)]) for label, _, text in cut]
    return parts


def comments(data: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Of GoEmotions: part, text, and the group of each of the comment's emotions."""
    folder = data / "goemotions"
    try:
        emotions = (folder / "labels.txt").read_text("utf-8").split()
        groups = json.loads((folder / "sentiment_map.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"There is no {error.filename}, which says what the labels of GoEmotions are.") from error
    group = {name: label for label, names in groups.items() for name in names}
    for part in ("train", "dev", "test"):
        lines = packed(folder / f"{part}.tsv.xz").split("\n")
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield part, row["text"], [group[emotions[int(one)]] for one in row["label"].split(",")]


def goemotions(data: Path) -> dict[str, list[Row]]:
    """Comments whose emotions all belong to one group."""
    parts: dict[str, list[Row]] = {"train": [], "dev": [], "test": []}
    for part, text, groups in comments(data):
        if len(set(groups)) == 1:
            parts[part].append((text, groups[0]))
    return parts


def english(data: Path) -> dict[str, list[Row]]:
    """Comments, sentences about products and restaurants, and verses."""
    parts: dict[str, list[Row]] = {"train": [], "dev": [], "test": []}
    for part, text, groups in comments(data):
        told = Counter(group for group in groups if group != "ambiguous")
        if len(told) == 1:
            parts[part].append((text, next(iter(told))))
        elif told and part == "train":
            parts[part].append((text, tuple((label, told[label] / told.total()) for label in sorted(told))))
    for name in ("amazon_cells", "yelp"):
        for text, label in table(data / "uci_sentiment" / f"{name}_labelled.txt"):
            tenth = blake2b(text.encode(), digest_size=4).digest()[0] * 10 // 256
            parts[{0: "dev", 1: "test"}.get(tenth, "train")].append((text, NAMES[int(label)]))
    for part, rows in parts.items():
        for _, text, label in table(data / "poem_sentiment" / f"{part}.tsv"):
            if label != "2":
                rows.append((text, {"-1": "negative", "0": "neutral", "1": "positive"}[label]))
    return parts


def table(path: Path) -> Iterator[list[str]]:
    """The cells of a text file with tabs and without quotes."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except FileNotFoundError:
        raise DataError(f"There is no {path}. Name a folder that holds it, or leave english out of --sets.") from None
    return ([cell.strip() for cell in line.split("\t")] for line in lines if line.strip())


SETS: Mapping[str, tuple[str, Callable[[Path], dict[str, list[Row]]]]] = {
    "sst2": ("sst", sst2),
    "imdb": ("imdb", imdb),
    "chnsenticorp": ("zh_sentiment", chnsenticorp),
    "goemotions": ("goemotions", goemotions),
    "english": ("uci_sentiment", english),
}


def apart(parts: Mapping[str, Sequence[Row]]) -> tuple[dict[str, list[Row]], dict[str, dict[str, int]]]:
    """Training rows once each, and none whose text is held out; and how many of each part that left out."""
    held = {text.strip().lower() for part in ("dev", "test") for text, _ in parts[part]}
    found: dict[str, list[Row]] = {}
    left_out: dict[str, dict[str, int]] = {}
    for part, rows in parts.items():
        if part.startswith("train"):
            once = list(dict.fromkeys(rows))
            found[part] = [row for row in once if row[0].strip().lower() not in held]
            left_out[part] = {"repeated": len(rows) - len(once), "held_out": len(once) - len(found[part])}
        else:
            found[part] = list(rows)
    return found, left_out


def write(folder: Path, parts: Mapping[str, Sequence[Row]], left_out: Mapping[str, Mapping[str, int]]) -> None:
    """The files of a set, and how many rows of each label they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {}
    for part, rows in parts.items():
        told = [(text, label if isinstance(label, str) else dict(label)) for text, label in rows]
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in told]
        write_atomic(folder / f"{part}.jsonl", "".join(f"{line}\n" for line in lines))
        labels = dict(sorted(Counter(str(label) for _, label in told).items()))
        report[part] = {"rows": len(rows), "labels": labels, "left_out": dict(left_out.get(part, {}))}
        print(f"{folder.name:<14}{part:<17}{json.dumps(report[part])}")
    write_atomic(folder / "report.json", json.dumps(report, indent=2) + "\n")


def main() -> None:
    """Write every set that is there or asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), help="Those that are there, when none is named.")
    parser.add_argument("--labels", nargs="+", metavar="LABEL", help="Keep rows with these labels only.")
    parser.add_argument("--as-published", action="store_true", help="Leave no training row out.")
    given = parser.parse_args()
    chosen = given.sets or [name for name, (folder, _) in SETS.items() if (given.data / folder).is_dir()]
    if not chosen:
        parser.error(f"{given.data} holds none of the folders {', '.join(folder for folder, _ in SETS.values())}.")
    try:
        for name in chosen:
            raw = SETS[name][1](given.data)
            if given.labels:
                raw = {part: [row for row in rows if row[1] in given.labels] for part, rows in raw.items()}
            write(given.out / name, *((raw, {}) if given.as_published else apart(raw)))
    except SeqdemoError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
