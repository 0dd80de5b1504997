"""NumPy's files: .npy with one array, .npz with several in a zip archive.

Reference: NumPy Enhancement Proposal 1, versions 1.0 to 3.0 of the format. Nothing is evaluated or
unpickled. The sizes that a file declares are compared with its own size before memory is taken.

An .npy file is mapped into memory, so that only the copy that `arrays` makes takes memory. Its
header is parsed here and not by `numpy.load`, which evaluates it as a Python literal: nested
brackets make that raise MemoryError, old files make it warn, and it accepts negative sizes and
bytes after the values. The arrays of an .npz file are not mapped: their checksums in the archive
are compared, for which all bytes must be read, and most are compressed.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._bytes import most_deflated_in, require_ratio
from fastmlp._files import open_regular_file
from fastmlp.errors import FormatError

__all__ = ["map_npy", "parse_npy", "parse_npz"]

_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 10_000
_MOST_DIMENSIONS = 32
_TYPE = re.compile(r"[<>|=]?(\?|[biufSU][0-9]{1,9})")
_SIZE = re.compile("(0|[1-9][0-9]{0,18})L?")  # Python 2 wrote L after long integers
_ENTRY = re.compile(
    r"""\s*(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)\s*:\s*"""
    r"""(?:(?P<mark>['"])(?P<text>[^'"]*)(?P=mark)|(?P<flag>True|False)|"""
    r"""\((?P<sizes>[0-9L,\s]*)\))\s*(?:,|$)\s*"""
)
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Any
    start: int

    @property
    def file_bytes(self) -> int:
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def parse_npy(content: bytes, origin: str) -> NDArray[Any]:
    """Read the array of an .npy file from its bytes.

    Parameters
    ----------
    content : bytes
        The whole file.
    origin : str
        Name of the file for messages.

    Returns
    -------
    ndarray
        Read-only view of `content`, numbers or text, in the byte order of the file.

    Raises
    ------
    FormatError
        The file is no .npy file, or holds objects, records, complex numbers or times, or no
        values; or its size contradicts its header.
    """
    header = _read_header(content[: 12 + _MOST_HEADER_BYTES], origin)
    _require_size(header, len(content), origin)
    values = np.frombuffer(content, header.dtype, math.prod(header.shape), header.start)
    return values.reshape(header.shape, order=header.order)


def map_npy(path: str) -> NDArray[Any]:
    """Map the array of an .npy file into memory; results and errors of `parse_npy`."""
    with open_regular_file(path) as (stream, size):
        header = _read_header(stream.read(12 + _MOST_HEADER_BYTES), path)
        _require_size(header, size, path)
        return np.memmap(stream, header.dtype, "r", header.start, header.shape, header.order)


def parse_npz(content: bytes, origin: str, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read arrays of an .npz file from its bytes.

    Parameters
    ----------
    content : bytes
        The whole file.
    origin : str
        Name of the file for messages.
    names : tuple of str
        Names, in lower case, of the arrays to read if they exist. X in the file stands for x.

    Returns
    -------
    dict of str to ndarray
        Arrays as `parse_npy` returns them, in the order of `names`.

    Raises
    ------
    FormatError
        The file is no .npz file, has none of the arrays, or two of one name; or an array is
        damaged, cannot be used, or claims a size that its bytes cannot have.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _find_members(archive, origin, names)
            stored = sum(member.compress_size for member in members.values())
            if stored > len(content):
                raise FormatError(f"{origin}: zip: its members overlap")
            return {
                name: _read_member(archive, members[name], f"{origin}: {name}")
                for name in names
                if name in members
            }
    except FormatError:
        raise
    except _ZIP_ERRORS as error:
        raise FormatError(f"{origin}: zip: {error}") from error


def _find_members(
    archive: zipfile.ZipFile, origin: str, names: tuple[str, ...]
) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy").lower()
        if name not in names:
            continue
        if name in members:
            raise FormatError(f"{origin}: {name}: occurs twice, the names must differ")
        members[name] = info
    if not members:
        found = ", ".join(repr(info.filename) for info in archive.infolist()[:8]) or "nothing"
        raise FormatError(f"{origin}: must hold an array named {names[0]}, got {found}")
    return members


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, origin: str) -> NDArray[Any]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FormatError(f"{origin}: must be stored or deflated, got method {info.compress_type}")
    with archive.open(info) as member:
        header = _read_header(member.read(12 + _MOST_HEADER_BYTES), origin)
    _require_size(header, info.file_size, origin)
    if header.file_bytes > most_deflated_in(info.compress_size):
        raise FormatError(
            f"{origin}: shape: {header.shape} of {header.dtype} cannot come from "
            f"{info.compress_size} bytes"
        )
    require_ratio(origin, info.compress_size, info.file_size)
    return parse_npy(archive.read(info), origin)


def _read_header(head: bytes, origin: str) -> _Header:
    if not head.startswith(_MAGIC) or len(head) < 12:
        raise FormatError(f"{origin}: magic: is {head[:6]!r}, this is not an .npy file")
    version = head[6], head[7]
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise FormatError(f"{origin}: version: {version[0]}.{version[1]} is unknown")
    start = 10 if version == (1, 0) else 12
    length = int.from_bytes(head[8:start], "little")
    if length > _MOST_HEADER_BYTES:
        raise FormatError(
            f"{origin}: header: has {length} bytes, at most {_MOST_HEADER_BYTES} are allowed"
        )
    if len(head) < start + length:
        raise FormatError(f"{origin}: header: is truncated")
    text = head[start : start + length]
    if re.fullmatch(rb"[ -~\t\n\r]*", text) is None:
        raise FormatError(f"{origin}: header: is not ASCII text")
    entries = _parse_header(text.decode("ascii").strip(), origin)
    dtype = _parse_type(entries["descr"], origin)
    shape = _parse_shape(entries["shape"], origin)
    order = "F" if entries["fortran_order"] == "True" else "C"
    return _Header(dtype, shape, order, start + length)


def _parse_header(text: str, origin: str) -> dict[str, str]:
    """Parse a literal such as ``{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}``."""
    if "[(" in text or "[[" in text:
        raise FormatError(f"{origin}: descr: must be one plain type, got a structured one")
    entries: dict[str, str] = {}
    kinds = {"descr": "text", "fortran_order": "flag", "shape": "sizes"}
    start, end = 1, len(text) - 1
    while start < end and (entry := _ENTRY.match(text, start, end)):
        key = entry["key"]
        if key in entries or entry[kinds[key]] is None:
            break
        entries[key] = entry[kinds[key]]
        start = entry.end()
    if text[:1] != "{" or text[-1:] != "}" or start != end or len(entries) != len(kinds):
        raise FormatError(
            f"{origin}: header: must give descr, fortran_order and shape, got {text[:80]!r}"
        )
    return entries


def _parse_shape(sizes: str, origin: str) -> tuple[int, ...]:
    parts = [part.strip() for part in sizes.strip().removesuffix(",").split(",")]
    if parts == [""]:
        return ()
    if not all(_SIZE.fullmatch(part) for part in parts) or len(parts) > _MOST_DIMENSIONS:
        raise FormatError(
            f"{origin}: shape: must be up to {_MOST_DIMENSIONS} integers, got ({sizes[:40]})"
        )
    return tuple(int(part.rstrip("L")) for part in parts)


def _parse_type(descr: str, origin: str) -> np.dtype[Any]:
    if descr.lstrip("<>|=").startswith("O"):
        raise FormatError(f"{origin}: descr: arrays of Python objects are refused")
    if not _TYPE.fullmatch(descr):
        raise FormatError(f"{origin}: descr: must be real numbers or text, got {descr[:40]!r}")
    try:
        dtype = np.dtype(descr)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{origin}: descr: {descr!r} is no type of NumPy") from error
    if dtype.itemsize == 0:
        raise FormatError(f"{origin}: descr: must have a size, got {descr!r}")
    return dtype


def _require_size(header: _Header, size: int, origin: str) -> None:
    if 0 in header.shape:
        raise FormatError(f"{origin}: shape: {header.shape} holds no values")
    if size != header.file_bytes:
        kind = "truncated" if size < header.file_bytes else "trailing bytes"
        raise FormatError(
            f"{origin}: file size: shape {header.shape} of {header.dtype} needs "
            f"{header.file_bytes} bytes, the file has {size}: {kind}"
        )
