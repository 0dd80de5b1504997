"""One process at a time in a directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fastmlp._files import try_lock

__all__ = ["DirectoryInUseError", "locked"]


class DirectoryInUseError(RuntimeError):
    """Another process works in the directory."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory; a process that dies lets go of it.

    On a file system without locks nothing is held: it is up to the user then.

    Raises
    ------
    DirectoryInUseError
        Another process holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            held = try_lock(descriptor)
        except OSError:
            held = True  # a file system without locks
        if not held:
            raise DirectoryInUseError(f"{directory}: another process works in it")
        yield
    finally:
        os.close(descriptor)
