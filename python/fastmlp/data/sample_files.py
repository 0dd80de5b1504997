"""Samples in files that are read a block of rows at a time, in any order, and never as a whole.

`open_samples` finds the files and their format: tables in Parquet or Arrow (Feather), pairs of .npy
files, which are mapped into memory, and .npz files, each of which is read as a whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import shards
from fastmlp.data.arrays import as_inputs, data_of_arrays
from fastmlp.data.content import Content
from fastmlp.data.numpy_files import map_npy, parse_npz
from fastmlp.data.parquet import index_columns, plain_cells
from fastmlp.data.reading import is_file_source, suffix_of, with_index
from fastmlp.data.table import Part, RawData, Reading, Table
from fastmlp.errors import FormatError
from fastmlp.extras import require
from fastmlp.streams import npy_pairs, without_targets

__all__ = ["SampleFiles", "joined_parts", "open_samples", "rows_of"]

# Values of a block, few enough that several blocks take little memory.
_BLOCK_BYTES = 4 << 20
_ARROW = (".feather", ".arrow", ".ipc")
_SCANS = {
    ".csv": 'scan_csv("{}")',
    ".tsv": 'scan_csv("{}", separator="\\t")',
    ".jsonl": 'scan_ndjson("{}")',
    ".ndjson": 'scan_ndjson("{}")',
}
_FORMATS = "Parquet, Feather or Arrow files, pairs of .npy files such as x.npy and y.npy, or .npz"


class SampleFile(Protocol):
    """A file, or a pair of files, with samples and their targets.

    Attributes
    ----------
    paths : tuple of str
    samples : int
    row_bytes : int
        Bytes of the values of a sample.
    block_rows : int or None
        Rows of a block; None: as many as `_BLOCK_BYTES` hold.
    image_shape : tuple of int or None
        Shape of a sample if samples are images.
    """

    paths: tuple[str, ...]
    samples: int
    row_bytes: int
    block_rows: int | None
    image_shape: tuple[int, ...] | None

    def read(self, start: int, stop: int, reading: Reading) -> Part:
        """Return consecutive samples."""
        ...


@dataclass(frozen=True)
class SampleFiles:
    """Samples in files, in blocks.

    Attributes
    ----------
    origin : str
        What the user named.
    name : str
        Name of the data.
    files : sequence of SampleFile
    reading : Reading
        How tables are read.
    """

    origin: str
    name: str
    files: Sequence[SampleFile]
    reading: Reading

    def __post_init__(self) -> None:
        blocks = []
        for file in self.files:
            step = file.block_rows or max(1, _BLOCK_BYTES // file.row_bytes)
            for start in range(0, file.samples, step):
                blocks.append((file, start, min(start + step, file.samples)))
        ends = np.cumsum([stop - start for _, start, stop in blocks], dtype=np.int64)
        object.__setattr__(self, "_blocks", blocks)
        object.__setattr__(self, "_starts", np.concatenate([[0], ends]).tolist())

    _blocks: list[tuple[SampleFile, int, int]] = dataclasses.field(init=False, repr=False)
    _starts: list[int] = dataclasses.field(init=False, repr=False)

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._blocks)

    @property
    def row_bytes(self) -> int:
        """Bytes of the values of a sample."""
        return self.files[0].row_bytes

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape of a sample if samples are images."""
        return self.files[0].image_shape

    def range(self, block: int) -> tuple[int, int]:
        """Return the positions of the first sample of a block, and of the one after its last."""
        return self._starts[block], self._starts[block + 1]

    def part(self, block: int) -> Part:
        """Return the samples of a block with their targets.

        Raises
        ------
        FormatError, OSError
            The file is damaged, or was removed.
        """
        file, start, stop = self._blocks[block]
        return file.read(start, stop, self.reading)

    def with_reading(self, reading: Reading) -> SampleFiles:
        """Return the same samples, read in another way."""
        return dataclasses.replace(self, reading=reading)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file."""
        paths = [path for file in self.files for path in file.paths]
        return {os.path.basename(path): Content(path, path=path).digest() for path in paths}


def open_samples(
    source: str, reading: Reading | None = None, *, has_targets: bool = True
) -> SampleFiles:
    """Find the files that a path means, without reading their samples.

    Parameters
    ----------
    source : str
        A file, a folder of files of one format, or a pattern such as ``part-*.parquet``. The
        targets of ``x.npy`` are in ``y.npy`` beside it; names may hold more than the letter, as in
        ``train-x-003.npy``.
    reading : Reading, optional
        How tables are read.
    has_targets : bool
        Whether targets are needed. If not, files without them will do, and those that are there
        are left out.

    Raises
    ------
    FormatError
        The files are of another kind or damaged.
    OSError
        A file cannot be opened.
    """
    path = os.path.expanduser(source)
    formats = _FORMATS if has_targets else "Parquet, Feather, Arrow, .npy or .npz files"
    required = f"{source}: must be {formats} to be read in blocks (stream)"
    if source == "-" or not is_file_source(source):
        raise FormatError(required)
    paths = _paths(path)
    suffix = suffix_of(paths[0])
    if suffix == ".npy" and not has_targets:
        files: list[Any] = [_Npy(str(one), None) for one in without_targets(paths)]
    elif suffix == ".npy":
        pairs = npy_pairs(paths if len(paths) > 1 else paths[0])
        files = [_Npy(str(x), str(y)) for x, y in pairs]
    elif suffix == ".npz":
        files = [_Npz(one, has_targets) for one in paths]
    elif suffix == ".parquet" or suffix in _ARROW:
        files = [_Table(one, suffix == ".parquet") for one in paths]
        for other in files[1:]:
            shards.require_alike(other.paths[0], other.names, files[0].paths[0], files[0].names)
    else:
        for one in paths:
            os.stat(one)  # a missing file is reported before a wrong suffix
        if scan := _SCANS.get(suffix or ""):
            table = f"polars.{scan.format(source)}"
            required += f'; {table}.sink_parquet("data.parquet") makes such a file of it'
        raise FormatError(required)
    stem = os.path.basename(paths[0])[: -len(suffix)] or "data"
    if paths != [path]:
        stem = shards.stem_of(path, suffix)
    found = SampleFiles(source, stem, files, reading or Reading())
    if len(found) == 0:
        raise FormatError(f"{source}: has no samples")
    return found


def _paths(path: str) -> list[str]:
    if not os.path.isdir(path):
        return shards.paths_of(path, suffix_of)
    names = sorted(name for name in os.listdir(path) if not name.startswith((".", "_")))
    kinds = {suffix_of(name) for name in names}
    if len(kinds) != 1 or None in kinds:
        shown = "nothing" if not names else ", ".join(names[:3])
        raise FormatError(f"{path}: must hold files of one format, got {shown}")
    return [os.path.join(path, name) for name in names]


# ---------------------------------------------------------------- formats


class _Table:
    """A table in a Parquet or Arrow file, of which polars reads some rows."""

    block_rows = None
    image_shape = None

    def __init__(self, path: str, is_parquet: bool) -> None:
        polars = require("data", "polars")
        self.paths = (path,)
        self._kind = "Parquet" if is_parquet else "Arrow"
        self._scan: Callable[..., Any] = polars.scan_parquet if is_parquet else polars.scan_ipc
        os.stat(path)
        with self._errors():
            scanned = self._scan(path)
            self.names = tuple(scanned.collect_schema())
            self.samples = int(scanned.select(polars.len()).collect().item())
            self._index = tuple(index_columns(polars, path, self._kind, list(self.names)))
        self.row_bytes = 8 * max(1, len(self.names))

    def read(self, start: int, stop: int, reading: Reading) -> Part:
        polars = require("data", "polars")
        wanted = [n for n in self.names if reading.wanted is None or n in reading.wanted]
        wanted = wanted or list(self.names)  # whoever needs columns says which are missing
        path = self.paths[0]
        with self._errors():
            frame = self._scan(path).select(wanted).slice(start, stop - start).collect()
        if len(frame) != stop - start:
            raise FormatError(f"{path}: {self._kind}: has fewer rows than before, it was changed")
        columns = {series.name: plain_cells(polars, series) for series in frame.get_columns()}
        index = tuple(name for name in self._index if name in columns)
        numbers = np.arange(start + 1, stop + 1)
        table = Table(path, columns, index=index, names=self.names, row_numbers=numbers)
        return Part(with_index(table, reading))

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        polars = require("data", "polars")
        try:
            yield
        except polars.exceptions.PolarsError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise FormatError(f"{self.paths[0]}: {self._kind}: {lines[0][:200]}") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # polars raises it when Rust panics
                raise
            raise FormatError(f"{self.paths[0]}: {self._kind}: is damaged") from error


class _Npy:
    """A file x.npy with samples, and perhaps one with their targets, mapped into memory."""

    block_rows = None

    def __init__(self, x: str, y: str | None) -> None:
        self.paths = (x,) if y is None else (x, y)
        self._x, self._y = map_npy(x), None if y is None else map_npy(y)
        if self._x.ndim < 2:
            raise FormatError(f"{x}: must have shape (samples, features), got {self._x.shape}")
        if self._y is not None and len(self._x) != len(self._y):
            raise FormatError(
                f"{y}: must have a target for each of {len(self._x):,} samples of {x}, got "
                f"{len(self._y):,}"
            )
        self.samples = len(self._x)
        self.row_bytes = max(1, self._x[:1].nbytes)
        self.image_shape = None if self._y is None else self._read(slice(0, 1), x).image_shape

    def _read(self, rows: slice, where: str) -> RawData:
        assert self._y is not None
        arrays = {"x": self._x[rows], "y": self._y[rows]}
        return data_of_arrays(arrays, where, name="", sha256={})

    def read(self, start: int, stop: int, reading: Reading) -> Part:
        del reading
        where, rows = f"{self.paths[0]}, rows from {start:,}", slice(start, stop)
        if self._y is None:
            return Part(as_inputs(self._x[rows], where))
        return self._read(rows, where).train


class _Npz:
    """A file with the array x, and y if targets are needed, which is one block."""

    def __init__(self, path: str, has_targets: bool) -> None:
        self.paths = (path,)
        self._has_targets = has_targets
        part, self.image_shape = self._whole()
        assert isinstance(part.x, np.ndarray)
        self.samples = self.block_rows = len(part.x)
        self.row_bytes = max(1, part.x[:1].nbytes)

    def _whole(self) -> tuple[Part, tuple[int, ...] | None]:
        """Return the samples, with the shape of one if these are images with targets."""
        (path,) = self.paths
        content = Content(path, path=path).raw()
        if not self._has_targets:
            return Part(as_inputs(parse_npz(content, path, ("x",))["x"], f"{path}: x")), None
        raw = data_of_arrays(parse_npz(content, path, ("x", "y")), path, name="", sha256={})
        return raw.train, raw.image_shape

    def read(self, start: int, stop: int, reading: Reading) -> Part:
        del reading
        part, _ = self._whole()
        if (start, stop) != (0, len(part.x)):
            raise FormatError(f"{self.paths[0]}: has another number of samples than before")
        return part


# ---------------------------------------------------------------- parts of them


def rows_of(part: Part, mask: NDArray[np.bool_]) -> Part:
    """Return the samples of a mask; the part itself if these are all."""
    if mask.all():
        return part
    if isinstance(part.x, Table):
        return Part(part.x.rows(np.flatnonzero(mask)))
    return Part(part.x[mask], None if part.y is None else part.y[mask])


def joined_parts(parts: Sequence[Part], origin: str) -> Part:
    """Return the samples of parts as one.

    Raises
    ------
    FormatError
        The parts have other columns, or values of types that do not fit.
    """
    tables = [part.x for part in parts if isinstance(part.x, Table)]
    if tables:
        table = shards.joined(tables, origin)
        columns = {name: cells.rechunk() for name, cells in table.columns.items()}
        if len({one.origin for one in tables}) > 1:
            return Part(dataclasses.replace(table, columns=columns))
        numbers = np.concatenate([one.row_places()[0] for one in tables])
        return Part(dataclasses.replace(tables[0], columns=columns, row_numbers=numbers))
    x = [part.x for part in parts if not isinstance(part.x, Table)]
    y = [part.y for part in parts if part.y is not None]
    for arrays, what in ((x, "x"), (y, "y")):
        shapes = sorted({array.shape[1:] for array in arrays})
        if len(shapes) > 1:
            raise FormatError(f"{origin}: {what}: must have one shape of samples, got {shapes}")
    return Part(np.concatenate(x), np.concatenate(y))
