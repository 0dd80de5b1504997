"""A lock that lets one process at a time work in a directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fastmlp._files import try_lock

__all__ = ["DirectoryInUseError", "locked"]


class DirectoryInUseError(RuntimeError):
    """The directory is locked by another process."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a directory; the system releases the lock if the process dies.

    On a file system without locks the directory is not protected.

    Raises
    ------
    DirectoryInUseError
        Another process holds the lock.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            held = try_lock(descriptor)
        except OSError:
            held = True  # the file system has no locks
        if not held:
            raise DirectoryInUseError(f"{directory}: another process works in it")
        yield
    finally:
        os.close(descriptor)
