"""Bytes of a file in memory: their digest, and decompression within limits.

One limit holds for every format: how many bytes may come out of a compressed file of a given size.
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
    "gunzip_exactly",
    "gunzip_start",
    "most_bytes_from",
    "most_deflated_in",
    "require_ratio",
    "sha256",
]

# Text shrinks to a tenth, the images of MNIST to an eighth, a table of zeros to a two-hundredth, a
# file made to fill the memory to a thousandth.
MOST_RATIO = 200
# Small files, such as labels of a single class, may shrink further: they do no harm.
ALWAYS_ALLOWED_BYTES = 1 << 24

_MOST_DEFLATE_RATIO = 1032
_BLOCK_BYTES = 1 << 18


def sha256(content: bytes | memoryview) -> str:
    """SHA-256 of `content` in hexadecimal digits."""
    import hashlib  # loads OpenSSL: only those who open files wait for it

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
    raw = bytearray()
    with _unpacked(content, origin) as stream:
        while block := stream.read(_BLOCK_BYTES):
            raw += block
            require_ratio(origin, len(content), len(raw))
    return bytes(raw)


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
    """Decompress the first `most` bytes of a gzip file, or all where it holds fewer.

    Raises
    ------
    FormatError
        The file is no gzip file or is damaged.
    """
    with _unpacked(content, origin) as stream:
        return stream.read(most)


@contextlib.contextmanager
def _unpacked(content: bytes, origin: str) -> Iterator[BinaryIO]:
    """What a gzip file holds as a stream, whose errors become FormatError."""
    import gzip  # with zlib: only those who open compressed files wait for them
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            yield stream  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{origin}: gzip data: {error}") from error


def most_deflated_in(packed: int) -> int:
    """Bytes that deflate can pack into `packed` bytes at the very most, a header included."""
    return _MOST_DEFLATE_RATIO * (packed + 1)


def most_bytes_from(packed: int) -> int:
    """Bytes that may come out of `packed` compressed bytes."""
    return max(MOST_RATIO * packed, ALWAYS_ALLOWED_BYTES)


def require_ratio(origin: str, packed: int, unpacked: int) -> None:
    """Raise unless `unpacked` bytes may come out of `packed` compressed bytes.

    Parameters
    ----------
    origin : str
        Name of the file for the message.
    packed, unpacked : int
        Bytes before and after decompression; `unpacked` may be a lower bound.

    Raises
    ------
    FormatError
        The bytes grow by more than `MOST_RATIO`, to more than `ALWAYS_ALLOWED_BYTES`.
    """
    if unpacked > most_bytes_from(packed):
        raise FormatError(
            f"{origin}: decompressed size: is {unpacked / max(packed, 1):.0f} times that of the "
            f"file or more, at most {MOST_RATIO} times is allowed beyond "
            f"{ALWAYS_ALLOWED_BYTES >> 20} MiB; store it without compression if it is to be trusted"
        )
