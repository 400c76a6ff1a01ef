"""Training and validation rows from one set of files."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from seqdemo.errors import DataError

from .data import Row, Table

__all__ = ["split"]


def split(tables: Sequence[Table], fraction: float, scattered: bool = False) -> tuple[list[Row], list[Row]]:
    """Hold a share of the data out.

    Of a running text it is the end: with 0.1 the first 90 % of the characters train, as in nanoGPT. Of rows it is
    evenly spread ones: with 0.1 every tenth row of all files together.

    Args:
        tables: as :func:`seqdemo.training.data.read` gives them.
        fraction: share held out; 0 holds nothing out.
        scattered: of every ten rows hold out any one, always the same: in rows whose labels take turns, every tenth
            one may have the same label.

    Returns:
        training rows, validation rows.

    Raises:
        DataError: too little to hold anything out.
    """
    train: list[Row] = []
    held: list[Row] = []
    index = 0
    spared = set(_spared(sum(len(table.rows) for table in tables if not table.plain), fraction, scattered))
    for table in tables:
        for row in table.rows:
            if table.plain:
                ((name, text),) = row.items()
                cut = int(len(text) * (1 - fraction))
                train.append({name: text[:cut]})
                held.append({name: text[cut:]})
                continue
            (held if index in spared else train).append(row)
            index += 1
    train, held = _filled(train), _filled(held)
    if not train or (fraction > 0 and not held):
        size = f"{index} rows" if index else "this text"
        raise DataError(
            f"There is too little data to hold {fraction:g} of {size} out. Give more data, name --validation files, "
            "or set --validation-fraction 0."
        )
    return train, held


def _spared(rows: int, fraction: float, scattered: bool) -> Iterator[int]:
    """Places of the rows that are held out: the last of each stretch of ``1 / fraction`` rows, or any one of it."""
    draw, first = random.Random(0), 0
    for index in range(rows):
        if int((index + 1) * fraction + 1e-9) > int(index * fraction + 1e-9):
            yield draw.randint(first, index) if scattered else index
            first = index + 1


def _filled(rows: list[Row]) -> list[Row]:
    return [row for row in rows if any(value != "" for value in row.values())]
