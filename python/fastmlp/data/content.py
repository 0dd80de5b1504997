"""Bytes of a source, which can be read block by block, and from the start again.

A file is not loaded as a whole. The digest is that of the first complete reading.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator

from fastmlp._bytes import gunzip_blocks
from fastmlp._files import open_regular_file, read_regular_file
from fastmlp.errors import FormatError

__all__ = ["BLOCK_BYTES", "GZIP_MAGIC", "Content"]

BLOCK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"


class Content:
    """Bytes of a regular file or in memory, unpacked where they are packed.

    Parameters
    ----------
    origin : str
        Name of the source, for messages.
    path : str, optional
        The file.
    data : bytes, optional
        The bytes, where there is no file.
    packed : bool
        Whether the bytes are those of a gzip file.
    """

    def __init__(
        self,
        origin: str,
        *,
        path: str | None = None,
        data: bytes | None = None,
        packed: bool = False,
    ) -> None:
        self.origin = origin
        self.path = path
        self.packed = packed
        self._data = data
        self._digest: str | None = None

    def blocks(self, size: int | None = None) -> Iterator[bytes]:
        """Yield the unpacked bytes from the start, in blocks.

        Raises
        ------
        FormatError
            The file is no regular file, is damaged, unpacks to more than `most_bytes_from` allows,
            or changes while it is read.
        """
        size = size or BLOCK_BYTES
        if self._digest is not None:
            yield from self._unpacked_blocks(size)
            return
        state = hashlib.sha256()
        for block in self._unpacked_blocks(size):
            state.update(block)
            yield block
        self._digest = state.hexdigest()

    def digest(self) -> str:
        """Return the SHA-256 of the unpacked bytes, which are read if they were not before."""
        if self._digest is None:
            for _ in self.blocks():
                pass
        assert self._digest is not None
        return self._digest

    def head(self, size: int) -> bytes:
        """Return the first bytes, unpacked."""
        for block in self._unpacked_blocks(size):
            return block
        return b""

    def raw(self) -> bytes:
        """Return all bytes as they are stored, packed or not."""
        return read_regular_file(self.path) if self.path is not None else self._data or b""

    def _unpacked_blocks(self, size: int) -> Iterator[bytes]:
        if self.path is None:
            data = self._data or b""
            if self.packed:
                yield from gunzip_blocks(io.BytesIO(data), len(data), self.origin, size)
            else:
                yield from (data[start : start + size] for start in range(0, len(data), size))
            return
        with open_regular_file(self.path) as (stream, total):
            if self.packed and total:
                yield from gunzip_blocks(stream, total, self.origin, size)
                return
            read = 0
            while read < total and (block := stream.read(min(size, total - read))):
                read += len(block)
                yield block
            if read != total or os.fstat(stream.fileno()).st_size != total:
                raise FormatError(f"{self.origin}: file size changed while it was read")
