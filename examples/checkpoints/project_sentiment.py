"""Label sentences in another language by their translations, with a checkpoint that reads the translations.

    python examples/checkpoints/project_sentiment.py sentiment-en tatoeba/eng-cmn.tsv.xz sets/chinese

PAIRS is a text file, maybe packed as ``.xz``, of lines ``English <tab> other language``, perhaps with more cells, as
Tatoeba's pairs are published. Writes ``OUT/{train,dev}.jsonl``: rows of the other language's text, its label being what
the checkpoint says of the English side, label by label. A twentieth, chosen by the hash of the English sentence, is
dev, so that no English sentence is in both. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import lzma
from hashlib import blake2b
from pathlib import Path

import seqdemo
from seqdemo.errors import DataError, SeqdemoError
from seqdemo.files import write_atomic

HELD = 13
"""Of 256 hashes, those of the dev part."""


def pairs(path: Path) -> list[tuple[str, str]]:
    """English and the other language, each pair once."""
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        lines = raw.decode("utf-8").split("\n")
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as pairs: {error}.") from error
    found = [line.split("\t") for line in lines if line.strip()]
    if not found or any(len(cells) < 2 for cells in found):
        raise DataError(f"{path} holds a line without a tab: each must be English, a tab, and the other language.")
    return list(dict.fromkeys((cells[0].strip(), cells[1].strip()) for cells in found))


def project(checkpoint: str, told: list[tuple[str, str]], out: Path) -> None:
    """Write both parts."""
    english = sorted({source for source, _ in told})
    scores = {result.text: result.scores for result in seqdemo.load(checkpoint, device="cpu")(english)}
    parts: dict[str, list[str]] = {"train": [], "dev": []}
    for source, text in told:
        label = {name: round(share, 4) for name, share in sorted(scores[source].items())}
        part = "dev" if blake2b(source.encode(), digest_size=1).digest()[0] < HELD else "train"
        parts[part].append(json.dumps({"text": text, "label": label}, ensure_ascii=False))
    out.mkdir(parents=True, exist_ok=True)
    for part, lines in parts.items():
        write_atomic(out / f"{part}.jsonl", "".join(f"{line}\n" for line in lines))
        print(f"{out.name} {part}: {len(lines):,} rows")


def main() -> None:
    """Read the pairs and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT")
    parser.add_argument("pairs", type=Path, metavar="PAIRS")
    parser.add_argument("out", type=Path, metavar="OUT")
    given = parser.parse_args()
    try:
        project(given.checkpoint, pairs(given.pairs), given.out)
    except SeqdemoError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
