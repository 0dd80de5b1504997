"""The user's cache of published sets: reading, storing, verifying and removing files."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from fastmlp._bytes import sha256
from fastmlp._files import atomic_write, read_regular_file
from fastmlp._locks import LockFile
from fastmlp.datasets.cifar import (
    ExtractedArchive,
    PackedArchive,
    archive_candidates,
    read_archive,
    verify_archive,
)
from fastmlp.datasets.idx import VerifiedFile, idx_candidates, read_idx_file, verify_idx_file
from fastmlp.datasets.registry import ArchiveSpec, DatasetSpec, FileSpec
from fastmlp.errors import FormatError

__all__ = [
    "FileStatus",
    "Verified",
    "cache_directory",
    "clear_cache",
    "file_candidates",
    "interprocess_lock",
    "lock_path",
    "read_file",
    "store_file",
    "verify_cache",
    "verify_download",
]

FETCH_WAIT_SECONDS = 900.0
CLEAR_WAIT_SECONDS = 5.0
_STALE_SECONDS = 3600.0

# A verified file of a set, in memory.
Verified: TypeAlias = VerifiedFile | PackedArchive | ExtractedArchive


def cache_directory(name: str) -> Path:
    """Return the directory of the set `name` in the user's cache; it need not exist."""
    from platformdirs import user_cache_dir  # slow to load, and needed for the cache only

    return Path(user_cache_dir("fastmlp", appauthor=False)) / "datasets" / name


def file_candidates(file: FileSpec | ArchiveSpec) -> tuple[str, ...]:
    """Return the names under which a file is accepted.

    IDX files may have ``-idx`` or ``.idx`` in their names and be raw or compressed; an archive may
    be packed or extracted.
    """
    if isinstance(file, ArchiveSpec):
        return archive_candidates(file)
    return idx_candidates(file.name)


def read_file(
    directory: str | os.PathLike[str], file: FileSpec | ArchiveSpec, *, own: bool
) -> Verified:
    """Read and verify one file of a set from a directory.

    Parameters
    ----------
    directory : str or os.PathLike
        Directory to search.
    file : FileSpec or ArchiveSpec
        File to find.
    own : bool
        Whether the user named this directory. If so, the first candidate that exists must be valid,
        and a file without a published digest is accepted if its sizes are right. Otherwise all
        candidates are tried, and only files that can be verified are accepted.

    Raises
    ------
    FileNotFoundError
        No candidate exists.
    FormatError
        No candidate is valid.
    OSError
        A candidate cannot be read.
    """
    if isinstance(file, ArchiveSpec):
        return read_archive(directory, file, own=own)
    return read_idx_file(directory, file, own=own)


def verify_download(file: FileSpec | ArchiveSpec, content: bytes, origin: str) -> Verified:
    """Verify the bytes that a mirror serves under the `download_name` of a file.

    Raises
    ------
    FormatError
        The bytes are not that file. The message begins with `origin`.
    """
    if isinstance(file, ArchiveSpec):
        return verify_archive(file, content, origin)
    return verify_idx_file(file, content, origin, compressed=True)


def store_file(directory: Path, verified: Verified) -> None:
    """Write a verified file to the cache, in a form that can be verified again.

    Files that another tool extracted from an archive are not copied.
    """
    if isinstance(verified, PackedArchive):
        atomic_write(directory / verified.file.name, verified.content)
    elif isinstance(verified, ExtractedArchive):
        return
    elif verified.file.sha256 is not None:
        atomic_write(directory / verified.file.name, verified.raw)
    elif verified.gz is not None:
        atomic_write(directory / f"{verified.file.name}.gz", verified.gz)


# ---------------------------------------------------------------- the lock


def lock_path(directory: Path) -> Path:
    """Return the file that is locked while the cache directory of a set is filled or removed."""
    return directory.parent / f".{directory.name}.lock"


@contextmanager
def interprocess_lock(directory: Path, wait_seconds: float = FETCH_WAIT_SECONDS) -> Iterator[bool]:
    """Hold a set's lock, so that of several processes one downloads while the others wait.

    The context is False without the lock: the cache cannot be written, the file system has no
    locks, or another process holds it for longer than `wait_seconds`. Files are replaced
    atomically, so that work without the lock is only repeated, never damaged. The system releases
    the lock of a process that dies.
    """
    lock = LockFile(lock_path(directory))
    held = False
    with suppress(OSError):
        os.makedirs(directory.parent, exist_ok=True)
        held = lock.acquire(wait_seconds)
    if not held:
        yield False
        return
    try:
        # Only now, because `clear_cache` removes it while others wait for the lock.
        with suppress(OSError):
            os.makedirs(directory, exist_ok=True)
        _remove_stale(directory)
        yield True
    finally:
        lock.release()


def _remove_stale(directory: Path) -> None:
    """Remove old temporary files of killed processes; young ones may belong to a live process."""
    for path in directory.glob(".*.tmp.*"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
        except OSError:
            continue


# ---------------------------------------------------------------- verifying and clearing


class FileStatus(NamedTuple):
    """State of one file of the cache, as `datasets.verify` reports it.

    Attributes
    ----------
    file : str
        Name of the file in the set.
    path : pathlib.Path
        Path of the file, whether it exists or not.
    status : {"ok", "missing", "damaged"}
        "ok" for the published file, "damaged" for any other.
    sha256 : str or None
        Digest of the file as stored; None if it is missing or cannot be read.

    Examples
    --------
    >>> import fastmlp, pathlib
    >>> row = fastmlp.datasets.FileStatus("a-idx1-ubyte", pathlib.Path("cache/a"), "missing", None)
    >>> row.status
    'missing'
    """

    file: str
    path: Path
    status: str
    sha256: str | None


def verify_cache(spec: DatasetSpec) -> list[FileStatus]:
    """Compare each cached file of a set with its published digest."""
    directory = cache_directory(spec.name)
    return [_verify(directory, file) for file in spec.files]


def clear_cache(spec: DatasetSpec) -> int:
    """Remove a set's cache directory and lock, and return the bytes of the files removed.

    Raises
    ------
    ValueError
        FASTMLP_DATA_DIR names the directory, which then belongs to the user.
    OSError
        Another process is downloading the set, or the directory cannot be removed.
    """
    import shutil  # needed here only, and slow to load

    directory = cache_directory(spec.name)
    lock = lock_path(directory)
    if not (os.path.lexists(directory) or os.path.lexists(lock)):
        return 0
    _refuse_user_directory(spec, directory)
    if directory.is_symlink():
        directory.unlink()  # its target belongs to the user
        lock.unlink(missing_ok=True)
        return 0
    with interprocess_lock(directory, CLEAR_WAIT_SECONDS) as held:
        if not held:
            raise OSError(
                errno.EBUSY, "another process fetches this set, or it cannot be locked", directory
            )
        freed = _bytes_below(directory)
        shutil.rmtree(directory)  # follows no links
    return freed


def _verify(directory: Path, file: FileSpec | ArchiveSpec) -> FileStatus:
    try:
        verified = read_file(directory, file, own=False)
    except FileNotFoundError:
        stored = file.name
        if isinstance(file, FileSpec) and file.sha256 is None:
            stored = file.download_name
        return FileStatus(file.name, directory / stored, "missing", None)
    except (FormatError, OSError):
        paths = [directory / name for name in file_candidates(file)]
        path = next((path for path in paths if os.path.lexists(path)), directory / file.name)
        return FileStatus(file.name, path, "damaged", _digest(path, file.max_download_bytes))
    if isinstance(verified, VerifiedFile):
        content = verified.raw if verified.gz is None else verified.gz
        return FileStatus(file.name, Path(verified.origin), "ok", sha256(content))
    digest = verified.sha256 if isinstance(verified, PackedArchive) else None
    return FileStatus(file.name, Path(verified.origin), "ok", digest)


def _refuse_user_directory(spec: DatasetSpec, directory: Path) -> None:
    named = os.environ.get("FASTMLP_DATA_DIR")
    if not named:
        return
    root = Path(os.path.expanduser(named)).resolve()
    ours = directory.resolve()
    if ours in (root, root / spec.name) or ours in root.parents:
        raise ValueError(f"{directory} is not removed: FASTMLP_DATA_DIR names it")


def _bytes_below(directory: Path) -> int:
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, names in os.walk(directory)
        for name in names
    )


def _digest(path: Path, max_bytes: int) -> str | None:
    try:
        return sha256(read_regular_file(path, max_bytes))
    except (FormatError, OSError):
        return None
