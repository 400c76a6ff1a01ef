"""The script that brings parallel corpora into one form."""

from __future__ import annotations

import gzip
import importlib.util
import json
import lzma
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdemo.errors import DataError

SCRIPT = Path(__file__).parents[2] / "examples" / "checkpoints" / "prepare_translation.py"


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_translation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


SCRIPTED = module()
SENTENCE = st.sampled_from([f"{word}{mark}" for word in "abcdefghijklmnopqrst" for mark in ("", ".", "!")])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=60, unique=True))
def test_what_is_held_out_is_in_no_training_pair(pairs: list[tuple[str, str]]) -> None:
    """On neither side, punctuation apart, however pairs hang together; no sentence is in two groups."""
    found = SCRIPTED.groups(pairs)
    assert sorted(pair for group in found for pair in group) == sorted(pairs)
    for side in (0, 1):
        keys = [{SCRIPTED.key(pair[side]) for pair in group} for group in found]
        assert sum(map(len, keys)) == len(set().union(*keys))
    try:
        train, dev, test = SCRIPTED.split(pairs, 1)
    except DataError:
        return
    assert SCRIPTED.shared({"train": train, "dev": dev, "test": test}) == {"source": 0, "target": 0}
    assert (len(dev), len(test)) == (1, 1)
    assert set(train) | set(dev) | set(test) <= set(pairs)


def test_both_directions_hold_the_same_pairs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """English to Chinese and back; the attribution column is no sentence."""
    monkeypatch.setitem(SCRIPTED.HELD_OUT, "cmn", 3)
    (tmp_path / "tatoeba").mkdir()
    text = "".join(f"Sentence {n}.\t句子{n}。\tby somebody\n" for n in range(40)) + "Sentence 1!\t别的。\tby another\n"
    (tmp_path / "tatoeba" / "eng-cmn.tsv.xz").write_bytes(lzma.compress(text.encode()))
    there = SCRIPTED.SETS["tatoeba-en-zh"](tmp_path)
    back = SCRIPTED.SETS["tatoeba-zh-en"](tmp_path)
    assert {part: len(pairs) for part, pairs in there.items()}["test"] == 3
    for part, pairs in there.items():
        assert [pair[::-1] for pair in pairs] == back[part]
        assert all("by" not in sentence for pair in pairs for sentence in pair)


def test_the_command_writes_official_parts_untouched(tmp_path: Path) -> None:
    """Multi30k's three parts as rows, and a report; uneven files are named."""
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for part, count in (("train", 5), ("val", 2), ("test_2016_flickr", 3)):
        for language in ("de", "en"):
            text = "".join(f"{language} {part} {n}\n" for n in range(count))
            (folder / f"{part}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    command = [sys.executable, str(SCRIPT), str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / "multi30k-de-en"
    rows = [json.loads(line) for line in (out / "test.jsonl").read_text("utf-8").splitlines()]
    assert rows[0] == {"source": "de test_2016_flickr 0", "target": "en test_2016_flickr 0"}
    assert json.loads((out / "report.json").read_text())["pairs"] == {"train": 5, "dev": 2, "test": 3}
    (folder / "val.en.gz").write_bytes(gzip.compress(b"one\n"))
    with pytest.raises(DataError, match="multi30k/val has 2 lines of de and 1 of en"):
        SCRIPTED.SETS["multi30k-de-en"](tmp_path)
