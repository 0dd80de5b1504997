"""Image sets of the MNIST family, verified byte by byte, from wherever they can be had.

>>> import fastmlp
>>> data = fastmlp.datasets.load("mnist")  # doctest: +SKIP
>>> data.x_train.shape  # doctest: +SKIP
(60000, 784)

Looked up in this order: `data_dir` or FASTMLP_DATA_DIR; the user's cache; copies that other tools
keep; mirrors; for MNIST a Python package. FASTMLP_OFFLINE=1 skips the last two.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.cache import VerifiedFile, cache_directory
from fastmlp.datasets.idx import parse_idx
from fastmlp.datasets.lookup import Found, read_cache, resolve
from fastmlp.datasets.registry import (
    REGISTRY,
    DatasetSpec,
    FileSpec,
    LocalCopy,
    Mirror,
    WheelSource,
    get_spec,
)
from fastmlp.errors import FormatError

__all__ = [
    "Dataset",
    "DatasetSpec",
    "FileSpec",
    "LocalCopy",
    "Mirror",
    "WheelSource",
    "available",
    "fetch",
    "get_spec",
    "load",
    "path",
]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    name : str
        Name of the set.
    x_train, x_test : ndarray of uint8, shape (samples, features)
        Pixels row by row, 0 to 255, as published. The arrays are the caller's to change.
    y_train, y_test : ndarray of int64, shape (samples,)
        Class of each sample, 0 to ``len(class_names) - 1``.
    class_names : tuple of str
        What the classes are called.
    sha256 : dict of str to str
        Digest of each decompressed file, by file name.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    class_names: tuple[str, ...]
    sha256: dict[str, str]

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, train={self.x_train.shape}, test={self.x_test.shape}, "
            f"classes={len(self.class_names)})"
        )


def available() -> tuple[str, ...]:
    """Names that `load` knows."""
    return tuple(REGISTRY)


def load(
    name: str | DatasetSpec,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    report: Callable[[str], None] | None = None,
) -> Dataset:
    """Load a data set, fetching it first if it is not on this machine yet.

    Parameters
    ----------
    name : str or DatasetSpec
        One of `available`, or the description of a set of one's own.
    data_dir : str or os.PathLike, optional
        Directory with the four IDX files, raw or .gz, ``-idx`` or ``.idx`` in the name; or with a
        folder of the set's name that holds them. FASTMLP_DATA_DIR stands in when None.
    report : callable, optional
        Called with one line of text for each source that is tried.

    Returns
    -------
    Dataset
        The set; every file has been checked against its published SHA-256.

    Raises
    ------
    ValueError
        There is no set of this name.
    FormatError
        `data_dir` holds a file of the set that is damaged.
    DataUnavailableError
        No source has the set; the message says what was tried and what to do.

    Warns
    -----
    UserWarning
        `data_dir` lacks the set, a damaged file in the cache is replaced, or the cache cannot be
        written.
    """
    spec = get_spec(name)
    return _assemble(spec, resolve(spec, data_dir, report))


def fetch(
    name: str | DatasetSpec,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Make sure that a set is on this machine and return the directory with its files.

    Parameters and errors are those of `load`; OSError is raised in addition if the cache cannot be
    written.
    """
    found = resolve(get_spec(name), data_dir, report)
    if found.directory is None:
        raise found.store_error or OSError("the cache cannot be written")
    return found.directory


def path(name: str | DatasetSpec) -> Path | None:
    """Directory of the cache with all files of a set, verified, or None. Fetches nothing."""
    spec = get_spec(name)
    directory = cache_directory(spec.name)
    found, _ = read_cache(spec, directory)
    return directory if len(found) == len(spec.files) else None


def _assemble(spec: DatasetSpec, found: Found) -> Dataset:
    arrays: dict[str, NDArray[Any]] = {}
    for file in spec.files:
        verified = found.files[file.role]
        values = parse_idx(verified.raw, verified.origin, file.shape)
        if file.role.startswith("x"):
            arrays[file.role] = values.reshape(len(values), -1).copy()  # copy: writable
        else:
            arrays[file.role] = values.astype(np.int64)
    for split in ("train", "test"):
        _check_split(
            spec, found.files[f"x_{split}"], arrays[f"x_{split}"], arrays[f"y_{split}"], split
        )
    return Dataset(
        name=spec.name,
        class_names=spec.class_names,
        sha256={file.name: found.files[file.role].sha256 for file in spec.files},
        **arrays,
    )


def _check_split(
    spec: DatasetSpec,
    images: VerifiedFile,
    x: NDArray[np.uint8],
    y: NDArray[np.int64],
    split: str,
) -> None:
    """Check what a set without published digests could still have wrong."""
    if len(x) != len(y):
        raise FormatError(
            f"{images.origin}: number of samples: {spec.name} has {len(x)} {split} images "
            f"and {len(y)} labels"
        )
    if y.ndim != 1 or y.max() >= len(spec.class_names):
        raise FormatError(
            f"{spec.name}: {split} labels must be below {len(spec.class_names)}, got {y.max()}"
        )
