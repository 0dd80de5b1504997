"""Where samples of a table come from: their lines in its file, and the gaps among their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import missing_cells
from fastmlp.data.columns import Column
from fastmlp.data.table import Table

__all__ = ["SourceRows", "source_rows"]

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class SourceRows:
    """The rows of a table that became samples.

    Attributes
    ----------
    origin : str
        Name of the file.
    numbers : int64 array of shape (samples,)
        Line of each sample in the file, or the number of its row, from 1, where rows are not lines.
    are_lines : bool
        Whether the numbers are lines.
    gaps : dict of str to int64 array
        By the name of a column, the samples, counted from 0, whose cell is missing there, so that
        their inputs are replacements. Columns without gaps are left out.
    """

    origin: str
    numbers: Indices
    are_lines: bool
    gaps: dict[str, Indices] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"SourceRows({self.origin!r}, rows={len(self.numbers)}, gaps in {len(self.gaps)})"

    def has_gap(self, column: str, sample: int) -> bool:
        """Return whether the cell of a sample in a column is missing."""
        found = self.gaps.get(column)
        if found is None:
            return False
        at = int(np.searchsorted(found, sample))
        return at < len(found) and int(found[at]) == sample


def source_rows(table: Table, columns: Sequence[Column], rows: Indices | None = None) -> SourceRows:
    """Return where samples come from.

    Parameters
    ----------
    table : Table
    columns : sequence of Column
        Columns that the model reads.
    rows : int64 array of shape (samples,), optional
        Position of each sample in the table; by default all rows in their order.
    """
    taken = np.arange(len(table)) if rows is None else rows
    numbers, are_lines = table.row_places()
    gaps = {}
    for column in columns:
        mask = missing_cells(table.columns[column.name], column.missing)
        if mask.any():
            found = np.flatnonzero(mask[taken])
            if len(found):
                gaps[column.name] = found
    return SourceRows(table.origin, numbers[taken], are_lines, gaps)
