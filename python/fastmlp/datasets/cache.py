"""Files of a data set in a directory: finding, verifying and storing them, and the cache's lock."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fastmlp._files import atomic_write, read_regular_file, try_lock
from fastmlp.datasets.cifar import (
    ExtractedArchive,
    PackedArchive,
    archive_candidates,
    read_archive,
    verify_archive,
)
from fastmlp.datasets.idx import gunzip, parse_idx
from fastmlp.datasets.registry import REGISTRY
from fastmlp.datasets.specs import ArchiveSpec, DatasetSpec, FileSpec
from fastmlp.errors import FormatError

__all__ = [
    "Verified",
    "VerifiedFile",
    "cache_directory",
    "file_candidates",
    "interprocess_lock",
    "lock_path",
    "read_file",
    "store_file",
    "verify_download",
    "verify_file",
]

_LOCK_POLL_SECONDS = 0.05
_LOCK_WAIT_SECONDS = 900.0
_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class VerifiedFile:
    """An IDX file of a set, in memory and checked.

    `gz` is the compressed form if it came that way, `sha256` the digest of `raw`.
    """

    file: FileSpec
    raw: bytes = field(repr=False)
    gz: bytes | None = field(repr=False)
    sha256: str
    origin: str


Verified: TypeAlias = VerifiedFile | PackedArchive | ExtractedArchive


def cache_directory(name: str) -> Path:
    """Directory of the user's cache in which the set `name` is kept; it need not exist."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("fastmlp", appauthor=False)) / "datasets" / name


def file_candidates(file: FileSpec | ArchiveSpec) -> tuple[str, ...]:
    """Names under which a file is accepted.

    IDX files with ``-idx`` or ``.idx``, raw or compressed; an archive packed or extracted.
    """
    if isinstance(file, ArchiveSpec):
        return archive_candidates(file)
    names = dict.fromkeys((file.name, file.name.replace("-idx", ".idx")))
    return (*names, *(f"{name}.gz" for name in names))


def read_file(
    directory: str | os.PathLike[str], file: FileSpec | ArchiveSpec, *, own: bool
) -> Verified:
    """Read and verify one file of a set from a directory.

    Parameters
    ----------
    directory : str or os.PathLike
        Where to look.
    file : FileSpec or ArchiveSpec
        What to look for.
    own : bool
        The user named this directory. The first candidate found then has to be right, and a file
        whose digest nobody published is accepted if its sizes are right. Otherwise all candidates
        are tried, and only what can be verified is accepted.

    Raises
    ------
    FileNotFoundError
        There is no candidate.
    FormatError
        None of the candidates is right.
    OSError
        A candidate cannot be read.
    """
    if isinstance(file, ArchiveSpec):
        return read_archive(directory, file, own=own)
    problem: Exception | None = None
    for name in file_candidates(file):
        path = os.path.join(directory, name)
        compressed = name.endswith(".gz")
        if not own and not compressed and file.sha256 is None:
            continue
        try:
            content = read_regular_file(path, file.max_gz_bytes if compressed else file.raw_bytes)
            return verify_file(file, content, path, compressed=compressed, own=own)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (FormatError, OSError) as error:
            if own:
                raise
            problem = problem or error
    raise problem or FileNotFoundError(errno.ENOENT, f"no {file.name} in", os.fspath(directory))


def verify_file(
    file: FileSpec, content: bytes, origin: str, *, compressed: bool, own: bool = False
) -> VerifiedFile:
    """Check the content of one file against its `FileSpec`; `own` as in `read_file`.

    Raises
    ------
    FormatError
        It is not that file. The message begins with `origin`.
    """
    gz = content if compressed else None
    gz_known = gz is not None and file.gz_sha256 is not None
    gz_right = gz_known and gz is not None and _sha256(gz) == file.gz_sha256
    if file.sha256 is None and gz_known and not gz_right and not own:
        raise FormatError(f"{origin}: sha256: the compressed file is not the published one")
    raw = gunzip(gz, file.raw_bytes, origin) if gz is not None else content
    parse_idx(raw, origin, file.shape)  # says more about what is wrong than a digest can
    digest = _sha256(raw)
    if file.sha256 is not None and digest != file.sha256:
        other = _owner_of(digest)
        hint = f"; this is {other}" if other else ""
        raise FormatError(f"{origin}: sha256: must be {file.sha256}, got {digest}{hint}")
    if file.sha256 is None and not gz_right and not own:
        raise FormatError(f"{origin}: sha256: unknown for this file, it cannot be verified")
    return VerifiedFile(file, raw, gz, digest, origin)


def verify_download(file: FileSpec | ArchiveSpec, content: bytes, origin: str) -> Verified:
    """Check what a mirror serves under the `download_name` of a file.

    Raises
    ------
    FormatError
        It is not that file. The message begins with `origin`.
    """
    if isinstance(file, ArchiveSpec):
        return verify_archive(file, content, origin)
    return verify_file(file, content, origin, compressed=True)


def store_file(directory: Path, verified: Verified) -> None:
    """Put a verified file into the cache, in the form that can be verified again.

    What another tool extracted from an archive stays where it is.
    """
    if isinstance(verified, PackedArchive):
        atomic_write(directory / verified.file.name, verified.content)
    elif isinstance(verified, ExtractedArchive):
        return
    elif verified.file.sha256 is not None:
        atomic_write(directory / verified.file.name, verified.raw)
    elif verified.gz is not None:
        atomic_write(directory / f"{verified.file.name}.gz", verified.gz)


def lock_path(directory: Path) -> Path:
    """File that is locked while the cache directory of a set is filled or removed."""
    return directory.parent / f".{directory.name}.lock"


@contextmanager
def interprocess_lock(directory: Path, wait_seconds: float = _LOCK_WAIT_SECONDS) -> Iterator[bool]:
    """Hold a set's lock: of several processes that start at once, one fetches and the rest wait.

    Yields False where there can be no lock (the cache cannot be written, the file system has no
    locks, or the owner makes no end). Files are replaced atomically, so that going on without the
    lock costs double work, never damage. A process that dies releases its lock.
    """
    descriptor = _acquire(directory, time.monotonic() + wait_seconds)
    if descriptor is None:
        yield False
        return
    try:
        _remove_stale(directory)
        yield True
    finally:
        os.close(descriptor)


def _acquire(directory: Path, deadline: float) -> int | None:
    """Return a descriptor that holds the lock of an existing directory, or None."""
    lock = lock_path(directory)
    while True:
        try:
            os.makedirs(directory, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError:
            return None
        held = current = False
        try:
            held = _lock_until(descriptor, deadline)
            # Whoever clears a set removes the lock too, and others may have waited for that file.
            current = held and directory.is_dir() and _is_open_as(lock, descriptor)
        finally:
            if not current:
                os.close(descriptor)
        if current:
            return descriptor
        if not held:
            return None


def _lock_until(descriptor: int, deadline: float) -> bool:
    try:
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_POLL_SECONDS)
    except OSError:
        return False
    return True


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _remove_stale(directory: Path) -> None:
    """Remove temporary files that a killed process left; young ones may belong to a live one."""
    for path in directory.glob(".*.tmp.*"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
        except OSError:
            continue


def _owner_of(digest: str) -> str | None:
    """Name the registered file with this digest: people mix up sets and files."""
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


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()
