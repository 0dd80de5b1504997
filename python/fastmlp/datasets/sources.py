"""What a source of files is when the cache lacks them, and archives that hold a whole set.

Each source is a function from the files still wanted to those that it has, verified. It may stop
at any point with an error that says why; what it gave before that counts. Sources that need the
network live in modules of their own, imported only when they are used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fastmlp.datasets.cache import Verified, VerifiedFile, verify_file
from fastmlp.datasets.idx import build_idx
from fastmlp.datasets.specs import ArchiveSpec, DatasetSpec, FileSpec
from fastmlp.errors import FormatError

__all__ = [
    "Source",
    "SourceError",
    "Wanted",
    "files_from_npz",
    "max_npz_bytes",
]

Wanted: TypeAlias = list[FileSpec | ArchiveSpec]

# A .npz file has, beside the values, a few hundred bytes of names and headers per array.
_NPZ_OVERHEAD = 1 << 16


class SourceError(Exception):
    """A source cannot give what was asked; the message is the reason, in a few words."""


@dataclass(frozen=True)
class Source:
    """A named function that gives those of the wanted files that it has."""

    label: str
    local: bool
    files: Callable[[Wanted], Iterable[Verified]]


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
