"""Image archives in the form of CIFAR-10's binary version: reading, verifying and decoding.

A record is the label, one byte, then the red, the green and the blue plane, each row by row.
Reference: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and
https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".

Nothing is extracted to disk: members are read into memory by their known names, and an archive
with links, devices or paths that lead out of it is refused.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._bytes import sha256
from fastmlp._files import read_regular_file
from fastmlp.datasets.dataset import Dataset, dataset_of_files
from fastmlp.datasets.registry import ArchiveSpec, DatasetSpec, MemberSpec
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

__all__ = [
    "ExtractedArchive",
    "PackedArchive",
    "archive_candidates",
    "decode_archive",
    "read_archive",
    "verify_archive",
]

# Headers, padding, names and small text files beside the images.
_OVERHEAD_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class PackedArchive:
    """A verified archive as published. `content` is the whole .tar.gz file."""

    file: ArchiveSpec
    content: bytes = field(repr=False)
    sha256: str
    origin: str

    def members(self) -> Iterator[tuple[MemberSpec, bytes]]:
        """Yield the members and their records, in the archive's order.

        Raises
        ------
        FormatError
            The archive is damaged, hostile, or lacks a member.
        """
        return _unpack(self.content, self.file, self.origin)


@dataclass(frozen=True)
class ExtractedArchive:
    """The verified members of an archive that another tool extracted into directory `origin`."""

    file: ArchiveSpec
    contents: tuple[bytes, ...] = field(repr=False)
    origin: str

    def members(self) -> Iterator[tuple[MemberSpec, bytes]]:
        """Yield the members and their records."""
        return zip(self.file.members, self.contents, strict=True)


def archive_candidates(file: ArchiveSpec) -> tuple[str, ...]:
    """Return paths in a directory, any of which shows that it holds the archive or its members."""
    extracted = [member.name for member in file.members]
    return (file.name, *(os.path.join(file.folder, name) for name in extracted), *extracted)


def read_archive(
    directory: str | os.PathLike[str], file: ArchiveSpec, *, own: bool
) -> PackedArchive | ExtractedArchive:
    """Read and verify an archive, or its extracted members, in a directory.

    Parameters
    ----------
    directory : str or os.PathLike
        Directory to search for the archive, its folder, and the members themselves.
    file : ArchiveSpec
        Archive to find.
    own : bool
        Whether the user named this directory. If so, the first form that exists must be valid, and
        members without published digests are accepted if their sizes are right.

    Raises
    ------
    FileNotFoundError
        The directory has neither the archive nor any of its members.
    FormatError
        The archive or its members are damaged or incomplete.
    OSError
        A file cannot be read.
    """
    problem: Exception | None = None
    path = os.path.join(directory, file.name)
    try:
        return verify_archive(file, read_regular_file(path, file.size), path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (FormatError, OSError) as error:
        if own:
            raise
        problem = error
    for folder in (os.path.join(directory, file.folder), os.fspath(directory)):
        if not any(os.path.exists(os.path.join(folder, member.name)) for member in file.members):
            continue
        try:
            contents = tuple(_read_member(folder, file, member, own) for member in file.members)
            return ExtractedArchive(file, contents, folder)
        except (FormatError, OSError) as error:
            if own:
                raise
            problem = problem or error
    raise problem or FileNotFoundError(errno.ENOENT, f"no {file.name} in", os.fspath(directory))


def verify_archive(file: ArchiveSpec, content: bytes, origin: str) -> PackedArchive:
    """Compare the content of an archive with its digest.

    Raises
    ------
    FormatError
        The content is not that archive. The message begins with `origin`.
    """
    digest = sha256(content)
    if digest != file.sha256:
        raise FormatError(
            f"{origin}: sha256: must be {file.sha256}, got {digest} ({len(content)} of {file.size} "
            f"bytes); if it was packed anew, extract it: {file.folder} is accepted as well"
        )
    return PackedArchive(file, content, digest, origin)


def decode_archive(spec: DatasetSpec, archive: PackedArchive | ExtractedArchive) -> Dataset:
    """Convert the records to the arrays of a `Dataset`, with pixels by height, width, channel.

    Raises
    ------
    FormatError
        The archive cannot be unpacked, or a label is not a class of the set.
    """
    file = archive.file
    height, width, channels = file.image_shape
    arrays: dict[str, NDArray[Any]] = {}
    for part in ("train", "test"):
        arrays[f"x_{part}"] = np.empty((file.samples(part), file.pixels), np.uint8)
        arrays[f"y_{part}"] = np.empty(file.samples(part), np.int64)
    rows = _rows_of_members(file)
    digests = {}
    for member, content in archive.members():
        records = np.frombuffer(content, np.uint8).reshape(member.samples, 1 + file.pixels)
        _check_labels(records[:, 0], len(spec.class_names), f"{archive.origin}: {member.name}")
        arrays[f"y_{member.part}"][rows[member.name]] = records[:, 0]
        planes = records[:, 1:].reshape(-1, channels, height, width)
        x = arrays[f"x_{member.part}"][rows[member.name]]
        x.reshape(-1, height, width, channels)[...] = planes.transpose(0, 2, 3, 1)
        digests[member.name] = sha256(content)
    return dataset_of_files(spec, arrays, {m.name: digests[m.name] for m in file.members})


def _rows_of_members(file: ArchiveSpec) -> dict[str, slice]:
    ends = {"train": 0, "test": 0}
    rows = {}
    for member in file.members:
        start = ends[member.part]
        ends[member.part] = start + member.samples
        rows[member.name] = slice(start, ends[member.part])
    return rows


def _check_labels(labels: NDArray[np.uint8], classes: int, origin: str) -> None:
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        raise FormatError(
            f"{origin}: label of record {wrong[0]}: must be below {classes}, got {labels[wrong[0]]}"
        )


def _read_member(folder: str, file: ArchiveSpec, member: MemberSpec, own: bool) -> bytes:
    path = os.path.join(folder, member.name)
    size = file.member_bytes(member)
    try:
        content = read_regular_file(path, size)
    except FileNotFoundError:
        raise FormatError(f"{folder}: lacks {member.name}, but has others of {file.name}") from None
    if len(content) != size:
        raise FormatError(f"{path}: file size: must be {size} bytes, got {len(content)}: truncated")
    if member.sha256 is not None:
        digest = sha256(content)
        if digest != member.sha256:
            raise FormatError(f"{path}: sha256: must be {member.sha256}, got {digest}")
    elif not own:
        raise FormatError(f"{path}: sha256: unknown for this file, it cannot be verified")
    return content


def _unpack(content: bytes, file: ArchiveSpec, origin: str) -> Iterator[tuple[MemberSpec, bytes]]:
    import gzip  # slow to load, as are tarfile and zlib, and needed for archives only
    import tarfile
    import zlib

    limit = sum(map(file.member_bytes, file.members)) + _OVERHEAD_BYTES
    missing = {member.name for member in file.members}
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as unzipped:
            stream = _LimitedReader(unzipped, limit, origin)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member, records in _members_of_tar(archive, file, origin):
                    missing.remove(member.name)
                    yield member, records
            while stream.read(_CHUNK_BYTES):  # at its end gzip compares a checksum
                pass
    except FormatError:
        raise
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{origin}: tar: {error or type(error).__name__}") from error
    if missing:
        raise FormatError(f"{origin}: tar: lacks {', '.join(sorted(missing))}")


def _members_of_tar(
    archive: TarFile, file: ArchiveSpec, origin: str
) -> Iterator[tuple[MemberSpec, bytes]]:
    wanted = {f"{file.folder}/{member.name}": member for member in file.members}
    seen = set()
    for entry in archive:
        _refuse_hostile(entry, origin)
        name = entry.name.removeprefix("./")
        if name not in wanted:
            continue
        size = file.member_bytes(wanted[name])
        if name in seen:
            raise FormatError(f"{origin}: member {name!r}: occurs twice")
        if entry.size != size:
            raise FormatError(
                f"{origin}: member {name!r}: must have {size} bytes, got {entry.size}"
            )
        seen.add(name)
        stream = archive.extractfile(entry)
        assert stream is not None  # a plain file, as its size shows
        yield wanted[name], stream.read()


def _refuse_hostile(entry: TarInfo, origin: str) -> None:
    """Raise FormatError for links, devices and paths that lead out of the archive."""
    if entry.name.startswith("/") or ".." in entry.name.split("/"):
        raise FormatError(f"{origin}: member {entry.name!r}: leads out of the archive")
    if not (entry.isreg() or entry.isdir()) or entry.issparse():
        raise FormatError(f"{origin}: member {entry.name!r}: is neither a plain file nor a folder")


class _LimitedReader(io.RawIOBase):
    """Stream that raises FormatError after `limit` bytes."""

    def __init__(self, stream: io.BufferedIOBase, limit: int, origin: str) -> None:
        self._stream, self._left, self._limit, self._origin = stream, limit, limit, origin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise FormatError(f"{self._origin}: gzip data: holds more than {self._limit} bytes")
        buffer[: len(content)] = content
        return len(content)
