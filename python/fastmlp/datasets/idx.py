"""The IDX format of the MNIST family: big-endian magic, sizes, then the values.

Reference: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits". Bytes 0
and 1 are zero, byte 2 is the type code, byte 3 the number of dimensions, each a 32-bit size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.errors import FormatError

__all__ = ["build_idx", "gunzip", "parse_idx"]

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
    """Read an IDX file that lies in memory.

    Parameters
    ----------
    content : bytes
        The whole, decompressed file.
    origin : str
        Name for messages.
    shape : tuple of int, optional
        The shape that the file must have; its values must then be unsigned bytes.

    Returns
    -------
    ndarray
        Read-only view of `content`, values big-endian as stored.

    Raises
    ------
    FormatError
        Wrong magic, unknown type code, sizes that do not match the file, trailing bytes, or
        another shape or type than wanted.
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


def gunzip(content: bytes, size: int, origin: str) -> bytes:
    """Decompress a gzip file that must hold exactly `size` bytes.

    No more than `size` + 1 bytes are ever produced, whatever the file claims.

    Raises
    ------
    FormatError
        The file is no gzip file, is damaged, or holds another number of bytes.
    """
    import gzip
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            raw = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{origin}: gzip data: {error}") from error
    if len(raw) != size:
        amount = "more" if len(raw) > size else f"{len(raw)}"
        raise FormatError(f"{origin}: decompressed size: must be {size} bytes, got {amount}")
    return raw


def _meaning(dimensions: int) -> str:
    return {1: " (labels)", 3: " (images)"}.get(dimensions, "")
