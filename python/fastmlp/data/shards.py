"""Tables in several files: which files they are, and their rows as one table."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import listed
from fastmlp.data.table import Table
from fastmlp.errors import FormatError
from fastmlp.extras import require

__all__ = ["ShardedTable", "holds_tables", "joined", "paths_of", "require_alike", "stem_of"]

# Arrays, and files that may as well describe what is in a directory.
_NO_PARTS = (".npz", ".npy", ".idx", "-ubyte", ".txt", ".json")


def holds_tables(directory: str, suffix_of: Callable[[str], str | None]) -> bool:
    """Return whether a directory holds files of tables, and no other visible files."""
    suffixes = [suffix_of(name) for name in _files_in(directory)]
    return bool(suffixes) and not {None, *_NO_PARTS} & set(suffixes)


def holds_arrays(directory: str) -> bool:
    """Return whether a directory holds .npz or .npy files, and no other visible files."""
    names = _files_in(directory)
    return bool(names) and all(name.endswith((".npz", ".npy")) for name in names)


def _files_in(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        visible = [entry for entry in entries if not entry.name.startswith((".", "_"))]
    if any(entry.is_dir() for entry in visible):
        return []
    return sorted(entry.name for entry in visible)


def paths_of(path: str, suffix_of: Callable[[str], str | None]) -> list[str]:
    """Return the files that a path means, sorted: itself, those of a pattern or of a directory.

    Raises
    ------
    FormatError
        The files have several formats, or no file has a name of the pattern.
    """
    if os.path.isdir(path):
        found = [os.path.join(path, name) for name in _files_in(path)]
        found = found if holds_tables(path, suffix_of) else []
    elif glob.has_magic(path) and not os.path.lexists(path):
        found = sorted(glob.glob(path))
        if not found:
            raise FormatError(f"{path}: no file has a name like this")
    else:
        found = []
    if not found:
        return [path]
    first = suffix_of(found[0])
    for other in found:
        if suffix_of(other) != first:
            raise FormatError(
                f"{path}: must mean files of one format, got {os.path.basename(found[0])} and "
                f"{os.path.basename(other)}"
            )
    return found


def stem_of(path: str, suffix: str) -> str:
    """Return a name for a table in several files."""
    if os.path.isdir(path):
        return os.path.basename(os.path.abspath(path)) or "data"
    name = os.path.basename(path).removesuffix(".gz")
    name = name.lower().removesuffix(suffix) and name[: len(name) - len(suffix)]
    return "".join(char for char in name if char not in "*?[]!").strip("-_. ") or "data"


def joined(tables: Sequence[Table], origin: str) -> Table:
    """Return the rows of tables, of which each comes from a file of its own, as one table.

    Raises
    ------
    FormatError
        A table has other columns, or values of a type that does not fit.
    """
    polars = require("data", "polars")
    first = tables[0]
    for table in tables[1:]:
        require_alike(table.origin, tuple(table.columns), first.origin, tuple(first.columns))
    columns = {}
    for name in first.columns:
        parts = [table.columns[name] for table in tables]
        for table, part in zip(tables, parts, strict=True):
            if not _fits(polars, part.dtype, parts[0].dtype):
                raise FormatError(
                    f"{table.origin}: column {name!r}: has values of type {part.dtype}, "
                    f"those of {first.origin} are {parts[0].dtype}"
                )
        frames = [part.to_frame(name) for part in parts]
        columns[name] = polars.concat(frames, how="vertical_relaxed").to_series()
    counts = [len(table) for table in tables]
    return ShardedTable(
        origin,
        columns,
        lines=np.concatenate([table.row_places()[0] for table in tables]),
        index=first.index,
        notes=first.notes,
        names=first.names,
        files=tuple(table.origin for table in tables),
        file_of_row=np.repeat(np.arange(len(tables), dtype=np.int32), counts),
        unit="row",
    )


def _fits(polars: Any, dtype: Any, other: Any) -> bool:
    """Return whether values of two types can be in one column."""
    both = (dtype, other)
    return dtype == other or polars.Null in both or all(one.is_numeric() for one in both)


def require_alike(
    origin: str, names: Sequence[str], first_origin: str, first_names: Sequence[str]
) -> None:
    """Raise FormatError unless two files have the same columns, in whatever order."""
    lacking = [name for name in first_names if name not in names]
    new = [name for name in names if name not in first_names]
    if lacking or new:
        lacks = f"lacks {listed(map(repr, lacking))}" if lacking else ""
        has = f"has {listed(map(repr, new))} besides" if new else ""
        both = " and ".join(filter(None, (lacks, has)))
        raise FormatError(f"{origin}: columns: must be those of {first_origin}, but it {both}")


@dataclass(frozen=True, eq=False, repr=False)
class ShardedTable(Table):
    """A table whose rows come from several files, which messages name.

    Attributes
    ----------
    lines : int64 array of shape (rows,)
        Number of each row in its file.
    files : tuple of str
        The files.
    file_of_row : int32 array of shape (rows,)
        Number of the file of each row.
    unit : {"line", "row"}
        What `lines` counts.
    """

    files: tuple[str, ...] = ()
    file_of_row: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    unit: str = "line"

    def place(self, row: int) -> str:
        """Return the file and the line, or the row if rows are not lines."""
        assert self.lines is not None
        name = os.path.basename(self.files[self.file_of_row[row]])
        return f"{name}, {self.unit} {self.lines[row]}"

    def rows(self, rows: NDArray[np.int64]) -> Table:
        """Return a table of some rows, with their files and lines."""
        assert self.lines is not None
        return dataclasses.replace(
            self,
            columns={name: cells[rows] for name, cells in self.columns.items()},
            lines=self.lines[rows],
            file_of_row=self.file_of_row[rows],
        )
