"""Digests and decompression of files in memory.

All formats share one limit on the number of bytes that a compressed file may unpack to.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from fastmlp.errors import FormatError

__all__ = [
    "ALWAYS_ALLOWED_BYTES",
    "MOST_RATIO",
    "gunzip",
    "gunzip_blocks",
    "gunzip_exactly",
    "gunzip_start",
    "most_bytes_from",
    "most_deflated_in",
    "require_ratio",
    "sha256",
]

# Usual ratios of compression: 10 for text, 8 for the images of MNIST, 200 for a table of zeros.
# Files that were made to fill the memory reach 1000.
MOST_RATIO = 200
# Files that unpack to at most this may exceed the ratio, as labels of a single class do.
ALWAYS_ALLOWED_BYTES = 1 << 24

_MOST_DEFLATE_RATIO = 1032
_BLOCK_BYTES = 1 << 18


def sha256(content: bytes | memoryview) -> str:
    """Return the SHA-256 of `content` in hexadecimal digits."""
    import hashlib  # loads OpenSSL, which is slow and needed for files only

    return hashlib.sha256(content).hexdigest()


def gunzip(content: bytes, origin: str) -> bytes:
    """Decompress a gzip file that may hold any number of bytes within the limit.

    Parameters
    ----------
    content : bytes
        The whole file.
    origin : str
        Name of the file for messages.

    Raises
    ------
    FormatError
        The file is no gzip file, is damaged, or holds more than `most_bytes_from` allows.
    """
    return b"".join(gunzip_blocks(io.BytesIO(content), len(content), origin))


def gunzip_blocks(
    packed: BinaryIO, size: int, origin: str, block_bytes: int = _BLOCK_BYTES
) -> Iterator[bytes]:
    """Decompress a gzip file of `size` bytes block by block, within the limit of `gunzip`.

    Raises
    ------
    FormatError
        The errors of `gunzip`, when the blocks before have been yielded.
    """
    unpacked = 0
    with _unpacked(packed, origin) as stream:
        while block := stream.read(block_bytes):
            unpacked += len(block)
            require_ratio(origin, size, unpacked)
            yield block


def gunzip_exactly(content: bytes, size: int, origin: str) -> bytes:
    """Decompress a gzip file that must hold exactly `size` bytes.

    No more than ``size + 1`` bytes are ever produced, whatever the file claims.

    Raises
    ------
    FormatError
        The file is no gzip file, is damaged, or holds another number of bytes.
    """
    raw = gunzip_start(content, size + 1, origin)
    if len(raw) != size:
        amount = "more" if len(raw) > size else f"{len(raw)}"
        raise FormatError(f"{origin}: decompressed size: must be {size} bytes, got {amount}")
    return raw


def gunzip_start(content: bytes, most: int, origin: str) -> bytes:
    """Decompress the first `most` bytes of a gzip file, or all of them if it holds fewer.

    Raises
    ------
    FormatError
        The file is no gzip file or is damaged.
    """
    with _unpacked(io.BytesIO(content), origin) as stream:
        return stream.read(most)


@contextlib.contextmanager
def _unpacked(packed: BinaryIO, origin: str) -> Iterator[BinaryIO]:
    """Yield the decompressed bytes of a gzip file as a stream; its errors become FormatError."""
    import gzip  # slow to load, as is zlib, and needed for compressed files only
    import zlib

    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            yield stream  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{origin}: gzip data: {error}") from error


def most_deflated_in(packed: int) -> int:
    """Return the largest number of bytes that deflate can pack into `packed` bytes."""
    return _MOST_DEFLATE_RATIO * (packed + 1)


def most_bytes_from(packed: int) -> int:
    """Return the number of bytes that `packed` compressed bytes may unpack to."""
    return max(MOST_RATIO * packed, ALWAYS_ALLOWED_BYTES)


def require_ratio(origin: str, packed: int, unpacked: int) -> None:
    """Raise FormatError if `packed` compressed bytes must not unpack to `unpacked` bytes.

    Parameters
    ----------
    origin : str
        Name of the file for the message.
    packed, unpacked : int
        Number of bytes before and after decompression; `unpacked` may be a lower bound.

    Raises
    ------
    FormatError
        The ratio exceeds `MOST_RATIO`, and the size `ALWAYS_ALLOWED_BYTES`.
    """
    if unpacked > most_bytes_from(packed):
        raise FormatError(
            f"{origin}: decompressed size: is {unpacked / max(packed, 1):.0f} times that of the "
            f"file or more, at most {MOST_RATIO} times is allowed beyond "
            f"{ALWAYS_ALLOWED_BYTES >> 20} MiB; store it without compression if you trust it"
        )
