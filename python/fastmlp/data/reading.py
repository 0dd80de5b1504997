"""Reading of sources: named data sets, files, directories and standard input.

This module finds the reader; each format has a module of its own: `delimited`, `parquet`,
`numpy_files`, `images`, and `fastmlp.datasets.idx`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastmlp._bytes import gunzip, sha256
from fastmlp._files import read_regular_file
from fastmlp.data import delimited, images, numpy_files, parquet
from fastmlp.data.arrays import as_inputs, data_of_arrays
from fastmlp.data.table import Part, RawData, Table
from fastmlp.datasets import get_spec, idx, load
from fastmlp.errors import FormatError

__all__ = ["is_file_source", "read", "read_samples"]

_STANDARD_INPUT = "-"


def read(
    source: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    separator: str | None = None,
    report: Callable[[str], None] | None = None,
) -> RawData:
    """Read samples with their targets.

    Parameters
    ----------
    source : str
        A name of `fastmlp.datasets`, in any spelling that `fastmlp.datasets.get_spec` accepts, has
        precedence over a file of that name; a file that ends in .csv, .tsv (also with .gz),
        .parquet or .npz; a directory with the four IDX files of a set like MNIST, or with images
        in one directory per class; or "-" for CSV or Parquet on standard input.
    data_dir : str or os.PathLike, optional
        Directory that is searched first for the files of a named set.
    separator : str, optional
        Character between the fields of a text file. By default the first line decides.
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
        No set has this name, or `separator` is not a character that can separate fields.
    fastmlp.DataUnavailableError
        No source has the named set.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.data.read("moons")
    RawData('moons', train=Part(x=(1000, 2), y=(1000,)))
    """
    source = os.fspath(source)
    if not is_file_source(source):
        _refuse_separator(separator, source)
        return _read_named(source, data_dir, report)
    path = os.path.expanduser(source)
    if path != _STANDARD_INPUT and os.path.isdir(path):
        _refuse_separator(separator, source)
        return _read_directory(path)
    form, file = _open(path, separator)
    return form.data(file)


def read_samples(
    path: str | os.PathLike[str], *, separator: str | None = None
) -> Table | NDArray[Any]:
    """Read samples to predict. A table may hold targets among its columns.

    Parameters
    ----------
    path : str or os.PathLike
        A file that ends in .csv, .tsv (also with .gz), .parquet, .npz (its array x), .npy, .idx or
        -ubyte (also with .gz); or "-" for CSV or Parquet on standard input.
    separator : str, optional
        Character between the fields of a text file. By default the first line decides.

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
    form, file = _open(os.path.expanduser(os.fspath(path)), separator)
    return form.samples(file)


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
        looks_like_path = os.sep in source or "." in source or _suffix_of(source) is not None
        return looks_like_path or os.path.exists(os.path.expanduser(source))
    return False


# ---------------------------------------------------------------- formats


@dataclass(frozen=True)
class _File:
    """A file in memory, unpacked. `stem` is the name without suffixes; messages say `origin`."""

    name: str
    stem: str
    origin: str
    content: bytes
    separator: str | None = None

    @property
    def digest(self) -> dict[str, str]:
        return {self.name: sha256(self.content)}


class _Format:
    """Reader of one file format: `data` returns samples with targets, `samples` without."""

    takes_separator = False
    is_packable = False  # ".gz" may follow the suffix

    def unpack(self, content: bytes, origin: str) -> bytes:
        return gunzip(content, origin)

    def data(self, file: _File) -> RawData:
        raise NotImplementedError

    def samples(self, file: _File) -> Table | NDArray[Any]:
        raise NotImplementedError


class _TableFormat(_Format):
    def data(self, file: _File) -> RawData:
        return RawData(file.stem, Part(self.table(file, strict=True)), sha256=file.digest)

    def samples(self, file: _File) -> Table:
        return self.table(file, strict=False)

    def table(self, file: _File, *, strict: bool) -> Table:
        """Return the table in a file; for `strict` see `column_of_cells`."""
        raise NotImplementedError


class _Text(_TableFormat):
    takes_separator = True
    is_packable = True

    def __init__(self, usual_separator: str | None) -> None:
        self._usual = usual_separator

    def table(self, file: _File, *, strict: bool) -> Table:
        separator = self._usual if file.separator is None else file.separator
        return delimited.read_delimited(file.content, file.origin, separator, strict=strict)


class _Parquet(_TableFormat):
    def table(self, file: _File, *, strict: bool) -> Table:
        return parquet.read_parquet(file.content, file.origin)


class _Npz(_Format):
    def data(self, file: _File) -> RawData:
        names = ("x", "y", "x_train", "y_train", "x_test", "y_test")
        arrays = numpy_files.parse_npz(file.content, file.origin, names)
        return data_of_arrays(arrays, file.origin, name=file.stem, sha256=file.digest)

    def samples(self, file: _File) -> NDArray[Any]:
        arrays = numpy_files.parse_npz(file.content, file.origin, ("x",))
        return as_inputs(arrays["x"], f"{file.origin}: x")


class _SingleArray(_Format):
    """Reader of a format that holds one array and therefore no targets."""

    hint: str

    def data(self, file: _File) -> RawData:
        raise FormatError(
            f"{file.origin}: targets: are missing, the file holds inputs only; {self.hint}"
        )

    def samples(self, file: _File) -> NDArray[Any]:
        return as_inputs(self.array(file), file.origin)

    def array(self, file: _File) -> NDArray[Any]:
        """Return the array as stored."""
        raise NotImplementedError


class _Npy(_SingleArray):
    hint = "save x and y with numpy.savez"

    def array(self, file: _File) -> NDArray[Any]:
        return numpy_files.parse_npy(file.content, file.origin)


class _Idx(_SingleArray):
    hint = "name the directory of the four files of its set"
    is_packable = True

    def unpack(self, content: bytes, origin: str) -> bytes:
        return idx.gunzip_idx(content, origin)

    def array(self, file: _File) -> NDArray[Any]:
        return idx.parse_idx(file.content, file.origin)


# Formats by the end of the file name in lower case.
_FORMATS: dict[str, _Format] = {
    ".csv": _Text(None),
    ".tsv": _Text("\t"),
    ".parquet": _Parquet(),
    ".npz": _Npz(),
    ".npy": _Npy(),
    ".idx": _Idx(),
    "-ubyte": _Idx(),
}


def _suffix_of(name: str) -> str | None:
    """Return the key of `_FORMATS` with which a name ends, or None."""
    name = name.lower()
    packed = name.endswith(".gz")
    bare = name.removesuffix(".gz")
    for suffix, form in _FORMATS.items():
        if bare.endswith(suffix) and (form.is_packable or not packed):
            return suffix
    return None


# ---------------------------------------------------------------- sources


def _open(path: str, separator: str | None) -> tuple[_Format, _File]:
    if path == _STANDARD_INPUT:
        return _take_standard_input(separator)
    suffix = _suffix_of(path)
    if os.path.isdir(path):
        raise FormatError(f"{path}: must be a file, got a directory")
    if suffix is None:
        os.stat(path)  # a missing file is reported before a wrong suffix
        raise FormatError(f"{path}: file type: must be one of {', '.join(_FORMATS)}")
    form = _FORMATS[suffix]
    if not form.takes_separator:
        _refuse_separator(separator, path)
    content = read_regular_file(path)
    name = os.path.basename(path)
    if name.lower().endswith(".gz"):
        content, name = form.unpack(content, path), name[: -len(".gz")]
    return form, _File(name, name[: -len(suffix)] or "data", path, content, separator)


def _take_standard_input(separator: str | None) -> tuple[_Format, _File]:
    stream = getattr(sys.stdin, "buffer", None)
    content = stream.read() if stream is not None else b""
    origin = "standard input"
    if not content:
        raise FormatError(f"{origin}: is empty")
    if content.startswith(parquet.MAGIC):
        _refuse_separator(separator, origin)
        return _FORMATS[".parquet"], _File(origin, "stdin", origin, content)
    if content.startswith(b"\x1f\x8b"):
        content = gunzip(content, origin)
    return _FORMATS[".csv"], _File(origin, "stdin", origin, content, separator)


def _read_directory(path: str) -> RawData:
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


def _refuse_separator(separator: str | None, source: str) -> None:
    if separator is not None:
        raise ValueError(
            f"separator must be left out, because {source} is not a text table, got {separator!r}"
        )
