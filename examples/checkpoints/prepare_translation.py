"""Prepare parallel corpora: one form for all of them, split so that nothing of dev and test is in training.

    python examples/checkpoints/prepare_translation.py DATA_DIR OUT_DIR
    python examples/checkpoints/prepare_translation.py DATA_DIR OUT_DIR --sets tatoeba-en-fr

Writes ``OUT_DIR/SET/{train,dev,test}.jsonl`` (rows ``{"source", "target"}``) and ``OUT_DIR/SET/report.json``. The same
input gives the same bytes. Read under DATA_DIR, where they are there, or those named by ``--sets``:

``multi30k-de-en``, ``multi30k-en-de``: ``multi30k/{train,val,test_2016_flickr}.{de,en}.gz``, task 1 with its official
parts, untouched.

``tatoeba-en-fr``, ``tatoeba-en-zh``, ``tatoeba-zh-en``: ``tatoeba/eng-{fra,cmn}.tsv.xz``. It has no official parts. Two
pairs hang together when they share a sentence, on either side, whatever its case, punctuation and spaces; what hangs
together is whole in one part. Of a group that is held out one pair is kept, so that no sentence is measured twice; the
parts of the two directions are the same pairs. Groups of more than ``LARGEST`` pairs train: most are single words.
``OUT_DIR/tatoeba-notes.md`` names the source, for the model card (``--notes``).
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

Pair = tuple[str, str]
Parts = Mapping[str, Sequence[Pair]]

LARGEST = 12  # pairs of a group that may be held out
HELD_OUT = {"fra": 2000, "cmn": 1000}  # groups in dev, and as many in test

NOTES = """## Where the data come from

Sentence pairs by the contributors of [Tatoeba](https://tatoeba.org), CC BY 2.0 FR, in the form of manythings.org/anki.
Dev and test share no sentence with training, on either side.
"""

_MARKS = re.compile(r"[\W_]+")


def content(path: Path) -> str:
    """The text of a packed file."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else lzma.decompress(raw)).decode("utf-8")
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}. Give the folder that holds {path.parent.name}/.") from error


def lines(path: Path) -> list[str]:
    """Its lines, without spaces around them."""
    return [line.strip() for line in content(path).removesuffix("\n").split("\n")]


def multi30k(data: Path, source: str, target: str) -> Parts:
    """The official parts."""
    files = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    parts: dict[str, list[Pair]] = {}
    for part, name in files.items():
        sides = [lines(data / "multi30k" / f"{name}.{language}.gz") for language in (source, target)]
        if len(sides[0]) != len(sides[1]):
            raise DataError(f"multi30k/{name} has {len(sides[0])} lines of {source} and {len(sides[1])} of {target}.")
        parts[part] = list(zip(*sides, strict=True))
    return parts


def key(sentence: str) -> str:
    """What two sentences that count as the same have in common."""
    letters = _MARKS.sub("", unicodedata.normalize("NFKC", sentence).casefold())
    return letters or sentence


def tatoeba(data: Path, language: str, turned: bool) -> Parts:
    """English and another language, English first or, ``turned``, last."""
    pairs: list[Pair] = []
    for line in lines(data / "tatoeba" / f"eng-{language}.tsv.xz"):
        cells = [unicodedata.normalize("NFC", cell.strip()) for cell in line.split("\t")[:2]]
        if len(cells) == 2 and all(cells):
            pairs.append((cells[0], cells[1]))
    train, dev, test = split(list(dict.fromkeys(pairs)), HELD_OUT[language])
    parts = {"train": train, "dev": dev, "test": test}
    return {part: [pair[::-1] for pair in found] if turned else found for part, found in parts.items()}


def groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs that hang together, directly or through others, in the order of each group's first pair."""
    parent = list(range(len(pairs)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[tuple[int, str], int] = {}
    for place, pair in enumerate(pairs):
        for side, sentence in enumerate(pair):
            other = first.setdefault((side, key(sentence)), place)
            low, high = sorted((root(place), root(other)))
            parent[high] = low
    found: dict[int, list[Pair]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        found[root(place)].append(pair)
    return list(found.values())


def split(pairs: Sequence[Pair], size: int) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Train, dev and test; a pair of each of ``size`` groups in either of the last two, chosen by their hashes."""
    every = groups(pairs)
    small = sorted((group for group in every if len(group) <= LARGEST), key=lambda group: _hash(min(group)))
    if len(small) < 3 * size:
        raise DataError(f"There are {len(small)} groups of pairs to hold out {2 * size} from: too few.")
    held = [min(group, key=_hash) for group in small[: 2 * size]]
    out = {pair for group in small[: 2 * size] for pair in group}
    return [pair for pair in pairs if pair not in out], held[:size], held[size:]


def _hash(pair: Pair) -> str:
    return blake2b("\t".join(pair).encode(), digest_size=8).hexdigest()


def shared(parts: Parts) -> dict[str, int]:
    """How many held-out sentences of each side are in training too."""
    found: dict[str, int] = {}
    for side, name in enumerate(("source", "target")):
        seen = {key(pair[side]) for pair in parts["train"]}
        found[name] = sum(key(pair[side]) in seen for part in ("dev", "test") for pair in parts[part])
    return found


SETS: Mapping[str, Callable[[Path], Parts]] = {
    "multi30k-de-en": lambda data: multi30k(data, "de", "en"),
    "multi30k-en-de": lambda data: multi30k(data, "en", "de"),
    "tatoeba-en-fr": lambda data: tatoeba(data, "fra", turned=False),
    "tatoeba-en-zh": lambda data: tatoeba(data, "cmn", turned=False),
    "tatoeba-zh-en": lambda data: tatoeba(data, "cmn", turned=True),
}


def write(folder: Path, parts: Parts) -> dict[str, object]:
    """Write the parts of a set and what there is to say of them."""
    for part, pairs in parts.items():
        rows = (json.dumps({"source": a, "target": b}, ensure_ascii=False) for a, b in pairs)
        write_atomic(folder / f"{part}.jsonl", "".join(f"{row}\n" for row in rows))
    report = {"pairs": {part: len(pairs) for part, pairs in parts.items()}, "held_out_seen_in_training": shared(parts)}
    write_atomic(folder / "report.json", json.dumps(report, indent=1) + "\n")
    return report


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, help="folder with multi30k, tatoeba")
    parser.add_argument("out_dir", type=Path, help="where a folder for each set goes")
    parser.add_argument("--sets", nargs="+", choices=SETS, help="which; all that are there by default")
    options = parser.parse_args()
    asked = options.sets or [name for name in SETS if (options.data_dir / name.partition("-")[0]).is_dir()]
    if not asked:
        parser.exit(2, f"{options.data_dir} holds neither multi30k nor tatoeba.\n")
    try:
        for name in asked:
            print(name, json.dumps(write(options.out_dir / name, SETS[name](options.data_dir))))
        if any(name.startswith("tatoeba") for name in asked):
            write_atomic(options.out_dir / "tatoeba-notes.md", NOTES)
    except SeqdemoError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
