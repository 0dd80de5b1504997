"""One process at a time in a directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

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
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUseError(f"{directory}: another process works in it") from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
