"""Prepare the text of the story generator: clean, cut into pieces, split by book and by story.

    python examples/checkpoints/prepare_stories.py DATA_DIR OUT_DIR

Reads ``english_classics/children.jsonl.xz``, ``fairytaleqa_stories/{train,val,test}.jsonl.xz`` and
``tinystories/{train,valid}.jsonl.xz`` under DATA_DIR; writes ``stories-train.jsonl.xz`` and
``stories-heldout.jsonl.xz`` (rows ``{"source", "title", "text"}``) and ``stories-report.json`` under OUT_DIR.
The same input gives the same bytes.

A row is a whole story or a whole chapter, never a part of one, so that the end-of-text token a model reads after
each row stands where a text really ends. Paragraphs are parted by a blank line, lines of verse by a newline.
Chapter headings go to ``title`` and are not in ``text``.

Split: four books, FairytaleQA's official validation and test stories, and the validation part of TinyStories are
held out. A training row that repeats a held-out row (ten-word shingles) is left out of training. Some TinyStories
rows in both parts come from that data set's official validation file, so no figure of a model trained on this text
may be compared with figures published for that file.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

from story_text import NOTE, blocks, is_unfit, one_style, plain, rejoined, unmarked, unwrapped

from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

BOOKS, TALES, TINY = "english_classics", "fairytaleqa", "tinystories"

HELD_OUT_BOOKS = {"The Princess and the Goblin", "Ozma of Oz", "The Christmas Angel", "The Canterville Ghost"}

# The author, or a translator the file names, is not known to have died before 1946.
NOT_CLEARLY_PUBLIC_DOMAIN = {
    "The Story of Doctor Dolittle": "Hugh Lofting died in 1947",
    "The Adventures of Pinocchio": "translated by Carol Della Chiesa",
    "Heidi": "translated by Elisabeth P. Stork",
    "Aesop's Fables": "translated by V. S. Vernon Jones",
}

# A paragraph with an unfit word (story_text.py) is left out; a book in which more than this share of the paragraphs
# have one is left out whole.
LIMIT = 0.03

SHINGLE = 10  # words
REPEATED = 0.10  # share of the shorter row's shingles found in a held-out row: leave the training row out
DOUBLED = 0.50  # share of a training row's shingles seen in earlier training rows: leave it out
SHORTEST = 150  # characters


@dataclass(frozen=True)
class Piece:
    """One row: a story or a chapter."""

    source: str
    title: str
    text: str


@dataclass
class Report:
    """What was left out and why; written beside the data."""

    books_without_clear_rights: dict[str, str] = field(default_factory=dict)
    books_with_unfit_words: dict[str, str] = field(default_factory=dict)
    paragraphs_with_unfit_words: dict[str, int] = field(default_factory=dict)
    rows_too_short: int = 0
    train_rows_repeating_held_out: list[str] = field(default_factory=list)
    rows_doubled: list[str] = field(default_factory=list)
    sizes: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)


def read_rows(path: Path) -> Iterator[dict[str, object]]:
    """Rows of a packed JSON lines file."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except FileNotFoundError:
        raise DataError(f"There is no {path}. DATA_DIR must hold the folders named in this script's help.") from None
    except (lzma.LZMAError, EOFError, ValueError) as error:
        raise DataError(f"{path} is not a packed JSON lines file: {error}.") from error


# Books


def chapters(title: str, text: str) -> Iterator[tuple[str, list[str]]]:
    """The book's chapters: heading, paragraphs."""
    body = plain(text.partition("\n-------\n")[2].replace("\r\n", "\n"))
    wrapped = max(map(len, body.split("\n"))) < 80
    heading, paragraphs = "", list[str]()

    def finished() -> list[str]:
        return one_style(rejoined(unwrapped(paragraphs) if wrapped else paragraphs))

    for block in blocks(body):
        mark = re.match(r"#+ (.*)$", block)
        if mark and not mark[1].strip().startswith('"'):
            yield heading, finished()
            heading, paragraphs = unmarked(mark[1]).strip(), []
            continue
        # Andersen's book is the one with footnotes: a paragraph that begins with a star and has no second one.
        footnote = title.startswith("Andersen") and block.startswith("*") and block.count("*") == 1
        clean = unmarked(mark[1] if mark else block)
        if clean and not footnote and not NOTE.match(block):
            paragraphs.append(clean)
    yield heading, finished()


def books(path: Path, report: Report) -> Iterator[Piece]:
    """Every chapter of every book that is kept."""
    for row in read_rows(path):
        title = str(row["title"])
        if title in NOT_CLEARLY_PUBLIC_DOMAIN:
            report.books_without_clear_rights[title] = NOT_CLEARLY_PUBLIC_DOMAIN[title]
            continue
        parts = [part for part in chapters(title, str(row["text"])) if part[1]]
        total = sum(len(paragraphs) for _, paragraphs in parts)
        unfit = sum(is_unfit(paragraph) for _, paragraphs in parts for paragraph in paragraphs)
        if unfit > LIMIT * total:
            report.books_with_unfit_words[title] = f"{unfit} of {total} paragraphs"
            continue
        if unfit:
            report.paragraphs_with_unfit_words[title] = unfit
        for heading, paragraphs in parts:
            text = "\n\n".join(paragraph for paragraph in paragraphs if not is_unfit(paragraph))
            yield Piece(BOOKS, f"{title} / {heading}" if heading else title, text)


# Fairy tales and TinyStories

PARAGRAPH = 400  # characters after which a fairy tale, which comes as a list of sentences, gets a new paragraph


def tale(sentences: list[str]) -> str:
    """Sentences as paragraphs: a new one where the last is long enough, no speech is open and a sentence begins."""
    out: list[str] = []
    for raw in sentences:
        sentence = re.sub(r"\[\d+\]|[][_*]", "", plain(raw)).strip()
        sentence = re.sub(r"(?<=[a-z]),(?=[a-z])", ", ", sentence)
        sentence = re.sub(r"(?<![\w-])([a-z]+)-(?=[A-Z])|(?<=[,;!?])-(?=[a-z])", r"\1--", sentence)
        sentence = re.sub(r"(?:^|(?<= ))(['\"]) (?=[A-Z])", r"\1", sentence)
        sentence = re.sub(r" +(\.)(?!\.)", r"\1", sentence)
        if not sentence:
            continue
        begins = not out or (len(out[-1]) > PARAGRAPH and out[-1].count('"') % 2 == 0 and not sentence[0].islower())
        if begins:
            out.append(sentence)
        else:
            out[-1] = f"{out[-1]} {sentence}"
    return "\n\n".join(one_style(out))


def tales(folder: Path, part: str, report: Report) -> Iterator[Piece]:
    """The stories of one official part of FairytaleQA."""
    for row in read_rows(folder / f"{part}.jsonl.xz"):
        sentences = row["sentences"]
        assert isinstance(sentences, list)
        fit = [str(sentence) for sentence in sentences if not is_unfit(str(sentence))]
        if len(fit) < len(sentences):
            key = f"{TALES} (sentences)"
            report.paragraphs_with_unfit_words[key] = (
                report.paragraphs_with_unfit_words.get(key, 0) + len(sentences) - len(fit)
            )
        yield Piece(TALES, str(row["story"]).replace("-", " "), tale(fit))


def tiny(path: Path) -> Iterator[Piece]:
    """TinyStories, one paragraph for each line."""
    for number, row in enumerate(read_rows(path)):
        lines = [line.strip() for line in plain(str(row["text"])).split("\n")]
        yield Piece(
            TINY, f"{row['src']} {path.name.partition('.')[0]} {number}", "\n\n".join(line for line in lines if line)
        )


# Repeated rows


def shingles(text: str) -> set[int]:
    """Hashes of every run of ``SHINGLE`` words; letters only, so that punctuation does not hide a repetition."""
    words = re.findall(r"[a-z']+", text.lower())
    runs = (" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1)))
    return {int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "little") for run in runs}


def without_repeats(train: list[Piece], held_out: list[Piece], report: Report) -> tuple[list[Piece], list[Piece]]:
    """Both parts without doubled rows, and a training part that repeats no held-out row."""
    report.rows_doubled = []
    held_out = _without_doubles(held_out, report)
    owners: dict[int, list[int]] = defaultdict(list)
    sizes = []
    for number, piece in enumerate(held_out):
        found = shingles(piece.text)
        sizes.append(len(found))
        for shingle in found:
            owners[shingle].append(number)
    kept = []
    for piece in train:
        found = shingles(piece.text)
        hits = Counter(number for shingle in found for number in owners.get(shingle, ()))
        worst = max(((hits[n] / min(len(found), sizes[n]), n) for n in hits), default=(0.0, 0))
        if worst[0] >= REPEATED:
            report.train_rows_repeating_held_out.append(
                f"{piece.source}: {piece.title} ~ {held_out[worst[1]].title} ({worst[0]:.0%})"
            )
        else:
            kept.append(piece)
    return _without_doubles(kept, report), held_out


def _without_doubles(pieces: list[Piece], report: Report) -> list[Piece]:
    seen: set[int] = set()
    kept = []
    for piece in pieces:
        found = shingles(piece.text)
        share = len(found & seen) / len(found)
        if share >= DOUBLED:
            report.rows_doubled.append(f"{piece.source}: {piece.title} ({share:.0%})")
            continue
        seen |= found
        kept.append(piece)
    return kept


def prepare(data: Path) -> tuple[list[Piece], list[Piece], Report]:
    """Training rows, held-out rows, and what was left out."""
    report = Report()
    classics = list(books(data / "english_classics" / "children.jsonl.xz", report))
    fairy = data / "fairytaleqa_stories"
    train = [piece for piece in classics if piece.title.partition(" / ")[0] not in HELD_OUT_BOOKS]
    held_out = [piece for piece in classics if piece.title.partition(" / ")[0] in HELD_OUT_BOOKS]
    train += [*tales(fairy, "train", report), *tiny(data / "tinystories" / "train.jsonl.xz")]
    held_out += [*tales(fairy, "val", report), *tales(fairy, "test", report)]
    held_out += tiny(data / "tinystories" / "valid.jsonl.xz")
    long_enough = [[piece for piece in part if len(piece.text) >= SHORTEST] for part in (train, held_out)]
    report.rows_too_short = len(train) + len(held_out) - sum(map(len, long_enough))
    train, held_out = without_repeats(long_enough[0], long_enough[1], report)
    for name, part in (("train", train), ("heldout", held_out)):
        report.sizes[name] = {
            source: {
                "pieces": sum(piece.source == source for piece in part),
                "bytes": sum(len(piece.text.encode()) for piece in part if piece.source == source),
            }
            for source in (BOOKS, TALES, TINY)
        }
    return train, held_out, report


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, help="folder with english_classics, fairytaleqa_stories, tinystories")
    parser.add_argument("out_dir", type=Path, help="where the two files and the report go")
    options = parser.parse_args()
    try:
        train, held_out, report = prepare(options.data_dir)
        for name, part in (("train", train), ("heldout", held_out)):
            lines = "".join(json.dumps(asdict(piece), ensure_ascii=False) + "\n" for piece in part)
            packed = lzma.compress(lines.encode(), preset=6)
            write_atomic(options.out_dir / f"stories-{name}.jsonl.xz", packed)
        write_atomic(
            options.out_dir / "stories-report.json", json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n"
        )
    except SeqdemoError as error:
        parser.exit(2, f"{error}\n")
    for name, sources in report.sizes.items():
        for source, size in sources.items():
            print(f"{name:8} {source:16} {size['pieces']:6,} pieces {size['bytes']:12,} bytes")


if __name__ == "__main__":
    main()
