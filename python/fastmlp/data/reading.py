"""Reading of sources: named data sets, files, directories and standard input.

This module finds the reader; each format has a module of its own: `delimited`, `jsonl`, `parquet`,
`numpy_files`, `images`, and `fastmlp.datasets.idx`. `shards` finds and joins the files of a table.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastmlp.data import delimited, images, jsonl, numpy_files, parquet, shards
from fastmlp.data.arrays import as_inputs, data_of_arrays
from fastmlp.data.content import GZIP_MAGIC, Content
from fastmlp.data.table import Part, RawData, Reading, Table, require_columns
from fastmlp.datasets import get_spec, idx, load
from fastmlp.errors import FormatError

__all__ = ["holds_tables", "is_file_source", "read", "read_samples"]

_STANDARD_INPUT = "-"


def read(
    source: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    separator: str | None = None,
    reading: Reading | None = None,
    report: Callable[[str], None] | None = None,
) -> RawData:
    """Read samples with their targets.

    Parameters
    ----------
    source : str or os.PathLike
        A name of `fastmlp.datasets`, in any spelling that `fastmlp.datasets.get_spec` accepts, has
        precedence over a file of that name. Else a table: text (.csv, .tsv, .txt, .tab, .psv), JSON
        (.jsonl, .ndjson, .json) or Arrow (.parquet, .feather, .arrow, .ipc); text and JSON also
        with .gz. A pattern such as ``part-*.csv``, or a directory that holds tables of one format
        and nothing else, is one table in several files, in sorted order. Or arrays: .npz; a
        directory with the four IDX files of a set like MNIST, or with images in one directory per
        class. Or "-", a table on standard input.
    data_dir : str or os.PathLike, optional
        Directory that is searched first for the files of a named set.
    separator : str, optional
        Character between the fields of a text file; short for ``Reading(separator=...)``.
    reading : Reading, optional
        How a table is read. By default the file decides.
    report : callable, optional
        Called with one line of text for each place that is searched for a named set.

    Returns
    -------
    RawData
        Contents of the source.

    Raises
    ------
    FormatError
        A file is damaged or cannot be used; the message names the file and the place in it.
    OSError
        A file cannot be opened.
    ValueError
        No set has this name, or an option does not fit the format of the source.
    fastmlp.DataUnavailableError
        No source has the named set.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.data.read("moons")
    RawData('moons', train=Part(x=(1000, 2), y=(1000,)))
    """
    source = os.fspath(source)
    reading = _with_separator(reading, separator)
    if not is_file_source(source):
        _refuse_options(reading, source, _TEXT_OPTIONS)
        return _read_named(source, data_dir, report)
    path = os.path.expanduser(source)
    if path != _STANDARD_INPUT and os.path.isdir(path) and not shards.holds_tables(path, suffix_of):
        _refuse_options(reading, source, _TEXT_OPTIONS)
        return _read_directory(path)
    form, files = _open(path)
    return form.data(files, reading)


def read_samples(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    reading: Reading | None = None,
) -> Table | NDArray[Any]:
    """Read samples to predict. A table may hold targets among its columns.

    Parameters
    ----------
    path : str or os.PathLike
        A table as in `read`; or arrays: .npz (its array x), .npy, .idx or -ubyte (also with .gz).
    separator : str, optional
        Character between the fields of a text file; short for ``Reading(separator=...)``.
    reading : Reading, optional
        How a table is read. By default the file decides.

    Returns
    -------
    Table, or array of shape (samples, features), uint8, float32 or float64

    Raises
    ------
    FormatError, OSError, ValueError
        The errors of `read`.

    Examples
    --------
    >>> import fastmlp, numpy, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "samples.npy")
    ...     numpy.save(path, numpy.array([[1.0, 2.0], [3.0, 4.0]]))
    ...     fastmlp.data.read_samples(path)
    array([[1., 2.],
           [3., 4.]])
    """
    form, files = _open(os.path.expanduser(os.fspath(path)))
    return form.samples(files, _with_separator(reading, separator))


def is_file_source(source: str) -> bool:
    """Return whether `read` takes `source` for a file, directory or standard input, not a set.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.data.is_file_source("mnist"), fastmlp.data.is_file_source("mnist.csv")
    (False, True)
    """
    if source == _STANDARD_INPUT:
        return True
    try:
        get_spec(source)
    except ValueError:
        looks_like_path = os.path.basename(source) != source or "." in source
        looks_like_path = looks_like_path or suffix_of(source) is not None or glob.has_magic(source)
        return looks_like_path or os.path.exists(os.path.expanduser(source))
    return False


# ---------------------------------------------------------------- formats


@dataclass(frozen=True)
class _Files:
    """Files of one format. `stem` is the name without suffixes; messages say `origin`."""

    names: tuple[str, ...]
    stem: str
    origin: str
    contents: tuple[Content, ...]

    @property
    def digests(self) -> dict[str, str]:
        pairs = zip(self.names, self.contents, strict=True)
        return {name: content.digest() for name, content in pairs}


class _Format:
    """Reader of one file format: `data` returns samples with targets, `samples` without."""

    options: tuple[str, ...] = ()  # fields of `Reading` that it takes
    is_packable = False  # ".gz" may follow the suffix
    is_table = False

    def data(self, files: _Files, reading: Reading) -> RawData:
        raise NotImplementedError

    def samples(self, files: _Files, reading: Reading) -> Table | NDArray[Any]:
        raise NotImplementedError


class _TableFormat(_Format):
    is_table = True

    def data(self, files: _Files, reading: Reading) -> RawData:
        table = self.samples(files, reading)
        return RawData(files.stem, Part(table), sha256=files.digests)

    def samples(self, files: _Files, reading: Reading) -> Table:
        _refuse_options(reading, files.origin, set(_TEXT_OPTIONS) - set(self.options))
        return with_index(self.table(files, reading), reading)

    def table(self, files: _Files, reading: Reading) -> Table:
        """Return the table in the files."""
        raise NotImplementedError


class _Text(_TableFormat):
    options = ("separator", "encoding", "header", "names")
    is_packable = True

    def __init__(self, usual_separator: str | None) -> None:
        self._usual = usual_separator

    def table(self, files: _Files, reading: Reading) -> Table:
        if reading.separator is None:
            reading = dataclasses.replace(reading, separator=self._usual)
        return delimited.read_delimited(files.contents, files.origin, reading)


class _Json(_TableFormat):
    options = ("encoding",)
    is_packable = True

    def table(self, files: _Files, reading: Reading) -> Table:
        return jsonl.read_json(files.contents, files.origin, reading)


class _Typed(_TableFormat):
    """Reader of a format that holds values with types."""

    def table(self, files: _Files, reading: Reading) -> Table:
        tables = [self.read_one(one, reading) for one in files.contents]
        return tables[0] if len(tables) == 1 else shards.joined(tables, files.origin)

    def read_one(self, content: Content, reading: Reading) -> Table:
        """Return the table in one file."""
        raise NotImplementedError


class _Parquet(_Typed):
    def read_one(self, content: Content, reading: Reading) -> Table:
        return parquet.read_parquet(content, content.origin, reading)


class _Arrow(_Typed):
    def read_one(self, content: Content, reading: Reading) -> Table:
        return parquet.read_arrow(content, content.origin, reading)


class _Npz(_Format):
    def data(self, files: _Files, reading: Reading) -> RawData:
        _refuse_options(reading, files.origin, _TEXT_OPTIONS)
        names = ("x", "y", "x_train", "y_train", "x_test", "y_test")
        arrays = numpy_files.parse_npz(files.contents[0].raw(), files.origin, names)
        return data_of_arrays(arrays, files.origin, name=files.stem, sha256=files.digests)

    def samples(self, files: _Files, reading: Reading) -> NDArray[Any]:
        _refuse_options(reading, files.origin, _TEXT_OPTIONS)
        arrays = numpy_files.parse_npz(files.contents[0].raw(), files.origin, ("x",))
        return as_inputs(arrays["x"], f"{files.origin}: x")


class _SingleArray(_Format):
    """Reader of a format that holds one array and therefore no targets."""

    hint: str

    def data(self, files: _Files, reading: Reading) -> RawData:
        del reading
        raise FormatError(
            f"{files.origin}: targets: are missing, the file holds inputs only; {self.hint}"
        )

    def samples(self, files: _Files, reading: Reading) -> NDArray[Any]:
        _refuse_options(reading, files.origin, _TEXT_OPTIONS)
        return as_inputs(self.array(files.contents[0]), files.origin)

    def array(self, content: Content) -> NDArray[Any]:
        """Return the array as stored."""
        raise NotImplementedError


class _Npy(_SingleArray):
    hint = "save x and y with numpy.savez, or train with --stream on the files x.npy and y.npy"

    def array(self, content: Content) -> NDArray[Any]:
        assert content.path is not None
        return numpy_files.map_npy(content.path)


class _Idx(_SingleArray):
    hint = "name the directory of the four files of its set"
    is_packable = True

    def array(self, content: Content) -> NDArray[Any]:
        raw = content.raw()
        raw = idx.gunzip_idx(raw, content.origin) if content.packed else raw
        return idx.parse_idx(raw, content.origin)


# Formats by the end of the file name in lower case.
_FORMATS: dict[str, _Format] = {
    ".csv": _Text(None),
    ".tsv": _Text("\t"),
    ".tab": _Text("\t"),
    ".psv": _Text("|"),
    ".txt": _Text(None),
    ".jsonl": _Json(),
    ".ndjson": _Json(),
    ".json": _Json(),
    ".parquet": _Parquet(),
    ".feather": _Arrow(),
    ".arrow": _Arrow(),
    ".ipc": _Arrow(),
    ".npz": _Npz(),
    ".npy": _Npy(),
    ".idx": _Idx(),
    "-ubyte": _Idx(),
}
_SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_TEXT_OPTIONS = ("separator", "encoding", "header")
_OPTION_HINTS = {
    "separator": "is not a text table",
    "encoding": "is not text",
    "header": "is not a text table",
}


def suffix_of(name: str) -> str | None:
    """Return the key of `_FORMATS` with which a name ends, or None."""
    name = name.lower()
    packed = name.endswith(".gz")
    bare = name.removesuffix(".gz")
    for suffix, form in _FORMATS.items():
        if bare.endswith(suffix) and (form.is_packable or not packed):
            return suffix
    return None


def holds_tables(directory: str) -> bool:
    """Return whether a directory holds files of tables, and none of images or arrays."""
    return shards.holds_tables(directory, suffix_of)


# ---------------------------------------------------------------- sources


def _open(path: str) -> tuple[_Format, _Files]:
    if path == _STANDARD_INPUT:
        return _take_standard_input()
    paths = shards.paths_of(path, suffix_of)
    suffix = suffix_of(paths[0])
    if os.path.isdir(path) and (suffix is None or paths == [path]):
        raise FormatError(
            f"{path}: must be a file, got a directory that does not hold tables of one format "
            "alone, or for a model of images nothing but images"
            + ("; --stream reads one of arrays" if shards.holds_arrays(path) else "")
        )
    if suffix is None:
        os.stat(paths[0])  # a missing file is reported before a wrong suffix
        hint = "; save the sheet as CSV" if path.lower().endswith(_SHEETS) else ""
        raise FormatError(f"{path}: file type: must be one of {', '.join(_FORMATS)}{hint}")
    form = _FORMATS[suffix]
    if len(paths) > 1 and not form.is_table:
        raise FormatError(f"{path}: must be one file, got {len(paths)}; only tables have parts")
    names, contents = [], []
    for one in paths:
        name = os.path.basename(one)
        packed = name.lower().endswith(".gz")
        names.append(name[: -len(".gz")] if packed else name)
        contents.append(Content(one, path=one, packed=packed))
    stem = names[0][: -len(suffix)] or "data"
    if paths != [path]:
        stem = shards.stem_of(path, suffix)
    return form, _Files(tuple(names), stem, path, tuple(contents))


def _take_standard_input() -> tuple[_Format, _Files]:
    stream = getattr(sys.stdin, "buffer", None)
    content = stream.read() if stream is not None else b""
    origin = "standard input"
    if not content:
        raise FormatError(f"{origin}: is empty")
    packed = content.startswith(GZIP_MAGIC)
    source = Content(origin, data=content, packed=packed)
    files = _Files((origin,), "stdin", origin, (source,))
    for magic, suffix in _MAGIC.items():
        if content.startswith(magic):
            return _FORMATS[suffix], files
    is_json = source.head(256).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    return _FORMATS[".jsonl" if is_json else ".csv"], files


_MAGIC = {
    parquet.MAGIC: ".parquet",
    parquet.ARROW_MAGIC: ".arrow",
    parquet.STREAM_MAGIC: ".arrow",
}


def with_index(table: Table, reading: Reading) -> Table:
    """Return a table in which the column that the caller names numbers the rows.

    Raises
    ------
    FormatError
        There is no such column.
    """
    name = reading.index_column
    if name is None or name in table.index:
        return table
    if reading.wanted is None or name in reading.wanted:
        require_columns(table, [name], {name: ", which numbers the rows,"})
    if name not in table.columns:
        return table
    return dataclasses.replace(table, index=(*table.index, name))


def _read_directory(path: str) -> RawData:
    if os.path.isfile(os.path.join(path, "config.toml")):
        raise FormatError(
            f"{path}: is a run, not data; 'fastmlp predict {path} SAMPLES' asks its model"
        )
    if not idx.is_idx_directory(path):
        return images.read_image_directory(path)
    arrays, digests = idx.read_idx_directory(path)
    name = os.path.basename(os.path.abspath(path)) or "data"
    return data_of_arrays(arrays, path, name=name, sha256=digests, task="classification")


def _read_named(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    report: Callable[[str], None] | None,
) -> RawData:
    data = load(name, data_dir=data_dir, report=report)
    return RawData(
        name=data.name,
        train=Part(data.x_train, data.y_train),
        test=None if data.x_test is None else Part(data.x_test, data.y_test),
        class_names=data.class_names or None,
        feature_names=data.feature_names,
        image_shape=data.image_shape,
        task=data.task,
        sha256=data.sha256,
    )


def _with_separator(reading: Reading | None, separator: str | None) -> Reading:
    reading = reading or Reading()
    return reading if separator is None else dataclasses.replace(reading, separator=separator)


def _refuse_options(reading: Reading, source: str, options: Iterable[str]) -> None:
    for name in options:
        value = getattr(reading, name)
        if value is not None:
            raise ValueError(
                f"{name} must be left out, because {source} {_OPTION_HINTS[name]}, got {value!r}"
            )
