"""From the name of a source to what it holds: a set, a file, a directory, or standard input."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastmlp._files import read_regular_file
from fastmlp.data.labelled import LabelledArrays
from fastmlp.data.table import Table
from fastmlp.errors import FormatError

__all__ = ["Part", "RawData", "is_file_source", "read", "read_samples"]

_STANDARD_INPUT = "-"


@dataclass(frozen=True, eq=False)
class Part:
    """Samples with their targets.

    Attributes
    ----------
    x : Table, or array of shape (samples, features)
        Of a table, targets are still among the columns. Arrays are uint8, float32 or float64.
    y : array or None
        int64 or object array of str, shape (samples,), for classes; float64 of shape (samples,
        targets) for quantities; None for a table.
    """

    x: Table | NDArray[Any]
    y: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class RawData:
    """What a source holds, as it is.

    Attributes
    ----------
    name : str
        Short name, that of the set or the file without its suffix.
    train : Part
    test : Part or None
        None where the source has no test part of its own.
    class_names : tuple of str or None
        Of the labels 0, 1, 2, ...
    feature_names : tuple of str or None
        Of the columns of arrays.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) where a sample is an image.
    task : {"classification", "multilabel", "regression"} or None
        None where the source does not know.
    sha256 : dict of str to str
        Digest of each file, decompressed, by its name without ``.gz``; of a directory of images
        one digest of all.
    """

    name: str
    train: Part
    test: Part | None
    class_names: tuple[str, ...] | None
    feature_names: tuple[str, ...] | None
    image_shape: tuple[int, ...] | None
    task: str | None
    sha256: dict[str, str]


def read(
    source: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    separator: str | None = None,
    report: Callable[[str], None] | None = None,
) -> RawData:
    """Read samples with targets.

    Parameters
    ----------
    source : str
        A name of `fastmlp.datasets`, in any spelling that it forgives, which wins over a file of
        the same name; a file that ends in .csv, .tsv (also with .gz), .parquet or .npz; a directory
        with the four IDX files of a set like MNIST, or with images in one directory per class; or
        "-" for CSV or Parquet on standard input.
    data_dir : str or os.PathLike, optional
        Where to look for the files of a named set first.
    separator : str, optional
        Character between the fields of a text file; by default found out.
    report : callable, optional
        Called with one line of text for each place that is tried for a named set.

    Returns
    -------
    RawData

    Raises
    ------
    FormatError
        A file is damaged or cannot be used; the message names it and the place.
    OSError
        It cannot be opened.
    ValueError
        There is neither a set nor a file of this name, or `separator` cannot be one.
    fastmlp.DataUnavailableError
        A named set was found nowhere.
    """
    source = os.fspath(source)
    if not is_file_source(source):
        _refuse_separator(separator, source)
        return _read_named(source, data_dir, report)
    path = os.path.expanduser(source)
    if path != _STANDARD_INPUT and os.path.isdir(path):
        _refuse_separator(separator, source)
        return _read_directory(path)
    file = _open(path, separator)
    parsed = file.format.training(file.content, file.origin, separator)
    digest = hashlib.sha256(file.content).hexdigest()
    return _raw_data(file.stem, parsed, {file.name: digest}, task=None)


def read_samples(
    path: str | os.PathLike[str], *, separator: str | None = None
) -> Table | NDArray[Any]:
    """Read samples to predict; targets may be among the columns of a table.

    Parameters
    ----------
    path : str or os.PathLike
        A file that ends in .csv, .tsv (also with .gz), .parquet, .npz (its array x), .npy, .idx or
        -ubyte (also with .gz); or "-" for CSV or Parquet on standard input.
    separator : str, optional
        Character between the fields of a text file; by default found out.

    Returns
    -------
    Table, or array of shape (samples, features), uint8, float32 or float64

    Raises
    ------
    FormatError, OSError, ValueError
        As `read`.
    """
    file = _open(os.path.expanduser(os.fspath(path)), separator)
    return file.format.samples(file.content, file.origin, separator)


def is_file_source(source: str) -> bool:
    """Whether `read` opens a file, a directory or standard input for this, not a named set."""
    from fastmlp import datasets

    if source == _STANDARD_INPUT:
        return True
    try:
        datasets.get_spec(source)
    except ValueError:
        looks_like_path = os.sep in source or "." in source or _find_format(source) is not None
        return looks_like_path or os.path.exists(os.path.expanduser(source))
    return False


# ---------------------------------------------------------------- formats


@dataclass(frozen=True)
class _Format:
    """How the content of a file is parsed: functions of content, origin and separator."""

    training: Callable[[bytes, str, str | None], Table | LabelledArrays]
    samples: Callable[[bytes, str, str | None], Table | NDArray[Any]]
    gunzip: Callable[[bytes, str], bytes] | None = None
    takes_separator: bool = False


def _delimited(usual: str | None, *, strict: bool) -> Callable[[bytes, str, str | None], Table]:
    def parse(content: bytes, origin: str, separator: str | None) -> Table:
        from fastmlp.data.delimited import read_delimited

        chosen = usual if separator is None else separator
        return read_delimited(content, origin, chosen, strict=strict)

    return parse


def _gunzip_text(content: bytes, origin: str) -> bytes:
    from fastmlp.data.delimited import gunzip_text

    return gunzip_text(content, origin)


def _gunzip_idx(content: bytes, origin: str) -> bytes:
    from fastmlp.data.idx_files import gunzip_idx

    return gunzip_idx(content, origin)


def _parquet(content: bytes, origin: str, _separator: str | None) -> Table:
    from fastmlp.data.parquet import read_parquet

    return read_parquet(content, origin)


def _npz(content: bytes, origin: str, _separator: str | None) -> LabelledArrays:
    from fastmlp.data.labelled import labelled
    from fastmlp.data.numpy_files import parse_npz

    names = ("x", "y", "x_train", "y_train", "x_test", "y_test")
    return labelled(parse_npz(content, origin, names), origin)


def _npz_samples(content: bytes, origin: str, _separator: str | None) -> NDArray[Any]:
    from fastmlp.data.labelled import as_inputs
    from fastmlp.data.numpy_files import parse_npz

    return as_inputs(parse_npz(content, origin, ("x",))["x"], f"{origin}: x")


def _npy_samples(content: bytes, origin: str, _separator: str | None) -> NDArray[Any]:
    from fastmlp.data.labelled import as_inputs
    from fastmlp.data.numpy_files import parse_npy

    return as_inputs(parse_npy(content, origin), origin)


def _idx_samples(content: bytes, origin: str, _separator: str | None) -> NDArray[Any]:
    from fastmlp.data.labelled import as_inputs
    from fastmlp.datasets.idx import parse_idx

    return as_inputs(parse_idx(content, origin), origin)


def _without_targets(hint: str) -> Callable[[bytes, str, str | None], LabelledArrays]:
    def refuse(_content: bytes, origin: str, _separator: str | None) -> LabelledArrays:
        raise FormatError(f"{origin}: targets: are missing, the file holds inputs alone; {hint}")

    return refuse


def _text_format(usual: str | None) -> _Format:
    training, samples = _delimited(usual, strict=True), _delimited(usual, strict=False)
    return _Format(training, samples, _gunzip_text, takes_separator=True)


_IDX = _Format(
    _without_targets("name the directory of the four files of its set"), _idx_samples, _gunzip_idx
)
# By the end of the name, in lower case; where a format can be unpacked, ".gz" may follow.
_FORMATS = {
    ".csv": _text_format(None),
    ".tsv": _text_format("\t"),
    ".parquet": _Format(_parquet, _parquet),
    ".npz": _Format(_npz, _npz_samples),
    ".npy": _Format(_without_targets("save x and y with numpy.savez"), _npy_samples),
    ".idx": _IDX,
    "-ubyte": _IDX,
}


def _find_format(name: str) -> str | None:
    """The key of `_FORMATS` that a name ends in."""
    name = name.lower()
    packed = name.endswith(".gz")
    bare = name.removesuffix(".gz")
    for suffix, form in _FORMATS.items():
        if bare.endswith(suffix) and (form.gunzip or not packed):
            return suffix
    return None


# ---------------------------------------------------------------- sources


@dataclass(frozen=True)
class _File:
    """A file in memory, unpacked; `stem` is its name without suffixes, `origin` for messages."""

    name: str
    stem: str
    origin: str
    content: bytes
    format: _Format


def _open(path: str, separator: str | None) -> _File:
    if path == _STANDARD_INPUT:
        return _take_standard_input(separator)
    suffix = _find_format(path)
    if os.path.isdir(path):
        raise FormatError(f"{path}: must be a file, got a directory")
    if suffix is None:
        os.stat(path)  # that a file does not exist matters more than how it is called
        raise FormatError(f"{path}: file type: must be one of {', '.join(_FORMATS)}")
    form = _FORMATS[suffix]
    if not form.takes_separator:
        _refuse_separator(separator, path)
    content = read_regular_file(path)
    name = os.path.basename(path)
    if name.lower().endswith(".gz") and form.gunzip:
        content, name = form.gunzip(content, path), name[: -len(".gz")]
    return _File(name, name[: -len(suffix)] or "data", path, content, form)


def _take_standard_input(separator: str | None) -> _File:
    stream = getattr(sys.stdin, "buffer", None)
    content = stream.read() if stream is not None else b""
    origin = "standard input"
    if not content:
        raise FormatError(f"{origin}: is empty")
    if content.startswith(b"PAR1"):
        _refuse_separator(separator, origin)
        return _File(origin, "stdin", origin, content, _FORMATS[".parquet"])
    if content.startswith(b"\x1f\x8b"):
        content = _gunzip_text(content, origin)
    return _File(origin, "stdin", origin, content, _FORMATS[".csv"])


def _read_directory(path: str) -> RawData:
    from fastmlp.data.idx_files import is_idx_directory, read_idx_directory
    from fastmlp.data.images import read_image_directory

    digests: dict[str, str] = {}
    read_all = read_idx_directory if is_idx_directory(path) else read_image_directory
    arrays = read_all(path, digests)
    name = os.path.basename(os.path.abspath(path)) or "data"
    return _raw_data(name, arrays, digests, task="classification")


def _read_named(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    report: Callable[[str], None] | None,
) -> RawData:
    from fastmlp import datasets

    data = datasets.load(name, data_dir=data_dir, report=report)
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


def _raw_data(
    name: str, parsed: Table | LabelledArrays, digests: dict[str, str], *, task: str | None
) -> RawData:
    if isinstance(parsed, Table):
        return RawData(name, Part(parsed, None), None, None, None, None, task, digests)
    return RawData(
        name=name,
        train=Part(parsed.x, parsed.y),
        test=None if parsed.x_test is None else Part(parsed.x_test, parsed.y_test),
        class_names=parsed.class_names,
        feature_names=None,
        image_shape=parsed.image_shape,
        task=task,
        sha256=digests,
    )


def _refuse_separator(separator: str | None, source: str) -> None:
    if separator is not None:
        raise ValueError(
            f"separator must be left out, {source} is no text with fields, got {separator!r}"
        )
