"""Training and validation rows from one set of files."""

from __future__ import annotations

from collections.abc import Sequence

from seqdemo.errors import DataError

from .data import Row, Table

__all__ = ["split"]


def split(tables: Sequence[Table], fraction: float) -> tuple[list[Row], list[Row]]:
    """Hold a share of the data out.

    Of a running text it is the end: with 0.1 the first 90 % of the characters train, as in nanoGPT. Of rows it is
    evenly spread ones: with 0.1 every tenth row of all files together.

    Args:
        tables: as :func:`seqdemo.training.data.read` gives them.
        fraction: share held out; 0 holds nothing out.

    Returns:
        training rows, validation rows.

    Raises:
        DataError: too little to hold anything out.
    """
    train: list[Row] = []
    held: list[Row] = []
    index = 0
    for table in tables:
        for row in table.rows:
            if table.plain:
                ((name, text),) = row.items()
                cut = int(len(text) * (1 - fraction))
                train.append({name: text[:cut]})
                held.append({name: text[cut:]})
                continue
            spared = int((index + 1) * fraction + 1e-9) > int(index * fraction + 1e-9)
            (held if spared else train).append(row)
            index += 1
    train, held = _filled(train), _filled(held)
    if not train or (fraction > 0 and not held):
        size = f"{index} rows" if index else "this text"
        raise DataError(
            f"There is too little data to hold {fraction:g} of {size} out. Give more data, name --validation files, "
            "or set --validation-fraction 0."
        )
    return train, held


def _filled(rows: list[Row]) -> list[Row]:
    return [row for row in rows if any(value != "" for value in row.values())]
