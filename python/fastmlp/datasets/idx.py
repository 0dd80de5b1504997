"""The IDX format of the MNIST family, and sets that are published as four IDX files.

Reference: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits". Bytes 0
and 1 are zero, byte 2 is the type code, byte 3 the number of dimensions, each a 32-bit big-endian
size; the values follow.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._bytes import gunzip_exactly, gunzip_start, most_deflated_in, require_ratio, sha256
from fastmlp._files import read_regular_file
from fastmlp.datasets.dataset import Dataset, dataset_of_files
from fastmlp.datasets.registry import IDX_NAMES, REGISTRY, DatasetSpec, FileSpec
from fastmlp.errors import FormatError

__all__ = [
    "VerifiedFile",
    "build_idx",
    "decode_files",
    "gunzip_idx",
    "idx_candidates",
    "is_idx_directory",
    "parse_idx",
    "read_idx_directory",
    "read_idx_file",
    "verify_idx_file",
]

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_DIMENSIONS = 8


def parse_idx(content: bytes, origin: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Read an IDX file from its bytes.

    Parameters
    ----------
    content : bytes
        The whole, decompressed file.
    origin : str
        Name of the file for messages.
    shape : tuple of int, optional
        The shape that the file must have; its values must then be unsigned bytes.

    Returns
    -------
    ndarray
        Read-only view of `content`, big-endian as stored.

    Raises
    ------
    FormatError
        The magic number, the type code or the sizes are wrong, or the file has another shape or
        type than required.
    """
    if len(content) < 4:
        raise FormatError(f"{origin}: magic: needs 4 bytes, the file has {len(content)}")
    if content[:2] == b"\x1f\x8b":
        raise FormatError(f"{origin}: magic: is gzip-compressed; its name must end in .gz")
    if content[:2] != b"\0\0":
        raise FormatError(f"{origin}: magic: is {content[:4].hex()}, this is not an IDX file")
    code, dimensions = content[2], content[3]
    if code not in _DTYPES:
        raise FormatError(f"{origin}: type code: 0x{code:02x} is none of the IDX types")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise FormatError(f"{origin}: dimensions: must be 1 to {_MAX_DIMENSIONS}, got {dimensions}")
    if shape is not None and dimensions != len(shape):
        raise FormatError(
            f"{origin}: dimensions: must be {len(shape)}{_meaning(len(shape))}, "
            f"got {dimensions}{_meaning(dimensions)}"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise FormatError(f"{origin}: sizes: the header needs {start} bytes, the file ends before")
    sizes = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    if 0 in sizes:
        raise FormatError(f"{origin}: sizes: {sizes} hold no values")
    dtype = _DTYPES[code]
    expected = start + math.prod(sizes) * dtype.itemsize  # exact: Python integers do not overflow
    if len(content) != expected:
        kind = "truncated" if len(content) < expected else "trailing bytes"
        raise FormatError(
            f"{origin}: file size: sizes {sizes} need {expected} bytes, "
            f"the file has {len(content)}: {kind}"
        )
    if shape is not None and (sizes != shape or code != 0x08):
        raise FormatError(
            f"{origin}: sizes: must be {shape} of unsigned bytes, got {sizes} of type 0x{code:02x}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(sizes)


def build_idx(values: NDArray[np.uint8]) -> bytes:
    """Write an array of unsigned bytes, at most `_MAX_DIMENSIONS` dimensions, as an IDX file."""
    if values.dtype != np.uint8 or not 1 <= values.ndim <= _MAX_DIMENSIONS:
        raise ValueError(f"values must be a uint8 array, got {values.dtype}, {values.ndim}-d")
    sizes = np.array(values.shape, dtype=">u4").tobytes()
    return bytes((0, 0, 0x08, values.ndim)) + sizes + values.tobytes()


def gunzip_idx(content: bytes, origin: str) -> bytes:
    """Decompress an IDX file to the size that its header declares.

    Raises
    ------
    FormatError
        The file is no gzip file, is damaged, or its size contradicts the IDX header.
    """
    head = gunzip_start(content, 4 + 4 * _MAX_DIMENSIONS, origin)
    dimensions = head[3] if len(head) > 3 else 0
    start = 4 + 4 * dimensions
    if head[:2] != b"\0\0" or not 1 <= dimensions <= _MAX_DIMENSIONS or len(head) < start:
        parse_idx(head, origin)  # raises and says what is wrong
    sizes = tuple(np.frombuffer(head, ">u4", dimensions, offset=4).tolist())
    values = math.prod(sizes) * (_DTYPES[head[2]].itemsize if head[2] in _DTYPES else 1)
    if values > most_deflated_in(len(content)):
        raise FormatError(f"{origin}: sizes: {sizes} cannot come from {len(content)} bytes")
    require_ratio(origin, len(content), start + values)
    return gunzip_exactly(content, start + values, origin)


def _meaning(dimensions: int) -> str:
    return {1: " (labels)", 3: " (images)"}.get(dimensions, "")


# ---------------------------------------------------------------- four files of any size


def idx_candidates(name: str) -> tuple[str, ...]:
    """Return the accepted names of the file `name`: with ``-idx`` or ``.idx``, raw or ``.gz``."""
    names = dict.fromkeys((name, name.replace("-idx", ".idx")))
    return (*names, *(f"{name}.gz" for name in names))


def is_idx_directory(directory: str) -> bool:
    """Return whether a directory has any of the four files of a set like MNIST."""
    return any(_find(directory, name) for name in IDX_NAMES.values())


def read_idx_directory(directory: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read the four files of a set like MNIST from a directory.

    Returns
    -------
    arrays : dict of str to ndarray
        x_train, y_train, x_test and y_test as stored; labels are integers of shape (samples,).
    digests : dict of str to str
        SHA-256 of each decompressed file, by its name without ``.gz``.

    Raises
    ------
    FormatError
        A file is missing or damaged, or labels are not integers of shape (samples,).
    OSError
        A file cannot be read.
    """
    arrays: dict[str, NDArray[Any]] = {}
    digests: dict[str, str] = {}
    for role, name in IDX_NAMES.items():
        path = _find(directory, name)
        if path is None:
            raise FormatError(f"{directory}: must hold {name} or {name}.gz")
        content = read_regular_file(path)
        if path.endswith(".gz"):
            content = gunzip_idx(content, path)
        digests[name] = sha256(content)
        arrays[role] = parse_idx(content, path)
    for role in ("y_train", "y_test"):
        labels = arrays[role]
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise FormatError(
                f"{directory}: {IDX_NAMES[role]}: labels must be a list of integers, "
                f"got {labels.ndim} dimensions of {labels.dtype.name}"
            )
    return arrays, digests


def _find(directory: str, name: str) -> str | None:
    paths = (os.path.join(directory, candidate) for candidate in idx_candidates(name))
    return next(filter(os.path.exists, paths), None)


# ---------------------------------------------------------------- published files


@dataclass(frozen=True)
class VerifiedFile:
    """A verified IDX file of a published set, in memory.

    `gz` is the compressed file, None if it was read decompressed; `sha256` is the digest of `raw`.
    """

    file: FileSpec
    raw: bytes = field(repr=False)
    gz: bytes | None = field(repr=False)
    sha256: str
    origin: str


def read_idx_file(directory: str | os.PathLike[str], file: FileSpec, *, own: bool) -> VerifiedFile:
    """Read and verify one IDX file of a set; see `cache.read_file`."""
    problem: Exception | None = None
    for name in idx_candidates(file.name):
        path = os.path.join(directory, name)
        compressed = name.endswith(".gz")
        if not own and not compressed and file.sha256 is None:
            continue
        try:
            content = read_regular_file(path, file.max_gz_bytes if compressed else file.raw_bytes)
            return verify_idx_file(file, content, path, compressed=compressed, own=own)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (FormatError, OSError) as error:
            if own:
                raise
            problem = problem or error
    raise problem or FileNotFoundError(errno.ENOENT, f"no {file.name} in", os.fspath(directory))


def verify_idx_file(
    file: FileSpec, content: bytes, origin: str, *, compressed: bool, own: bool = False
) -> VerifiedFile:
    """Compare the content of a file with its `FileSpec`; for `own` see `cache.read_file`.

    Raises
    ------
    FormatError
        The content is not that file. The message begins with `origin`.
    """
    gz = content if compressed else None
    gz_known = gz is not None and file.gz_sha256 is not None
    gz_right = gz_known and gz is not None and sha256(gz) == file.gz_sha256
    if file.sha256 is None and gz_known and not gz_right and not own:
        raise FormatError(f"{origin}: sha256: the compressed file is not the published one")
    raw = gunzip_exactly(gz, file.raw_bytes, origin) if gz is not None else content
    parse_idx(raw, origin, file.shape)  # its errors say more than a wrong digest
    digest = sha256(raw)
    if file.sha256 is not None and digest != file.sha256:
        other = _owner_of(digest)
        hint = f"; this is {other}" if other else ""
        raise FormatError(f"{origin}: sha256: must be {file.sha256}, got {digest}{hint}")
    if file.sha256 is None and not gz_right and not own:
        raise FormatError(f"{origin}: sha256: unknown for this file, it cannot be verified")
    return VerifiedFile(file, raw, gz, digest, origin)


def _owner_of(digest: str) -> str | None:
    """Return the registered file with this digest, if any: the user may have confused files."""
    return next(
        (
            f"{file.name} of {spec.name}"
            for spec in REGISTRY.values()
            if isinstance(spec, DatasetSpec)
            for file in spec.files
            if file.sha256 == digest
        ),
        None,
    )


def decode_files(spec: DatasetSpec, files: Iterable[VerifiedFile]) -> Dataset:
    """Convert the four files of a set to the arrays of a `Dataset`.

    Raises
    ------
    FormatError
        Images and labels do not match, which is possible in a set without published digests.
    """
    arrays: dict[str, NDArray[Any]] = {}
    origins: dict[str, str] = {}
    digests: dict[str, str] = {}
    for verified in files:
        role = verified.file.role
        values = parse_idx(verified.raw, verified.origin, verified.file.shape)
        if role.startswith("x"):
            arrays[role] = values.reshape(len(values), -1).copy()  # the caller may write into it
        else:
            arrays[role] = values.astype(np.int64)
        origins[role], digests[verified.file.name] = verified.origin, verified.sha256
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        _check_split(spec, origins[f"x_{split}"], x, y, split)
    return dataset_of_files(spec, arrays, {file.name: digests[file.name] for file in spec.files})


def _check_split(
    spec: DatasetSpec, origin: str, x: NDArray[np.uint8], y: NDArray[np.int64], split: str
) -> None:
    """Raise FormatError if sizes differ or a label is not a class."""
    if len(x) != len(y):
        raise FormatError(
            f"{origin}: number of samples: {spec.name} has {len(x)} {split} images "
            f"and {len(y)} labels"
        )
    if y.ndim != 1 or y.max() >= len(spec.class_names):
        raise FormatError(
            f"{spec.name}: {split} labels must be below {len(spec.class_names)}, got {y.max()}"
        )
