"""What the tokenizers over characters and words share: preparing text, counting, and their one JSON file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from seqdemo.errors import CheckpointError, DataError
from seqdemo.plugin import Tokenizer

from .config import TextConfig

__all__ = ["VOCABULARY", "count", "prepare", "read_vocabulary", "special_ids", "write_vocabulary"]

VOCABULARY = "vocabulary.json"

_LARGEST_FILE = 256 << 20
_NOT_LETTERS = re.compile("[^A-Za-z]+")


def prepare(text: str, config: TextConfig) -> str:
    """The text after ``letters_only`` and ``lowercase``."""
    if config.letters_only:
        text = _NOT_LETTERS.sub(" ", text)
    return text.lower() if config.lowercase else text


def count(texts: Iterable[str], config: TextConfig, split: Callable[[str], Iterable[str]], what: str) -> Counter[str]:
    """How often each unit occurs in the texts, which are read once and not kept.

    Args:
        split: a prepared text -> its units.
        what: the units, as an error should call them.

    Raises:
        DataError: there are none.
        TokenizerError: a text holds lone surrogates.
    """
    counted: Counter[str] = Counter()
    for text in texts:
        Tokenizer.check_text(text)
        counted.update(split(prepare(text, config)))
    if not counted:
        raise DataError(f"There is no text to learn {what} from. Give some that is not empty.")
    return counted


def special_ids(config: TextConfig, unknown: bool) -> dict[str, int]:
    """Special tokens come first: ``unk``, then ``eos``, of those the config asks for."""
    names = [name for name, wanted in (("unk", unknown), ("eos", config.end_token)) if wanted]
    return {name: number for number, name in enumerate(names)}


def write_vocabulary(folder: Path, key: str, value: str | list[str]) -> None:
    """Write the JSON object ``{key: value}``."""
    raw = json.dumps({key: value}, ensure_ascii=False, indent=0 if isinstance(value, list) else None)
    (folder / VOCABULARY).write_bytes(raw.encode() + b"\n")


def read_vocabulary(folder: Path, key: str, kind: type[str] | type[list[Any]], limit: int | None) -> list[str]:
    """Read what ``write_vocabulary`` wrote: a string gives its characters.

    Args:
        limit: the most entries there may be.

    Raises:
        CheckpointError: missing, or not such a file.
    """
    path = folder / VOCABULARY
    value = _read_json(path)
    entries = value.get(key) if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(entries, kind) or not all(isinstance(entry, str) and entry for entry in entries):
        raise _rubbish(path, f"expected an object with one entry {key!r}")
    if not entries or len(set(entries)) < len(entries):
        raise _rubbish(path, "it is empty, or lists an entry twice")
    if limit is not None and len(entries) > limit:
        raise _rubbish(path, f"it lists {len(entries)} entries, the config allows {limit}")
    try:
        "".join(entries).encode()
    except UnicodeEncodeError as error:
        raise _rubbish(path, "it holds lone surrogates") from error
    return list(entries)


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _rubbish(path, f"it is larger than {_LARGEST_FILE >> 20} MiB")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"The tokenizer's file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise _rubbish(path, "it is not JSON") from error


def _rubbish(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} is not a vocabulary: {why}. Save the checkpoint again.")
