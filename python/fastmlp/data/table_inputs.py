"""Tables as inputs of a network, column by column; the rows with categories that are unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import shown
from fastmlp.data.columns import BLOCK_ROWS, UNKNOWN, CategoryColumn, Column
from fastmlp.data.table import Problems, Table, require_columns

__all__ = ["encode_table", "rows_of_unknown_categories", "unknown_categories_in"]


def encode_table(
    table: Table,
    columns: Sequence[Column],
    unknown_categories: str,
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float64], Problems]:
    """Turn the columns of a table into inputs of the network, not yet standardized.

    Parameters
    ----------
    table : Table
        Table with these columns; others are ignored.
    columns : sequence of Column
        Columns in the order of their inputs.
    unknown_categories : {"ignore", "error"}
        "ignore" sets all inputs of a column to 0 for a category that it does not know, "error"
        makes it a problem of its row.
    rows : int64 array, optional
        Positions of the rows to encode; by default all.

    Returns
    -------
    inputs : float64 array of shape (rows, features)
    problems : Problems
        Rows that cannot be read; their inputs mean nothing.

    Raises
    ------
    FormatError
        A column is missing.
    """
    require_columns(table, [column.name for column in columns])
    widths = [len(column.feature_names) for column in columns]
    problems = Problems(table, rows)
    inputs = np.zeros((len(problems.mask), sum(widths)))
    for start in range(0, len(inputs), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(inputs))
        some = np.arange(start, stop) if rows is None else rows[start:stop]
        found = Problems(table, some)
        first = 0
        for column, width in zip(columns, widths, strict=True):
            cells = table.columns[column.name]
            part = cells.slice(start, stop - start) if rows is None else cells[some]
            block = inputs[start:stop, first : first + width]
            column.encode(part, block, found, unknown_categories)
            first += width
        problems.absorb(found, start)
    inputs[problems.mask] = 0.0
    return inputs, problems


def rows_of_unknown_categories(table: Table, columns: Sequence[Column]) -> NDArray[np.bool_]:
    """Return a mask of the rows with a category that its column does not know."""
    unknown = np.zeros(len(table), bool)
    for column in columns:
        if isinstance(column, CategoryColumn):
            unknown |= column.codes(table.columns[column.name]) == UNKNOWN
    return unknown


def unknown_categories_in(table: Table, columns: Sequence[Column]) -> str | None:
    """Return a line about the rows with categories that their columns do not know, None if none.

    Parameters
    ----------
    table : Table
        Rows to predict or to measure.
    columns : sequence of Column
        Columns of the features.
    """
    unknown = rows_of_unknown_categories(table, columns)
    count = int(unknown.sum())
    if not count:
        return None
    row = int(np.argmax(unknown))
    cells = {column.name: table.columns[column.name].slice(row, 1) for column in columns}
    first = Table(table.origin, cells)
    name = next(c.name for c in columns if rows_of_unknown_categories(first, [c]).any())
    have = "have" if count != 1 else "has"
    return (
        f"{count:,} of {len(table):,} rows {have} names that the training did not have, such as "
        f"{shown(table.columns[name][row])} in {name!r}"
    )
