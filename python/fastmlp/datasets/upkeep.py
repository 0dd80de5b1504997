"""What is done to the cache by hand: verifying its files and removing those of a set."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from fastmlp._files import read_regular_file
from fastmlp.datasets.cache import (
    VerifiedFile,
    cache_directory,
    file_candidates,
    interprocess_lock,
    lock_path,
    read_file,
)
from fastmlp.datasets.cifar import PackedArchive
from fastmlp.datasets.specs import ArchiveSpec, DatasetSpec, FileSpec
from fastmlp.errors import FormatError

__all__ = ["FileStatus", "clear_cache", "verify_cache"]

_LOCK_WAIT_SECONDS = 5.0


class FileStatus(NamedTuple):
    """What `datasets.verify` found out about one file of the cache.

    Attributes
    ----------
    file : str
        Name of the file in the set.
    path : pathlib.Path
        Where it lies, or would lie.
    status : {"ok", "missing", "damaged"}
        Whether it is the published file.
    sha256 : str or None
        Digest of the file as it lies there; None if it is missing or cannot be read.
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
        FASTMLP_DATA_DIR names the directory: it is the user's then.
    OSError
        Another process fetches the set, or the directory cannot be removed.
    """
    import shutil

    directory = cache_directory(spec.name)
    lock = lock_path(directory)
    if not (os.path.lexists(directory) or os.path.lexists(lock)):
        return 0
    _refuse_user_directory(spec, directory)
    if directory.is_symlink():
        directory.unlink()  # what it points to was put there by the user
        lock.unlink(missing_ok=True)
        return 0
    with interprocess_lock(directory, _LOCK_WAIT_SECONDS) as held:
        if not held:
            raise OSError(
                errno.EBUSY, "another process fetches this set, or it cannot be locked", directory
            )
        freed = _bytes_below(directory)
        shutil.rmtree(directory)  # follows no links
        lock.unlink()
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
        return FileStatus(file.name, Path(verified.origin), "ok", _sha256(content))
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
        return _sha256(read_regular_file(path, max_bytes))
    except (FormatError, OSError):
        return None


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()
