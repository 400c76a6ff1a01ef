"""Translation: two recurrent networks, and attention between them that shows which word became which.

What you learn: that an encoder reads the source both ways and a decoder writes the target, looking at a few source
words for each word it writes; how many sentences it never saw it gets right to the letter; that attention finds the
word order of French by itself; and what a beam search finds beside the best translation.

翻译：编码器双向读原文，解码器逐词写译文；注意力显示每个译词看的是哪个原词。

    python examples/translation.py
    python examples/translation.py --data train.de train.en --text "ein Hund"
    python examples/translation.py --data pairs.csv --column source=german --column target=english

The data is two text files whose lines belong together, or a table with a column for each language. Without ``--data``
it is made of the words below: in French a noun has a gender that articles and adjectives follow, and most adjectives
come after the noun.
"""

from __future__ import annotations

import argparse
import random
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import seqdemo
from seqdemo.training.data import parse_columns

NOUNS = {"cat": "chat m", "dog": "chien m", "book": "livre m", "train": "train m"}
NOUNS |= {"house": "maison f", "car": "voiture f", "flower": "fleur f", "cow": "vache f"}
AFTER = {"black": "noir noire", "white": "blanc blanche", "green": "vert verte", "red": "rouge rouge"}
BEFORE = {"small": "petit petite", "big": "grand grande"}
ARTICLES = {"the": "le la", "a": "un une"}
VERBS = {"sees": "voit", "follows": "suit", "finds": "trouve", "hides": "cache"}
SEEN, UNSEEN = 900, 200


def french(article: str, adjective: str, noun: str) -> str:
    """``the black cow -> la vache noire``"""
    word, gender = NOUNS[noun].split()
    side = "mf".index(gender)
    described = {**AFTER, **BEFORE}[adjective].split()[side]
    words = [described, word] if adjective in BEFORE else [word, described]
    return " ".join([ARTICLES[article].split()[side], *words])


def pairs() -> list[tuple[str, str]]:
    """Sentences that are all different, in random order."""
    phrases = list(product(ARTICLES, [*AFTER, *BEFORE], NOUNS))
    every = list(product(phrases, VERBS, phrases))
    chosen = random.Random(0).sample(every, SEEN + UNSEEN)
    return [
        (f"{' '.join(who)} {verb} {' '.join(what)}", f"{french(*who)} {VERBS[verb]} {french(*what)}")
        for who, verb, what in chosen
    ]


def written(folder: Path, rows: list[tuple[str, str]]) -> list[Path]:
    """Two text files whose lines belong together."""
    paths = [folder / "train.en", folder / "train.fr"]
    for side, path in enumerate(paths):
        path.write_text("".join(f"{row[side]}\n" for row in rows), "utf-8")
    return paths


def trained(data: list[Path], columns: list[str], out: Path, steps: int) -> seqdemo.Pipeline:
    """A small translator."""
    done = seqdemo.train(
        "translation",
        data=data,
        out=out,
        columns=parse_columns(columns),
        model="lstm",
        tokenizer="words",
        tokenizer_config={"end_token": True},
        model_config={"hidden_size": 48},
        task_config={"embedding_size": 48, "attention_size": 32, "encoder_layers": 1, "dropout": 0.1},
        steps=steps,
        batch_size=32,
        learning_rate=1e-2,
        precision="fp32",
        sample_tokens=0,
        progress=False,
    )
    loss, perplexity = done.metrics["loss"], done.metrics["perplexity"]
    print(f"trained in {done.seconds:.0f} s; on rows held out: loss {loss:.3f}, perplexity {perplexity:.2f}")
    return seqdemo.load(out, device="cpu")


def show(found: seqdemo.Translation) -> None:
    """The alignment as a table of digits, tenths of the attention; then what else the search found."""
    print(f"\n{found.source}\n-> {found}")
    sources = [token.strip() for token in found.source_tokens]
    print(" " * 12 + " ".join(f"{source:>8}" for source in sources))
    for token, weights in zip(found.target_tokens, found.alignment, strict=True):
        cells = " ".join(f"{round(10 * weight) or '.':>8}" for weight in weights)
        looked = sources[max(range(len(weights)), key=weights.__getitem__)]
        print(f"{token.strip():>12}{cells}   {token.strip()} <- {looked}")
    for one in found.alternatives[1:]:
        print(f"    also found, score {one.score:.2f} where the best has {found.score:.2f}: {one}")


def main() -> None:
    """Train, translate what was never seen, look at the attention."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", help="Two text files, or .csv, .tsv or .jsonl files.")
    parser.add_argument("--column", action="append", default=[], help="source=NAME or target=NAME. May be repeated.")
    parser.add_argument("--text", action="append", help="What to translate. May be repeated.")
    parser.add_argument("--steps", type=int, default=300, help="Steps of training.  [default: 300]")
    given = parser.parse_args()
    rows = pairs()
    tried = given.text or ([] if given.data else [source for source, _ in rows[SEEN : SEEN + 2]])
    with TemporaryDirectory() as folder:
        data = given.data or written(Path(folder), rows[:SEEN])
        pipe = trained(data, given.column, Path(folder) / "run", given.steps)
        if not given.data:
            found = pipe([source for source, _ in rows[SEEN:]])
            right = sum(str(one) == target for one, (_, target) in zip(found, rows[SEEN:], strict=True))
            print(f"of {UNSEEN} sentences it never saw, {right} right in every word")
        for result in pipe(tried, beam_size=4, n_best=2):
            show(result)


if __name__ == "__main__":
    main()
