"""IDX files of any size: one by one, and the four of a directory that is laid out like MNIST's."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._files import read_regular_file
from fastmlp.data.compression import require_ratio
from fastmlp.data.labelled import LabelledArrays, labelled
from fastmlp.datasets.idx import gunzip, parse_idx
from fastmlp.errors import FormatError

__all__ = ["IDX_NAMES", "gunzip_idx", "is_idx_directory", "read_idx_directory"]

# By the arrays that they hold.  Each may end in .gz, and the second dot that some archives use
# (train-images.idx3-ubyte) is accepted too.
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

_ITEM_BYTES = {0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}
_MOST_SIZES = 8
# Deflate makes data at most 1032 times smaller; the rest is for the header.
_MOST_DEFLATE_RATIO = 1032


def is_idx_directory(directory: str) -> bool:
    """Whether any of the four files is there."""
    return any(_find(directory, name) for name in IDX_NAMES.values())


def read_idx_directory(directory: str, digests: dict[str, str]) -> LabelledArrays:
    """Read the four files of a directory.

    Parameters
    ----------
    directory : str
    digests : dict of str to str
        Receives the SHA-256 of each file, decompressed, by its name without ``.gz``.

    Raises
    ------
    FormatError
        A file is missing, damaged or does not fit the others.
    OSError
        A file cannot be read.
    """
    arrays = {role: _read(directory, name, digests) for role, name in IDX_NAMES.items()}
    for role in ("y_train", "y_test"):
        labels = arrays[role]
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise FormatError(
                f"{directory}: {IDX_NAMES[role]}: labels must be a list of integers, "
                f"got {labels.ndim} dimensions of {labels.dtype.name}"
            )
    return labelled(arrays, directory)


def gunzip_idx(content: bytes, origin: str) -> bytes:
    """Decompress an IDX file of unknown size without letting a gzip bomb fill the memory.

    Raises
    ------
    FormatError
        It is no gzip file, is damaged, or does not hold what the IDX header inside announces.
    """
    import gzip
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            head = stream.read(4 + 4 * _MOST_SIZES)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{origin}: gzip data: {error}") from error
    dimensions = head[3] if len(head) > 3 else 0
    start = 4 + 4 * dimensions
    if head[:2] != b"\0\0" or not 1 <= dimensions <= _MOST_SIZES or len(head) < start:
        parse_idx(head, origin)  # says what is wrong
    # The header says how many bytes must follow; what deflate can do bounds an honest one.
    shape = np.frombuffer(head, ">u4", dimensions, offset=4).tolist()
    values = math.prod(shape) * _ITEM_BYTES.get(head[2], 1)
    if values > _MOST_DEFLATE_RATIO * (len(content) + 1):
        raise FormatError(f"{origin}: sizes: {tuple(shape)} cannot come from {len(content)} bytes")
    require_ratio(origin, len(content), start + values)
    return gunzip(content, start + values, origin)


def _find(directory: str, name: str) -> str | None:
    for candidate in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = os.path.join(directory, candidate + suffix)
            if os.path.exists(path):
                return path
    return None


def _read(directory: str, name: str, digests: dict[str, str]) -> NDArray[Any]:
    import hashlib

    path = _find(directory, name)
    if path is None:
        raise FormatError(f"{directory}: must hold {name} or {name}.gz")
    content = read_regular_file(path)
    if path.endswith(".gz"):
        content = gunzip_idx(content, path)
    digests[name] = hashlib.sha256(content).hexdigest()
    return parse_idx(content, path)
