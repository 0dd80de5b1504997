"""Sources of samples that need not fit into memory: `MLP.fit` reads them chunk by chunk.

A source gives chunks, each a few rows or some millions: ``(x, y)`` or ``(x, y, sample_weight)``.
`as_source` makes one of iterables, sequences, functions and iterators; the classes here read files.
"""

from __future__ import annotations

import re
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from fastmlp.extras import require
from fastmlp.validation import integer, is_array

__all__ = [
    "Arrays",
    "ArrowFiles",
    "CSVFile",
    "OneShot",
    "ParquetFiles",
    "Shards",
    "Source",
    "as_source",
    "as_source_of_samples",
    "npy_pairs",
    "samples_of_chunk",
    "without_targets",
]


def __dir__() -> list[str]:
    return __all__


Array = npt.NDArray[Any]
Paths: TypeAlias = "str | PathLike[str] | Sequence[str | PathLike[str]]"
_CHUNK_BYTES = 2 << 20
_FEWEST_ROWS = 1024
_PAGE_BYTES = 1 << 16


class Source:
    """Samples in chunks. Subclasses define `chunk`, or `__iter__` if there is no random access.

    Attributes
    ----------
    name : str
        What messages call the source.
    chunks : int or None
        Number of chunks that `chunk` reads in any order; None: they come in one order.
    samples : int or None
        Number of samples; None: only a pass over all chunks tells.
    is_one_shot : bool
        Whether only one pass is possible.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import MLP
    >>> class Squares(Source):
    ...     name, chunks, samples = "squares", 4, 400
    ...     def chunk(self, number):
    ...         x = np.linspace(number - 2, number - 1, 100).reshape(-1, 1)
    ...         return x, x**2
    >>> model = MLP([1, 8, 1], loss="mse")
    >>> history = model.fit(Squares(), epochs=3, verbose=0)
    >>> len(history.loss)
    3
    """

    name: str = "source"
    chunks: int | None = None
    samples: int | None = None
    is_one_shot = False

    def chunk(self, number: int) -> Any:
        """Return a chunk, ``(x, y)`` or ``(x, y, sample_weight)``, by its number from 0."""
        raise NotImplementedError

    def pieces(self, number: int) -> Iterator[Any]:
        """Iterate over a chunk in pieces of the same form: one, unless a subclass cuts it.

        A training reads pieces, so that a large chunk need not be in memory as a whole.
        """
        yield self.chunk(number)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the chunks in order."""
        assert self.chunks is not None, "a source without a number of chunks defines __iter__"
        return map(self.chunk, range(self.chunks))


class _Iterable(Source):
    """What can be iterated over again and again, or a function that returns it."""

    def __init__(self, name: str, begin: Callable[[], Iterable[Any]], samples: int | None) -> None:
        self.name, self.samples, self._begin = name, samples, begin

    def __iter__(self) -> Iterator[Any]:
        chunks: Any = self._begin()
        if hasattr(chunks, "__iter__") or not hasattr(chunks, "__len__"):
            return iter(chunks)
        return map(chunks.__getitem__, range(len(chunks)))  # may give an item for every number


class OneShot(Source):
    """What can be iterated over once. Chunks that were taken for a look can be put back.

    Examples
    --------
    >>> from fastmlp.streams import OneShot
    >>> source = OneShot("batches", iter([([[1.0]], [0]), ([[2.0]], [1])]))
    >>> first = next(iter(source))
    >>> source.put_back([first])
    >>> len(list(source)), len(list(source))
    (2, 0)
    """

    is_one_shot = True

    def __init__(self, name: str, iterator: Iterator[Any]) -> None:
        self.name, self._iterator = name, iterator

    def put_back(self, chunks: list[Any]) -> None:
        """Let the next iteration begin with these chunks."""
        self._iterator = chain(chunks, self._iterator)

    def __iter__(self) -> Iterator[Any]:
        return self._iterator


class _Sequence(Source):
    """What has a length and chunks by number."""

    chunks: int

    def __init__(self, name: str, sequence: Any, samples: int | None) -> None:
        self.name, self._samples, self._sequence = name, samples, sequence
        self.chunks = len(sequence)

    @property
    def samples(self) -> int | None:  # type: ignore[override]
        """Number of samples, or what it is if all chunks but the last have the same size."""
        if self._samples is None and self.chunks:
            sizes = [len(samples_of_chunk(self._sequence[n])) for n in (0, self.chunks - 1)]
            self._samples = sizes[0] * (self.chunks - 1) + sizes[-1]
        return self._samples

    def chunk(self, number: int) -> Any:
        return self._sequence[number]


def as_source(value: Any) -> Source | None:
    """Return a source of what `MLP.fit` takes in place of ``x`` and ``y``; None if it is none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.streams import as_source
    >>> x, y = np.zeros((4, 2)), np.arange(4)
    >>> source = as_source([(x, y), (x[:1], y[:1])])
    >>> source.chunks, source.samples
    (2, 5)
    >>> as_source(x) is None
    True
    """
    if isinstance(value, Source):
        return value
    if is_array(value) or isinstance(value, (str, bytes, Mapping)):
        return None
    name = getattr(value, "__name__", type(value).__name__)
    samples = getattr(value, "samples", None)
    samples = int(samples) if isinstance(samples, (int, np.integer)) else None
    if isinstance(value, (list, tuple)):
        sizes = [_rows_of(item) for item in value]
        rows = [size for size in sizes if size is not None]
        return _Sequence(name, value, sum(rows)) if rows or not sizes else None
    if isinstance(value, Iterator):
        return OneShot(name, value)
    if hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__"):
        return _Sequence(name, value, samples)
    if hasattr(value, "__iter__"):
        return _Iterable(name, value.__iter__, _samples_of_loader(value, samples))
    return _Iterable(name, value, samples) if callable(value) else None


def as_source_of_samples(value: Any) -> Source | None:
    """Return a source of what methods take in place of ``x``; None if it may be an array.

    It is one if `as_source` finds it, and what it holds are chunks, not single samples.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.streams import as_source_of_samples
    >>> as_source_of_samples([np.zeros((3, 2)), np.ones((4, 2))]).samples
    7
    >>> as_source_of_samples([[1.0, 2.0], [3.0, 4.0]]) is None  # the rows of one array
    True
    """
    if isinstance(value, np.ndarray):  # as in most calls
        return None
    if isinstance(value, list) and all(getattr(x, "ndim", 0) == 2 for x in value):
        return _Sequence("list", value, sum(map(len, value)))
    source = as_source(value)
    if not isinstance(source, _Sequence):
        return source
    try:
        items = value if isinstance(value, (list, tuple)) else [value[0]]
        return None if all(_is_row(samples_of_chunk(item)) for item in items) else source
    except Exception:  # noqa: BLE001 - reading the source reports it
        return source


def samples_of_chunk(chunk: Any) -> Any:
    """Return the samples of a chunk: its ``x``, or the chunk itself if it is samples alone.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.streams import samples_of_chunk
    >>> x, y = np.zeros((4, 2)), np.arange(4)
    >>> samples_of_chunk((x, y)) is x, samples_of_chunk(x) is x
    (True, True)
    """
    if not isinstance(chunk, (tuple, list)) or len(chunk) not in (2, 3):
        return chunk
    is_number = not hasattr(chunk[0], "__len__") or getattr(chunk[0], "ndim", 1) == 0
    return chunk if is_number else chunk[0]


def _is_row(item: Any) -> bool:
    """Whether an item of a sequence is a number or a sequence of numbers."""
    if hasattr(item, "shape"):
        return len(item.shape) < 2
    if not hasattr(item, "__len__"):
        return True
    return not any(hasattr(part, "__len__") for part in islice(item, len(item)))


def _rows_of(batch: Any) -> int | None:
    """Return the rows of a chunk; None if it is none."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        return None
    if isinstance(batch[0], (tuple, list)):
        return len(batch[0])
    shape = getattr(batch[0], "shape", ())
    return int(shape[0]) if shape else None


def _samples_of_loader(loader: Any, samples: int | None) -> int | None:
    """Return the number of samples of a PyTorch DataLoader whose sampler tells it."""
    size: Any = getattr(loader, "batch_size", None)
    sampler: Any = getattr(loader, "sampler", None)
    if samples is not None or not isinstance(size, int) or not hasattr(sampler, "__len__"):
        return samples
    count = len(sampler)
    return count // size * size if getattr(loader, "drop_last", False) else count


class Arrays(Source):
    """Arrays, or .npy files that are mapped into memory, in chunks of rows.

    Parameters
    ----------
    x, y : array or path of a .npy file
        Samples and targets, as in `MLP.fit`. Arrays of any kind that NumPy slices, such as
        memory maps, are read where they are.
    sample_weight : array or path, optional
    chunk_size : int, optional
        Rows of a chunk; the default makes chunks of 2 MiB of ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> np.save("x.npy", np.zeros((5, 2), np.float32))
    >>> np.save("y.npy", np.arange(5))
    >>> source = Arrays("x.npy", "y.npy", chunk_size=3)
    >>> source.chunks, source.samples, source.chunk(1)[1]
    (2, 5, array([3, 4]))
    """

    chunks: int
    samples: int

    def __init__(
        self, x: Any, y: Any, sample_weight: Any = None, *, chunk_size: int | None = None
    ) -> None:
        self.name = fspath(x) if isinstance(x, (str, PathLike)) else "arrays"
        parts = [_mapped(part) for part in (x, y, sample_weight) if part is not None]
        counts = [len(part) for part in parts]
        if len(set(counts)) > 1:
            raise ValueError(f"{self.name}: x, y and weights must have one length, got {counts}")
        self._parts = parts
        self.samples = counts[0]
        if chunk_size is None:
            row = max(1, parts[0].nbytes // max(1, self.samples))
            chunk_size = max(1, _CHUNK_BYTES // row)
        self._size = integer("chunk_size", chunk_size, 1)
        self.chunks = -(-self.samples // self._size)

    def chunk(self, number: int) -> tuple[Array, ...]:
        rows = slice(number * self._size, (number + 1) * self._size)
        return tuple(np.asarray(part[rows]) for part in self._parts)


def _mapped(part: Any) -> Any:
    if isinstance(part, (str, PathLike)):
        path = Path(part)
        if path.is_dir():
            raise ValueError(f"{path} must be a .npy file, got a folder; {_cure_for(path)}")
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} must be a .npy file of numbers: {error}") from None
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path} must be a .npy file; {_cure_for(path)}")
        return array
    return part if hasattr(part, "nbytes") else np.asarray(part)


class Shards(Source):
    """Files .npz with the arrays ``x``, ``y`` and perhaps ``sample_weight``, or pairs of .npy.

    A file .npz is a chunk. Files .npy are mapped into memory, and read in chunks of 2 MiB of ``x``.

    Parameters
    ----------
    paths : path or list of paths
        Files, or a folder, whose .npz or .npy files are taken in the order of their names. The
        targets of ``x.npy`` are in ``y.npy``; names may hold more, as in ``train-x-003.npy`` and
        ``train-y-003.npy``.

    Examples
    --------
    >>> import numpy as np
    >>> for number in range(2):
    ...     np.savez(f"part-{number}.npz", x=np.ones((3, 2)), y=[0, 1, number])
    >>> Shards(["part-0.npz", "part-1.npz"]).samples
    6
    """

    def __init__(self, paths: Paths) -> None:
        self.name, files = _files(paths, (".npz", ".npy"))
        mapped = [path for path in files if path.suffix == ".npy"]
        whole = [path for path in files if path.suffix != ".npy"]
        pairs = [Arrays(x, y) for x, y in npy_pairs(mapped)] if mapped else []
        self._chunks: list[tuple[Arrays | Path, int]] = [(path, 0) for path in whole]
        self._chunks += [(pair, number) for pair in pairs for number in range(pair.chunks)]
        self.chunks = len(self._chunks)
        self.samples = sum(map(_rows_in_npz, whole)) + sum(pair.samples for pair in pairs)

    def chunk(self, number: int) -> tuple[Array, ...]:
        place, at = self._chunks[number]
        if isinstance(place, Arrays):
            return place.chunk(at)
        with np.load(place, allow_pickle=False) as file:
            names = ("x", "y", "sample_weight")
            return tuple(file[name] for name in names if name in file.files)


def npy_pairs(paths: Paths) -> list[tuple[Path, Path]]:
    """Return the files of samples, in order, each with the file of its targets.

    The names of the two files differ in one letter, x and y, that is no part of a word. Of a single
    file the other one is beside it.

    Raises
    ------
    ValueError
        A file has no partner; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> np.save("train-x.npy", np.ones((3, 2)))
    >>> np.save("train-y.npy", np.arange(3))
    >>> [(str(x), str(y)) for x, y in npy_pairs("train-x.npy")]
    [('train-x.npy', 'train-y.npy')]
    """
    alone = isinstance(paths, (str, PathLike))
    files = [Path(paths)] if isinstance(paths, (str, PathLike)) else [Path(p) for p in paths]
    pairs = [(x, y) for x in files if (y := _targets_of(x)) is not None]
    left = set() if alone else set(files) ^ {path for pair in pairs for path in pair}
    if left or not pairs:
        path = min(left, default=files[0])
        raise ValueError(
            f"{path} must be one of two files with samples and targets, such as x.npy and y.npy or "
            "x-0.npy and y-0.npy"
        )
    return pairs


def without_targets(paths: Sequence[str | PathLike[str]]) -> list[Path]:
    """Return files but those that are, by their names, targets of another one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.streams import without_targets
    >>> for name in ("train-x.npy", "train-y.npy", "more.npy"):
    ...     np.save(name, np.zeros(3))
    >>> [str(path) for path in without_targets(["train-x.npy", "train-y.npy", "more.npy"])]
    ['train-x.npy', 'more.npy']
    """
    files = [Path(path) for path in paths]
    targets = {_targets_of(path) for path in files} if len(files) > 1 else set()
    return [path for path in files if path not in targets]


def _targets_of(path: Path) -> Path | None:
    """Return the file of the targets of a file of samples; None if it is none by its name."""
    found = list(re.finditer(r"(?<![A-Za-z])[xX](?![A-Za-z])", path.stem))
    if len(found) != 1:
        return None
    at = found[0].start()
    names = [path.stem[:at] + y + path.stem[at + 1 :] + path.suffix for y in "yY"]
    return next((path.with_name(n) for n in names if path.with_name(n).exists()), None)


def _rows_in_npz(path: Path) -> int:
    try:
        with zipfile.ZipFile(path) as archive, archive.open("x.npy") as file:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            return int(header(file)[0][0])
    except (KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        cure = "" if path.suffix == ".npz" else f"; {_cure_for(path)}"
        raise ValueError(
            f"{path} must be a .npz file with the arrays x and y: {error}{cure}"
        ) from None


class _Columns(Source):
    """Tables of Arrow whose columns are numbers: all but the target are features."""

    def __init__(
        self, target: str | None, features: Sequence[str] | None, sample_weight: str | None
    ) -> None:
        if target is None:
            own = type(self).__name__
            raise TypeError(
                f"{own}() needs target, the column of the targets: "
                f'streams.{own}(..., target="label")'
            )
        self._target, self._weight = target, sample_weight
        self._features = None if features is None else list(features)

    def _require_columns(self, names: Sequence[str]) -> None:
        """Settle the features; all columns that are used must exist."""
        if self._features is None:
            self._features = [n for n in names if n not in (self._target, self._weight)]
        for name in (self._target, self._weight, *self._features):
            if name is not None and name not in names:
                raise ValueError(f"{self.name}: there is no column {name!r}, only {list(names)}")

    @property
    def columns(self) -> list[str]:
        """Names of the columns that are read: features, target, weights."""
        last = [self._target] if self._weight is None else [self._target, self._weight]
        return [*(self._features or []), *last]

    def _batch(self, table: Any) -> tuple[Array, ...]:
        columns = [self._numbers(name, table.column(name)) for name in self.columns]
        count = len(self._features or [])
        dtype = np.result_type(np.float32, *(column.dtype for column in columns[:count]))
        x = np.empty((len(columns[0]), count), dtype)
        for i, column in enumerate(columns[:count]):
            x[:, i] = column
        return x, *columns[count:]

    def _numbers(self, name: str, column: Any) -> Array:
        array = np.asarray(column.to_numpy(zero_copy_only=False) if _is_plain(column) else column)
        if array.dtype.kind not in "buif":
            raise TypeError(
                f"{self.name}: column {name!r} must hold numbers, got {column.type}; features= "
                "chooses columns, and classes are integers from 0"
            )
        return array.astype(np.int64) if array.dtype.kind == "b" else array


def _is_plain(column: Any) -> bool:
    """Whether a column of Arrow is one array and not a list of such."""
    return not hasattr(column, "chunks")


class _GroupedFiles(_Columns):
    """Files of groups of rows, each of which is a chunk."""

    _suffixes: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        paths: Paths,
        *,
        target: str | None = None,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
    ) -> None:
        super().__init__(target, features, sample_weight)
        self.name, files = _files(paths, self._suffixes)
        self._groups: list[tuple[Path, int]] = []
        self.samples = 0
        for path in files:
            try:
                names, groups, rows = self._described(path)
            except (ValueError, OSError) as error:
                wanted = " or ".join(self._suffixes)
                cure = "" if path.suffix in self._suffixes else f"; {_cure_for(path)}"
                raise ValueError(f"{path} must be a {wanted} file: {error}{cure}") from error
            self._require_columns(names)
            self._groups += [(path, group) for group in range(groups)]
            self.samples += rows
        self.chunks = len(self._groups)

    @abstractmethod
    def _described(self, path: Path) -> tuple[list[str], int, int]:
        """Return the columns of a file, its number of groups and of rows."""


class ParquetFiles(_GroupedFiles):
    """Parquet files, whose chunks are row groups, read some thousand rows at a time.

    Parameters
    ----------
    paths : path or list of paths
        Files, or a folder, whose .parquet files are taken in the order of their names.
    target : str
        Column of the targets: values, or classes as integers from 0.
    features : list of str, optional
        Columns of the inputs, in this order; by default all others in that of the file.
    sample_weight : str, optional
        Column of the weights.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    ValueError
        There is no such file or column.

    Examples
    --------
    >>> import polars
    >>> from fastmlp.streams import ParquetFiles
    >>> frame = polars.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.0, 1.5], "label": [0, 1, 0]})
    >>> frame.write_parquet("people.parquet", row_group_size=2)
    >>> source = ParquetFiles("people.parquet", target="label")
    >>> source.chunks, source.samples, source.columns
    (2, 3, ['a', 'b', 'label'])
    """

    _suffixes = (".parquet", ".pq")

    def _described(self, path: Path) -> tuple[list[str], int, int]:
        with require("stream", "pyarrow.parquet").ParquetFile(path) as file:
            return file.schema_arrow.names, file.num_row_groups, file.metadata.num_rows

    def chunk(self, number: int) -> tuple[Array, ...]:
        path, group = self._groups[number]
        with require("stream", "pyarrow.parquet").ParquetFile(path) as file:
            return self._batch(file.read_row_group(group, columns=self.columns, use_threads=False))

    def pieces(self, number: int) -> Iterator[Any]:
        path, group = self._groups[number]
        rows = max(_FEWEST_ROWS, _CHUNK_BYTES // (4 * len(self.columns)))
        # Pages are read as they are needed, not all of a group.
        settings = {"pre_buffer": False, "buffer_size": _PAGE_BYTES}
        with require("stream", "pyarrow.parquet").ParquetFile(path, **settings) as file:
            for batch in file.iter_batches(
                rows, row_groups=[group], columns=self.columns, use_threads=False
            ):
                yield self._batch(batch)


class ArrowFiles(_GroupedFiles):
    """Arrow and Feather files, which are mapped into memory, a record batch at a time.

    Parameters
    ----------
    paths, target, features, sample_weight
        As in `ParquetFiles`; a folder is searched for .arrow, .feather and .ipc.

    Examples
    --------
    >>> import polars
    >>> from fastmlp.streams import ArrowFiles
    >>> frame = polars.DataFrame({"a": [1.0, 2.0], "b": [0.5, 0.0], "label": [0, 1]})
    >>> frame.write_ipc("people.arrow")
    >>> x, y = ArrowFiles("people.arrow", target="label", features=["b"]).chunk(0)
    >>> x.tolist(), y.tolist()
    ([[0.5], [0.0]], [0, 1])
    """

    _suffixes = (".arrow", ".feather", ".ipc")

    def _described(self, path: Path) -> tuple[list[str], int, int]:
        pyarrow = require("stream", "pyarrow")
        with pyarrow.memory_map(fspath(path)) as mapped:
            file = pyarrow.ipc.open_file(mapped)
            names, batches = file.schema.names, file.num_record_batches
        dataset = require("stream", "pyarrow.dataset").dataset(path, format="ipc")
        return names, batches, dataset.count_rows()

    def chunk(self, number: int) -> tuple[Array, ...]:
        path, group = self._groups[number]
        pyarrow = require("stream", "pyarrow")
        with pyarrow.memory_map(fspath(path)) as mapped:
            return self._batch(pyarrow.ipc.open_file(mapped).get_batch(group))


class CSVFile(_Columns):
    """A file of comma-separated numbers with a line of names, block by block and in order.

    Parameters
    ----------
    path : path
    target, features, sample_weight
        As in `ParquetFiles`.
    block_bytes : int
        Bytes of text of a chunk.

    Examples
    --------
    >>> from pathlib import Path
    >>> from fastmlp.streams import CSVFile
    >>> _ = Path("people.csv").write_text("a,b,label\\n1,2,0\\n3,4,1\\n")
    >>> [(x.tolist(), y.tolist()) for x, y in CSVFile("people.csv", target="label")]
    [([[1.0, 2.0], [3.0, 4.0]], [0, 1])]
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        target: str | None = None,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
        block_bytes: int = _CHUNK_BYTES,
    ) -> None:
        super().__init__(target, features, sample_weight)
        self._csv = require("stream", "pyarrow.csv")
        self.name = self._path = fspath(path)
        self._block_bytes = integer("block_bytes", block_bytes, 1, 1 << 30)
        with self._open() as reader:
            self._require_columns(reader.schema.names)

    def _open(self) -> Any:
        options = self._csv.ReadOptions(use_threads=False, block_size=self._block_bytes)
        return self._csv.open_csv(self._path, read_options=options)

    def __iter__(self) -> Iterator[Any]:
        with self._open() as reader:
            for batch in reader:
                yield self._batch(batch)


def _cure_for(path: Path) -> str:
    """Say which class reads a file or a folder."""
    readers = {
        **dict.fromkeys(("", ".npz"), "Shards(..."),
        ".npy": "Arrays(x, y",
        **dict.fromkeys(ParquetFiles._suffixes, "ParquetFiles(..., target=..."),
        **dict.fromkeys(ArrowFiles._suffixes, "ArrowFiles(..., target=..."),
        **dict.fromkeys((".csv", ".txt"), "CSVFile(..., target=..."),
    }
    if path.is_dir():
        suffixes = {one.suffix for one in path.iterdir()} & readers.keys()
        names = sorted({readers["" if suffix == ".npy" else suffix] for suffix in suffixes})
        return f"streams.{names[0]}) reads such a folder" if names else "streams.Shards reads .npz"
    reader = readers.get(path.suffix.lower())
    return f"streams.{reader}) reads it" if reader else "fastmlp.streams lists the formats"


def _files(paths: Paths, suffixes: tuple[str, ...]) -> tuple[str, list[Path]]:
    """Return the name of a set of files and the files; a folder stands for those in it."""
    if not isinstance(paths, (str, PathLike)):
        found = [Path(path) for path in paths]
        name = fspath(found[0]) if len(found) == 1 else f"{len(found)} files"
    elif (folder := Path(paths)).is_dir():
        name = fspath(folder)
        found = sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    else:
        name, found = fspath(paths), [folder]
    if not found:
        raise ValueError(f"{name}: there are no files with {' or '.join(suffixes)}")
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
    return name, found
